package agent

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/salveops/salve/pkg/clock"
)

// jumper is a machine whose wall clock can be set.
type jumper struct {
	clock.Clock
	by atomic.Int64
}

func (j *jumper) Now() clock.Instant {
	now := j.Clock.Now()
	now.Wall = now.Wall.Add(time.Duration(j.by.Load()))
	return now
}

// When the wall clock jumps, nothing else does: healing, its times, a pause and a cool-down go by the clock
// that never jumps.
func TestClockJumps(t *testing.T) {
	t.Parallel()
	for name, jump := range map[string]time.Duration{"ahead": 48 * time.Hour, "back": -48 * time.Hour} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newWeb(t)
			real, err := clock.System()
			if err != nil {
				t.Fatal(err)
			}
			c := &jumper{Clock: real}
			a := h.start(func(o *Options) {
				o.Clock = c
				o.step = func(name string) { // in the middle of each attempt
					if name == "act" {
						c.by.Add(int64(jump))
					}
				}
			})
			a.pause("web", time.Hour)
			h.crash("web.service")
			a.await(guard("paused"))
			c.by.Add(int64(jump))
			mark := a.mark()
			h.ctl("reset-failed", "web.service") // something to decide about anew
			h.ctl("start", "web.service")
			a.ended("web")
			a.never(event{typ: "intent"})
			a.resume("service:web")

			h.crash("web.service")
			e := a.awaitSince(mark, event{typ: "verify", service: "web", fields: map[string]string{"outcome": "verified"}})
			a.awaitSince(mark, event{typ: "end", service: "web", text: "again healed it"})
			in := a.incident(e.GetIncident())
			s := in.GetSummary()
			for what, took := range map[string]time.Duration{
				"detect": s.GetDetect().AsDuration(), "act": s.GetAct().AsDuration(), "verify": s.GetVerify().AsDuration(),
				"total": s.GetTotal().AsDuration(),
			} {
				if took < 0 || took > patience {
					t.Errorf("%s took %v", what, took)
				}
			}
			if n := len(h.starts("web")); n != 3 {
				t.Errorf("the unit was started %d times, want 3", n)
			}
		})
	}
}
