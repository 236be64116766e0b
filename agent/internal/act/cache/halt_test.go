package cache_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/salveops/salve/agent/internal/act/acttest"
	"github.com/salveops/salve/agent/internal/act/kind"
	"github.com/salveops/salve/pkg/incident"
)

// Who is told to stop takes no further step, whatever the cache is; and an attempt that ran does not run again.
func TestEachSourceStops(t *testing.T) {
	redis, mem, pages := newRig(t), newMem(t), newWeb(t, 3)
	redis.fill(0, "sess:", 3)
	mem.fill("sess:", 3)
	asked := serve(t, func(http.ResponseWriter, *http.Request) {})
	site := newSite(t, asked.URL, "/old/1", "/old/2", "/old/3")
	for _, c := range []struct {
		name string
		*rig
		gone func() int
	}{
		{"Redis", redis, func() int { return 3 - redis.keys("sess:") }},
		{"memcached", mem.rig, func() int { return 3 - mem.count() }},
		{"nginx", pages.rig, func() int { return 7 - len(pages.files()) }}, // with the three that are not meant, and the first of all
		{"HTTP", site, func() int { return len(asked.was()) }},
	} {
		c.args.Rate = 10 // one in a step
		s, a := acttest.Stage(t, c.kind, c.request())
		halt := make(chan struct{})
		close(halt)
		s.Halt = halt
		if err := c.kind.Act(t.Context(), s); !errors.Is(err, kind.ErrHalt) || errors.Is(err, kind.ErrLost) || c.gone() > 1 {
			t.Errorf("%s: %v, gone are %d", c.name, err, c.gone())
		}
		if phase, why := c.kind.Settle(t.Context(), a); c.name != "HTTP" && (phase == incident.Acted) != (c.gone() > 0) {
			t.Errorf("%s: %s, %s, gone are %d", c.name, phase, why, c.gone())
		}
		c.args.Rate = 100_000
		q, before := c.request(), c.gone()
		c.Must(q)
		was := c.gone()
		if _, err := c.Run(q); err == nil || c.gone() != was || was-before < 2 { // double-run
			t.Errorf("%s ran twice: %v, gone are %d, then %d", c.name, err, was, c.gone())
		}
		c.args.Prefix = strings.ToUpper(c.args.Prefix)
		if a, _ := c.Run(c.request()); c.gone() != was { // what is named like that is not there
			t.Errorf("%s: gone are %d: %s", c.name, c.gone(), a.After)
		}
	}
}
