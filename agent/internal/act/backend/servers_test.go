package backend

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const (
	states = "1\n# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_iweight\n" +
		"3 web 1 a 127.0.0.1 2 0 1 1\n3 web 2 b 127.0.0.1 2 8 1 1\n3 web 3 c 127.0.0.1 0 0 1 1\n3 web 4 d 127.0.0.1 2 0 0 1\n\n"
	stat = "# pxname,svname,scur,\nweb,a,3,\nweb,b,0,\nweb,c,0,\nweb,d,1,\n\n"
)

func TestParseServers(t *testing.T) {
	got, err := parseServers([]byte(states), []byte(stat))
	want := States{
		{Name: "a", Running: true, Weight: 1, Sessions: 3}, {Name: "b", Running: true, Admin: ForcedDrain, Weight: 1},
		{Name: "c", Weight: 1}, {Name: "d", Running: true, Sessions: 1},
	}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v\n%s", err, diff)
	}
	for name, others := range map[string]int{"a": 0, "b": 1, "c": 1, "d": 1, "e": 1} {
		if own, n := got.Split(name); n != others || (own == nil) != (name == "e") {
			t.Errorf("beside %s there are %d, want %d", name, n, others)
		}
	}
	for name, c := range map[string]struct{ states, stat, want string }{
		"refusal":     {"Can't find backend.\n\n", stat, "Can't find backend."},
		"no table":    {states, "Permission denied\n", "Permission denied"},
		"no sessions": {states, "# svname,scur\na,1\n", `the sessions of "b"`},
		"cut off":     {states[:strings.Index(states, "\n3 web 2")] + "\n3 web", stat, "there is no srv_uweight"},
		"no number":   {strings.Replace(states, " 8 ", " x ", 1), stat, "srv_admin_state"},
		"no column":   {strings.Replace(states, "srv_uweight", "weight", 1), stat, "no srv_uweight"},
		"no current":  {states, "# svname\na\n", "no scur"},
		"negative":    {states, strings.Replace(stat, "a,3", "a,-3", 1), "scur"},
		"empty":       {states, "# ", "it is empty"},
	} {
		if all, err := parseServers([]byte(c.states), []byte(c.stat)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %+v, %v, want %q", name, all, err, c.want)
		}
	}
}

func FuzzServers(f *testing.F) {
	f.Add([]byte(states), []byte(stat))
	f.Fuzz(func(t *testing.T, states, stat []byte) {
		all, err := parseServers(states, stat)
		for _, s := range all {
			if err != nil || s.Name == "" || s.Admin < 0 || s.Weight < 0 || s.Sessions < 0 {
				t.Errorf("%+v, %v", s, err)
			}
		}
	})
}
