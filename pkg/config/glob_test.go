package config

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/salveops/salve/pkg/glob"
)

func TestMatch(t *testing.T) {
	for _, c := range []struct {
		pattern, name string
		want          bool
	}{
		{"a.service", "a.service", true},
		{"a.service", "b.service", false},
		{"worker@*.service", "worker@1.service", true},
		{"worker@*.service", "worker.service", false},
		{"worker@?.service", "worker@12.service", false},
		{"w[abc].service", "wb.service", true},
		{"*", "a.service", true},
		{"/usr/lib/hooks/*", "/usr/lib/hooks/fix", true},
		{"/usr/lib/hooks/*", "/usr/lib/hooks/sub/fix", false},
		{`dev-disk-by\x2duuid.mount`, `dev-disk-by\x2duuid.mount`, true},
		{`dev-disk-by\x2d*.mount`, `dev-disk-by\x2duuid.mount`, true},
		{"a[", "a[", true},
		{"a[", "ab", false},
	} {
		if got := glob.Match(c.pattern, c.name); got != c.want {
			t.Errorf("glob.Match(%q, %q) = %v", c.pattern, c.name, got)
		}
	}
}

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
		if got := overlap(c.a, c.b); got != c.want {
			t.Errorf("overlap(%q, %q) = %v", c.a, c.b, got)
		}
		if overlap(c.a, c.b) != overlap(c.b, c.a) {
			t.Errorf("overlap(%q, %q) depends on the order", c.a, c.b)
		}
	}
}

// What two patterns both match, they must be said to overlap in; and a name written as a pattern
// matches itself and nothing else; no name is matched by nothing.
func TestGlobProperties(t *testing.T) {
	pattern := rapid.StringOfN(rapid.RuneFrom([]rune("ab*?")), 0, 6, -1)
	name := rapid.StringOfN(rapid.RuneFrom([]rune("ab")), 0, 6, -1)
	odd := rapid.StringOfN(rapid.RuneFrom([]rune(`ab*?[]\`)), 0, 6, -1)
	rapid.Check(t, func(t *rapid.T) {
		a, b, n := pattern.Draw(t, "a"), pattern.Draw(t, "b"), name.Draw(t, "name")
		if glob.Match(a, n) && glob.Match(b, n) && !overlap(a, b) {
			t.Fatalf("%q and %q both match %q and do not overlap", a, b, n)
		}
		x, y := odd.Draw(t, "x"), odd.Draw(t, "y")
		if got := glob.Match(literally(x), y); got != (x == y && y != "") {
			t.Fatalf("literally(%q) = %q: matches %q: %v", x, literally(x), y, got)
		}
	})
}
