package agent

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/salveops/salve/agent/agenttest"
	"github.com/salveops/salve/pkg/incident"
	"github.com/salveops/salve/proto/localpb"
)

// walk is a story with every step that there is: the first remedy acts, does not help, and is taken back;
// the second one heals.
const walk = `
allow {
  units   = ["web.service"]
  actions = ["restart"]
}
allow {
  units   = ["noisy.service"]
  actions = ["stop", "start"]
}
service "web" {
  unit    = "web.service"
  startup = "100ms"
  every   = "100ms"
  remedy "stop" "quiet" {
    unit = "noisy.service"
    verify {
      within = "3s"
      hold   = "100ms"
    }
  }
  remedy "restart" "again" {
    verify {
      within = "10s"
      hold   = "100ms"
    }
  }
}
service "noisy" {
  unit    = "noisy.service"
  startup = "100ms"
}
rule "web-down" {
  services  = ["web"]
  when      = unit.failed
  clear_for = "100ms"
  try       = ["quiet", "again"]
}
escalation "default" {
  step { notify = ["journald.log"] }
}
notifier "journald" "log" {}
`

func newWalk(t testing.TB) *host {
	t.Helper()
	h := newHost(t)
	h.install("web.service", h.counted("web"))
	h.install("noisy.service", h.counted("noisy"))
	h.configure(walk)
	return h
}

// steps plays the story once and returns the names of its points.
func (h *host) steps() []string {
	h.t.Helper()
	var mu sync.Mutex
	var names []string
	seam := points{at: func(_ int, name string) {
		mu.Lock()
		defer mu.Unlock()
		names = append(names, name)
	}}
	a := h.start(func(o *Options) { o.step, o.memory = seam.reach, seam.memory })
	h.crash("web.service")
	a.ended("web")
	a.stop()
	return names
}

// dies-in-the-middle: an agent that is killed at any point of the state machine, and started again, brings
// the story to a good end. Nothing stays open, nothing ran twice.
func TestDiesInTheMiddle(t *testing.T) {
	t.Parallel()
	steps := newWalk(t).steps()
	for _, must := range []string{"prepare", "act", "judge", "undo", "before undone of quiet is on disk",
		"after intended of again is on disk", "before acted of again is on disk"} {
		if !slices.Contains(steps, must) {
			t.Fatalf("the walk does not come by %q: %q", must, steps)
		}
	}
	for i, name := range steps {
		t.Run(fmt.Sprintf("%d %s", i+1, name), func(t *testing.T) {
			t.Parallel()
			h := newWalk(t)
			p := h.spawn(dieAt + "=" + strconv.Itoa(i+1))
			h.crash("web.service")
			p.awaitDeath(t)

			a := h.start(nil)
			in := a.ended("web")
			a.stop()
			h.checkWalk(in)
		})
	}
}

// The same holds for an agent that is killed in each of several lives, so that it also dies while it makes
// up for an earlier death.
func TestDiesAgainAndAgain(t *testing.T) {
	t.Parallel()
	const lives = 4
	for n := 1; n <= 8; n++ {
		t.Run(fmt.Sprintf("at point %d", n), func(t *testing.T) {
			t.Parallel()
			h := newWalk(t)
			p := h.spawn(dieAt + "=" + strconv.Itoa(n))
			h.crash("web.service")
			p.awaitDeath(t)
			for range lives - 1 {
				p := h.fork(dieAt + "=" + strconv.Itoa(n))
				agenttest.Eventually(t, func() bool {
					select {
					case <-p.done:
						return true
					default: // a life with fewer points than that brings the story to its end
						return strings.Contains(p.log.String(), "resolved: again healed it")
					}
				}, "the agent has killed itself, or healed the unit")
				p.signal(syscall.SIGKILL)
			}
			a := h.start(nil)
			agenttest.Eventually(t, func() bool {
				r, err := a.Incident(t.Context(), &localpb.IncidentRequest{Id: "last"})
				return err == nil && r.GetIncident().GetSummary().GetState() == "resolved"
			}, "the incident is resolved")
			in := a.incident("last")
			a.stop()
			h.checkWalk(in)
		})
	}
}

// checkWalk holds the record, the journal and what really happened to the units against one another.
func (h *host) checkWalk(in *localpb.Incident) {
	h.t.Helper()
	h.checkWalkWith(in, 1)
}

// checkWalkWith is checkWalk for a story in which the first remedy ran so often.
func (h *host) checkWalkWith(in *localpb.Incident, quiet int) {
	h.t.Helper()
	if s := in.GetSummary().GetState(); s != "resolved" {
		h.t.Errorf("the incident is %s", s)
	}
	ran := map[string]int{}
	for _, a := range h.attempts() {
		if a.Open() {
			h.t.Errorf("attempt %s of %s is still %s", a.ID, a.Remedy, a.Phase)
		}
		switch a.Phase {
		case incident.Judged, incident.Undone, incident.Unknown:
			ran[a.Remedy]++
		}
		if a.Phase == incident.Unknown && a.Outcome != "" {
			h.t.Errorf("attempt %s is unknown and yet %s", a.ID, a.Outcome)
		}
	}
	if got := h.starts("web"); len(got) != 2 || ran["again"] != 1 {
		h.t.Errorf("web.service was started %d times by %d attempts, want 1 by 1", len(got)-1, ran["again"])
	}
	if got := h.starts("noisy"); len(got) != 1+quiet || ran["quiet"] != quiet {
		h.t.Errorf("noisy.service was stopped by %d attempts and started %d times, want %d of both", ran["quiet"], len(got)-1,
			quiet)
	}
	if s := h.ctl("show", "--value", "--property=ActiveState", "web.service", "noisy.service"); s != "active\n\nactive" {
		h.t.Errorf("the units are %q", s)
	}
}

// What nobody can tell is not guessed and not repeated: an attempt with a program, during which the agent
// died, is handed to people, whether the program ran or not.
func TestUnknownIsNeverRepeated(t *testing.T) {
	t.Parallel()
	for name, ran := range map[string]int{"after intended of hook is on disk": 0, "before acted of hook is on disk": 1} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHost(t)
			h.install("web.service", h.counted("web"))
			hook := h.write("hook", fmt.Sprintf("#!/bin/sh\necho ran >> %s\n", h.file("hook.ran")), 0o755)
			h.configure(fmt.Sprintf(`
allow {
  exec    = [%q]
  actions = ["exec"]
}
service "web" {
  unit    = "web.service"
  startup = "100ms"
  remedy "exec" "hook" {
    command = [%q]
  }
}
rule "web-down" {
  services = ["web"]
  when     = unit.failed
  try      = ["hook"]
}
`, hook, hook))
			p := h.spawn(dieAt + "=" + name)
			h.crash("web.service")
			p.awaitDeath(t)

			a := h.start(nil)
			e := a.await(event{typ: "escalate", service: "web"})
			in := a.incident(e.GetIncident())
			if s := in.GetSummary().GetState(); s != "escalated" {
				t.Errorf("the incident is %s, want escalated", s)
			}
			if at := in.GetAttempts(); len(at) != 1 || at[0].GetPhase() != "unknown" {
				t.Errorf("the attempts are %v, want one that is unknown", at)
			}
			a.await(event{typ: "decide", service: "web", fields: map[string]string{"guard": "unsettled"}})
			a.stop()
			if text, _ := os.ReadFile(h.file("hook.ran")); strings.Count(string(text), "ran") != ran {
				t.Errorf("the program ran %d times, want %d", strings.Count(string(text), "ran"), ran)
			}
		})
	}
}
