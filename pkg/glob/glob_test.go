package glob

import "testing"

func TestMatch(t *testing.T) {
	for _, c := range []struct {
		pattern, name string
		want          bool
	}{
		{"web.service", "web.service", true},
		{"web.service", "web2.service", false},
		{"worker@*.service", "worker@7.service", true},
		{"worker@*.service", "worker@.service", true},
		{"worker@?.service", "worker@12.service", false},
		{"db[12].service", "db2.service", true},
		{"*", "a/b", false},
		{`dev-disk-by\x2dlabel-*.swap`, `dev-disk-by\x2dlabel-x.swap`, true},
		{`a\*`, `a\bc`, true}, // a backslash escapes nothing
		{"[", "[", true},      // not readable, but itself
		{"[", "x", false},
		{"", "", false},
		{"*", "", false},
	} {
		if got := Match(c.pattern, c.name); got != c.want {
			t.Errorf("Match(%q, %q) = %v", c.pattern, c.name, got)
		}
	}
}

func TestIsAndValid(t *testing.T) {
	for pattern, want := range map[string][2]bool{
		"web.service": {false, true}, "web*": {true, true}, "[": {true, false}, `a\x2d`: {false, true},
	} {
		if got := [2]bool{Is(pattern), Valid(pattern)}; got != want {
			t.Errorf("%q: Is, Valid = %v, want %v", pattern, got, want)
		}
	}
}
