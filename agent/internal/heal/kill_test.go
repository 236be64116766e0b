package heal

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/salveops/salve/agent/internal/journal"
	"github.com/salveops/salve/agent/internal/local"
	"github.com/salveops/salve/pkg/incident"
)

// two is a service that is judged by its probe, with a remedy that can be taken back before the one that
// restarts.
const two = `
autonomy = "full"
allow {
  units   = ["checkout.service"]
  actions = ["start", "restart", "set_property"]
}
allow {
  exec    = ["/opt/hook"]
  actions = ["exec"]
}
notifier "journald" "log" {}
escalation "default" {
  step { notify = ["journald.log"] }
}
---
service "checkout" {
  startup = "5s"
  probe "health" {
    http    = "http://127.0.0.1:8080/"
    every   = "1s"
    timeout = "500ms"
  }
  remedy "set_property" "limit" {
    properties = { CPUQuota = "20%" }
    verify {
      when   = probe.health.ok
      within = "10s"
      hold   = "3s"
    }
  }
  remedy "restart" "restart" {
    verify {
      when   = probe.health.ok
      within = "20s"
      hold   = "3s"
    }
  }
  remedy "exec" "hook" {
    command = ["/opt/hook"]
    verify {
      when   = probe.health.ok
      within = "10s"
      hold   = "3s"
    }
  }
}
rule "ill" {
  services  = ["checkout"]
  severity  = "critical"
  when      = !probe.health.ok
  for       = "2s"
  clear_for = "2s"
  try       = ["limit", "restart"]
}
`

const health = "probe.health.ok{checkout}"

// stories are whole lives of incidents. Wherever the agent is killed in them, they end well.
var stories = []struct {
	name  string
	conf  string
	begin func(*rig)
	ends  incident.State
	last  time.Duration // all is over after this
	chain string        // what is done, one after the other, wherever it is killed; "": that differs
}{
	{"crash", one, func(h *rig) { h.Fails("checkout.service") }, incident.Resolved, 2 * time.Minute, ""},
	{"the first remedy does not help", two, func(h *rig) {
		h.Trait("checkout.service", trait{cures: func() { h.Tells(health, 1) }})
		h.Tells(health, 0)
	}, incident.Resolved, 4 * time.Minute, "set_property checkout.service, undo limit checkout.service, restart checkout.service"},
	{"nothing helps", one, func(h *rig) {
		h.Trait("checkout.service", trait{broken: true})
		h.Fails("checkout.service")
	}, incident.Escalated, 10 * time.Minute, ""},
	{"a person asks", two, func(h *rig) {
		h.asks("limit")
	}, incident.Resolved, 2 * time.Minute, ""},
	{"a person asks for a program", two, func(h *rig) { h.asks("hook") }, incident.Resolved, 2 * time.Minute, ""},
	{"nobody can verify it", two, func(h *rig) {
		h.Tells(health, 0)
		h.Advance(4 * time.Second)
		h.Silent(health)
	}, incident.Escalated, 7 * time.Minute, ""},
	{"sick, with a controller", sick, func(h *rig) {
		h.Trait("checkout.service", trait{cures: func() { h.Tells(health, 1) }})
		h.Tells(health, 0)
	}, incident.Resolved, 4 * time.Minute, ""},
	{"dead, with a controller", sick, func(h *rig) { h.Fails("checkout.service") }, incident.Resolved, 2 * time.Minute, ""},
	{"the first remedy does not help, with a controller", controlled(two), func(h *rig) {
		h.Trait("checkout.service", trait{cures: func() { h.Tells(health, 1) }})
		h.Tells(health, 0)
	}, incident.Resolved, 5 * time.Minute, "set_property checkout.service, undo limit checkout.service, restart checkout.service"},
	{"the line breaks in the middle", sick, func(h *rig) {
		h.Trait("checkout.service", trait{takes: time.Second, cures: func() { h.Tells(health, 1) }})
		h.at["step act"] = h.node.Cut
		h.at["acting"] = h.node.Cut
		h.Tells(health, 0)
	}, incident.Resolved, 4 * time.Minute, ""},
	{"a person asks, with a controller", controlled(two), func(h *rig) { h.asks("hook") }, incident.Resolved, 2 * time.Minute, ""},
}

// TestKilledAtEveryStep walks all points at which the agent can die: before each step, before and after
// each write to the journal, and around the act itself. KILLS=1/3 is every third point, beginning with the second.
func TestKilledAtEveryStep(t *testing.T) {
	part, of := 0, 1
	if text := os.Getenv("KILLS"); text != "" {
		if _, err := fmt.Sscanf(text, "%d/%d", &part, &of); err != nil || of < 1 {
			t.Fatalf("KILLS=%s: want 1/3 for every third point", text)
		}
	}
	for _, s := range stories {
		t.Run(s.name, func(t *testing.T) {
			points := 0
			for at := 0; at <= points; at++ {
				if at > 0 && at%of != part {
					continue
				}
				synctest.Test(t, func(t *testing.T) {
					h := newRig(t, s.conf)
					defer h.end()
					h.Tells(health, 1)
					h.Tells(alive, 1)
					h.Advance(3 * time.Second)
					h.passed, h.killAt = nil, at
					s.begin(h)
					h.live(s.last)
					where := "never killed"
					if at > 0 {
						where = fmt.Sprintf("killed at point %d, %s", at, h.passed[at-1])
					} else {
						points = len(h.passed)
					}
					h.wantEnded(where, s.ends)
					if did := slices.Compact(strings.Split(h.taken(), "\n")); s.chain != "" && strings.Join(did, ", ") != s.chain {
						t.Errorf("%s: done was %q\n%s", where, did, h.Story())
					}
				})
			}
			if t.Logf("killed at each of %d points", points); points < 15 {
				t.Error("these are too few to be all")
			}
		})
	}
}

// asks runs a remedy by hand, and follows it until it ends or the agent does.
func (h *rig) asks(remedy string) {
	p := h.p
	go p.RunByHand(h.ctx(), local.RunRequest{Remedy: remedy, By: "eve"}, func(local.Event) error { return nil })
	synctest.Wait()
}

// live lets time pass, and starts the agent again when it was killed.
func (h *rig) live(d time.Duration) {
	for end := h.clock.Now().Boot + d; h.clock.Now().Boot < end; h.Advance(100 * time.Millisecond) {
		if h.p.dead.Load() {
			h.Restarts()
		}
	}
}

// wantEnded checks what must hold at the end of every story.
func (h *rig) wantEnded(where string, ends incident.State) {
	h.t.Helper()
	for _, a := range h.disk.attempts() {
		if a.Open() {
			h.t.Errorf("%s: attempt %s is left %s\n%s", where, a.ID, a.Phase, h.Story())
		}
		if first := h.disk.phases[a.ID][0]; first != incident.Intended {
			h.t.Errorf("%s: the first that the disk saw of attempt %s is %s", where, a.ID, first)
		}
	}
	found, err := h.p.disk.Incidents(journal.Filter{})
	if err != nil {
		h.t.Fatal(err)
	}
	for _, i := range found {
		if len(i.Alerts) == 0 && h.unknown(i.ID) && i.State != incident.Escalated {
			h.t.Errorf("%s: it is unknown what was done, and the incident is %s\n%s", where, i.State, h.Story())
		}
		told := slices.Contains(h.told(), "trigger checkout: journald.log")
		switch {
		case i.State == incident.Resolved:
		case i.State == incident.Escalated && told:
		default:
			h.t.Errorf("%s: incident is %s, people were told: %v\n%s", where, i.State, told, h.Story())
		}
	}
	h.wantSettled(where)
	if len(found) == 0 && len(h.disk.attempts()) == 0 {
		return // it died before anything was written or done
	}
	for _, a := range h.disk.attempts() {
		if a.Phase == incident.Unknown && len(h.told()) == 0 {
			h.t.Errorf("%s: nobody was told that attempt %s is unknown\n%s", where, a.ID, h.Story())
		}
	}
	unknown := slices.ContainsFunc(h.disk.attempts(), func(a *incident.Attempt) bool {
		return a.Phase == incident.Unknown
	})
	if len(found) == 0 || found[0].State != ends && !unknown {
		h.t.Errorf("%s: the story did not end as %s\n%s", where, ends, h.Story())
	}
}

// wantSettled: in the end the controller counts nothing any more, and has heard of every alert and its end.
func (h *rig) wantSettled(where string) {
	h.t.Helper()
	if h.node == nil {
		return
	}
	h.connected()
	h.Advance(10 * time.Second)
	if got := h.node.Permits(); len(got) > 0 {
		h.t.Errorf("%s: the controller still counts %q\n%s\n%s", where, got, h.node.Log(), h.Story())
	}
	firing := map[uint64]bool{}
	for _, ev := range h.node.Events("h") {
		if ev.GetFired().GetKey().GetStream() == h.disk.stream { // a journal that lost some tells what fires anew
			firing[ev.GetN()] = true
		}
		if k := ev.GetResolved().GetKey(); k.GetStream() == h.disk.stream {
			delete(firing, k.GetN())
		}
	}
	found, err := h.p.disk.Incidents(journal.Filter{})
	if err != nil {
		h.t.Fatal(err)
	}
	for _, i := range found {
		for _, a := range i.Alerts {
			if a.Resolved.IsZero() {
				delete(firing, a.Key.N)
			}
		}
	}
	if len(firing) > 0 {
		h.t.Errorf("%s: for the controller alerts %v fire, and here they are over\n%s", where, firing, h.Story())
	}
}

func (h *rig) told() []string {
	h.pageMu.Lock()
	defer h.pageMu.Unlock()
	return slices.Clone(h.pages)
}

// unknown reports whether it is not known what an attempt of the incident did.
func (h *rig) unknown(id string) bool {
	return slices.ContainsFunc(h.disk.attempts(), func(a *incident.Attempt) bool {
		return a.Incident == id && a.Phase == incident.Unknown
	})
}
