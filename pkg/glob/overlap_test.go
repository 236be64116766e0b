package glob

import (
	"testing"

	"pgregory.net/rapid"
)

func TestOverlap(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{"a.service", "a.service", true},
		{"a.service", "b.service", false},
		{"a*.service", "*b.service", true},
		{"a*.service", "b*.service", false},
		{"worker@*.service", "worker@1.service", true},
		{"worker@*.service", "*@*.service", true},
		{"*", "", true},
		{"?", "", false},
		{"a?c", "ab*", true},
		{"[ab]x", "cx", true}, // a class counts as any letter: yes where the truth is no
		{"a[", "a[", true},
	} {
		if got := Overlap(c.a, c.b); got != c.want {
			t.Errorf("Overlap(%q, %q) = %v", c.a, c.b, got)
		}
		if Overlap(c.a, c.b) != Overlap(c.b, c.a) {
			t.Errorf("Overlap(%q, %q) depends on the order", c.a, c.b)
		}
	}
}

// What two patterns both match, they must be said to overlap in.
func TestOverlapProperties(t *testing.T) {
	pattern := rapid.StringOfN(rapid.RuneFrom([]rune("ab*?")), 0, 6, -1)
	name := rapid.StringOfN(rapid.RuneFrom([]rune("ab")), 0, 6, -1)
	rapid.Check(t, func(t *rapid.T) {
		a, b, n := pattern.Draw(t, "a"), pattern.Draw(t, "b"), name.Draw(t, "name")
		if Match(a, n) && Match(b, n) && !Overlap(a, b) {
			t.Fatalf("%q and %q both match %q and do not overlap", a, b, n)
		}
	})
}
