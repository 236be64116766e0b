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

// A name written as a pattern matches itself and nothing else; no name is matched by nothing.
func TestLiterally(t *testing.T) {
	odd := rapid.StringOfN(rapid.RuneFrom([]rune(`ab*?[]\`)), 0, 6, -1)
	rapid.Check(t, func(t *rapid.T) {
		x, y := odd.Draw(t, "x"), odd.Draw(t, "y")
		if got := glob.Match(literally(x), y); got != (x == y && y != "") {
			t.Fatalf("literally(%q) = %q: matches %q: %v", x, literally(x), y, got)
		}
	})
}
