package heal

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/salveops/salve/agent/internal/local"
	"github.com/salveops/salve/pkg/incident"
)

// crowd is a configuration of three services whose remedy is to restart the same unit.
func crowd() string {
	b := strings.Builder{}
	b.WriteString(`
autonomy = "full"
per_hour = 60
allow {
  units   = ["postgres.service"]
  actions = ["restart"]
}
---
`)
	for _, s := range []string{"checkout", "worker", "postgres"} {
		unit := map[string]string{"worker": "worker@1.service"}[s]
		if unit == "" {
			unit = s + ".service"
		}
		fmt.Fprintf(&b, `
service %q {
  unit    = %q
  startup = "1s"
  probe "health" { http = "http://127.0.0.1:8080/" }
  remedy "restart" "restart-db-for-%s" {
    unit      = "postgres.service"
    attempts  = 50
    recurring = 50
    verify {
      when   = probe.health.ok
      within = "30s"
      hold   = "3s"
    }
  }
}
rule "%s-ill" {
  services  = [%q]
  when      = !probe.health.ok
  clear     = probe.health.ok
  for       = "2s"
  clear_for = "2s"
  try       = ["restart-db-for-%s"]
}
`, s, unit, s, s, s, s)
	}
	return b.String()
}

func (h *rig) health(service string, ok float64) { h.Tells("probe.health.ok{"+service+"}", ok) }

// held is why nothing is done for the service, as salve agent status says.
func (h *rig) held(service string) string {
	h.t.Helper()
	st, err := h.p.Status(h.ctx())
	if err != nil {
		h.t.Fatal(err)
	}
	for _, s := range st.Services {
		if s.Name == service {
			return s.Held
		}
	}
	return ""
}

// TestQueue: three incidents want the same unit. One has it, the others wait in the order in which they came and say for
// whom; one that is over leaves the queue; who dies with the unit has it in the next life.
func TestQueue(t *testing.T) {
	heals(t, crowd(), func(h *rig) {
		for i, s := range []string{"worker", "checkout", "postgres"} {
			h.health(s, 0)
			h.Advance(time.Duration(i+1) * time.Second)
			h.Until("first", 10*time.Second, func() bool { return h.count() == 1 })
		}
		h.Advance(5 * time.Second)
		h.WantActs("restart postgres.service")
		id := h.Last("worker").ID[:8]
		h.WantSaid("checkout", "restart-db-for-checkout waits for unit postgres.service: restart-db-for-worker of incident "+id+
			", because of worker-ill, has had it for ")
		if a, b := h.held("checkout"), h.held("postgres"); !strings.HasSuffix(a, "is being verified; place 1 in the queue") ||
			!strings.HasSuffix(b, "is being verified; place 2 in the queue") {
			t.Errorf("held: %q, %q", a, b)
		}
		h.Restarts()
		h.Advance(5 * time.Second)
		h.WantActs()
		if a := h.held("postgres"); !strings.Contains(a, "restart-db-for-worker of incident "+id) {
			t.Errorf("after a restart: %q", a)
		}
		h.health("checkout", 1) // it leaves
		h.Advance(4 * time.Second)
		h.WantState("checkout", incident.Resolved)
		h.health("worker", 1)
		h.Until("its turn", 40*time.Second, func() bool { return h.count() == 2 })
		h.WantOutcomes("worker", "restart-db-for-worker verified")
		if a, b := h.Last("worker").Runs[0], h.Last("postgres").Runs[0]; b.Intended.Boot-a.Judged.Boot > 100*time.Millisecond {
			t.Errorf("it had its turn %v late", b.Intended.Boot-a.Judged.Boot)
		}
		h.health("postgres", 1)
		h.Advance(time.Minute)
		h.WantActs("restart postgres.service")
		h.WantState("postgres", incident.Resolved)
	})
}

// TestAnyQueue lets the three come and go, and the agent die, in any order. The witness in hands sees whether two have the
// unit at once; in the end nobody waits, and whoever was ill for long enough had a turn.
func TestAnyQueue(t *testing.T) {
	names := []string{"checkout", "worker", "postgres"}
	rapid.Check(t, func(rt *rapid.T) {
		events := rapid.SliceOfN(rapid.IntRange(0, 6), 1, 12).Draw(rt, "events")
		waits := rapid.SliceOfN(rapid.IntRange(1, 40), len(events), len(events)).Draw(rt, "seconds")
		var failed []string
		synctest.Test(t, func(t *testing.T) {
			r := &recorder{TB: t}
			defer func() { failed = r.failed }()
			h := newRig(r, crowd())
			defer h.end()
			for i, what := range events {
				if what == 6 {
					h.Restarts()
				} else {
					h.health(names[what%3], float64(what/3))
				}
				h.Advance(time.Duration(waits[i]) * time.Second)
			}
			for _, s := range names {
				h.health(s, 0)
			}
			h.Advance(3 * time.Minute) // each has half a minute, twice
			for _, s := range names {
				if len(h.Last(s).Runs) == 0 {
					r.Errorf("%s never had a turn\n%s", s, h.Story())
				}
				h.health(s, 1)
			}
			h.Advance(time.Minute)
			open, err := h.p.Incidents(h.ctx(), local.IncidentFilter{Open: true})
			if err != nil || len(open) > 0 {
				r.Errorf("%d incidents are left, %v\n%s", len(open), err, h.Story())
			}
			if err := h.p.call(h.ctx(), func() {
				if w := h.p.queue.Before("", "", ""); len(w) > 0 {
					r.Errorf("left in the queue: %+v", w)
				}
			}); err != nil {
				r.Errorf("%v", err)
			}
		})
		if len(failed) > 0 {
			rt.Fatalf("%v %v\n%s", events, waits, strings.Join(failed, "\n"))
		}
	})
}
