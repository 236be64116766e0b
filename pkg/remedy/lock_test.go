package remedy

import (
	"slices"
	"testing"
)

func TestMeet(t *testing.T) {
	for _, c := range []struct {
		a, b Lock
		want bool
	}{
		{"unit web.service", "unit web.service", true},
		{"unit web.service", "unit db.service", false},
		{"unit worker@*.service", "unit worker@1.service", true},
		{"unit worker@*.service", "unit w*@2.service", true},
		{"unit db", "pool db", false},
		{"pool d*", "pool db", false}, // only units are globs
		{"path /var/log", "path /var/log/web", true},
		{"path /var/log", "path /var/logs", false},
		{"path /", "path /srv", true},
		{"path /srv/a", "path /srv/b", false},
		{"exec /x", "exec /x", false}, // whoever calls it
		{"exec /x", "host host", true},
	} {
		if (Meet([]Lock{c.a}, []Lock{"cache x", c.b}) == c.a) != c.want || (Meet([]Lock{c.b}, []Lock{c.a}) == c.b) != c.want {
			t.Errorf("%s and %s: want %v", c.a, c.b, c.want)
		}
	}
	mine := Locks("unit b", "", "unit a", "unit b", "pool z")
	if want := []Lock{"pool z", "unit a", "unit b"}; !slices.Equal(mine, want) || Meet(mine, mine[1:]) != "unit a" || Meet(nil, mine) != "" {
		t.Errorf("locks %q", mine)
	}
	if a, b := LockOn(OnUnit, "a.service"), LockOn(OnPool, ""); a.Unit() != "a.service" || b != "" || mine[0].Unit() != "" {
		t.Error("not the unit of a lock")
	}
}
