package cache

import (
	"errors"
	"strings"
	"testing"

	"github.com/salveops/salve/agent/internal/act/kind"
	"github.com/salveops/salve/agent/internal/redis"
	"github.com/salveops/salve/pkg/incident"
)

// A server is left alone that cannot be cleared, or not now.
func TestFit(t *testing.T) {
	const primary = "run_id:abc\r\nrole:master\r\n"
	for _, tt := range []struct {
		info, want string // "": it may be cleared
		temporary  bool
	}{
		{primary, "", false},
		{primary + "loading:0\r\nasync_loading:0\r\nmaster_failover_state:no-failover\r\n", "", false},
		{primary + "loading:1\r\n", "loading its data", true},
		{primary + "async_loading:1\r\n", "loading its data", true},
		{primary + "master_failover_state:waiting-for-sync\r\n", "handing over to a replica", true},
		{"run_id:abc\r\nrole:slave\r\nmaster_host:10.0.0.1\r\nmaster_port:6379\r\n", "a replica of 10.0.0.1:6379", false},
		{"run_id:abc\r\nredis_mode:sentinel\r\n", `its role is ""`, false}, // so a sentinel
		{"role:master\r\n", "no Redis", false},
		{"", "no Redis", false},
	} {
		err := told(parseInfo(tt.info), redis.Target{Address: "a:1"}).fit()
		var refusal *kind.Refusal
		switch {
		case tt.want == "" && err == nil:
		case !errors.As(err, &refusal) || tt.want == "" || !strings.Contains(refusal.Reason, tt.want) || refusal.Temporary != tt.temporary:
			t.Errorf("%q: %v, want %q (temporary %v)", tt.info, err, tt.want, tt.temporary)
		}
	}
}

// dies-in-the-middle: the counters of the server tell.
func TestBecame(t *testing.T) {
	was := counts{Life: "a", Keys: 10, Commands: 100, Removals: 6}
	for _, tt := range []struct {
		name string
		now  counts
		want incident.Phase
	}{
		{"as it was", counts{Life: "a", Keys: 10, Commands: 120, Removals: 6}, incident.NotDone},
		{"keys expired", counts{Life: "a", Keys: 3, Commands: 120, Removals: 6}, incident.NotDone},
		{"some went", counts{Life: "a", Keys: 3, Commands: 120, Removals: 13}, incident.Acted},
		{"all went", counts{Life: "a", Keys: 0, Commands: 120, Removals: 7}, incident.Acted},
		{"some went, others came", counts{Life: "a", Keys: 30, Commands: 120, Removals: 13}, incident.Unknown},
		{"another life", counts{Life: "b", Keys: 3, Commands: 120, Removals: 13}, incident.Unknown},
		{"counters from zero", counts{Life: "a", Keys: 3, Commands: 20, Removals: 6}, incident.Unknown},
		{"counters from zero, long ago", counts{Life: "a", Keys: 3, Commands: 200, Removals: 2}, incident.Unknown},
	} {
		if got, why := was.became(tt.now); got != tt.want {
			t.Errorf("%s: %s, %s", tt.name, got, why)
		}
	}
}

func TestInfo(t *testing.T) {
	i := parseInfo("# Stats\r\nkeyspace_hits:12\r\nname:a:b\r\nbroken\r\ncmdstat_unlink:calls=7,usec=30\r\nodd:x\n")
	if i.number("keyspace_hits") != 12 || i["name"] != "a:b" || i.calls("unlink") != 7 || i.calls("flushdb") != 0 || i.number("odd") != 0 {
		t.Errorf("%v", i)
	}
	if got := quote(`a*b?[c]\`); got != `a\*b\?\[c\]\\` {
		t.Errorf("quoted %q", got)
	}
}
