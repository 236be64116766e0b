package heal

import (
	"strings"
	"testing"
	"time"

	"github.com/salveops/salve/pkg/incident"
)

// lasting is a service with a remedy that ends by itself, and earlier if its dependency is well again.
const lasting = `
autonomy = "full"
allow {
  circuits = ["payments"]
  actions  = ["isolate"]
}
notifier "journald" "log" {}
escalation "default" {
  step { notify = ["journald.log"] }
}
---
service "checkout" {
  startup = "5s"
  probe "health" { http = "http://127.0.0.1:8080/" }
  probe "payments" { tcp = "203.0.113.5:443" }
  circuit "payments" {
    addresses = ["203.0.113.5"]
    ports     = [443]
  }
  remedy "isolate" "cut" {
    circuit = "payments"
    for     = "1m"
    until   = held(probe.payments.ok, "10s")
    verify {
      when   = probe.health.ok
      within = "10s"
      hold   = "3s"
    }
  }
}
rule "ill" {
  services = ["checkout"]
  when     = !probe.health.ok
  for      = "2s"
  try      = ["cut"]
}
`

const dependency = "probe.payments.ok{checkout}"

// cut lets the remedy run, and help.
func (r *rig) cut() {
	r.t.Helper()
	r.Advance(30 * time.Second)
	r.Tells(health, 0)
	r.Until("acting", time.Minute, func() bool { return r.count() == 1 })
	r.Tells(health, 1)
}

// waits compares how many attempts may still end before their time; the others that ended are known to have.
func (r *rig) waits(want int) {
	r.t.Helper()
	if err := r.p.call(r.ctx(), func() {
		if got := len(r.p.Engine.inForce); got != want {
			r.t.Errorf("%d attempts may end before their time, want %d", got, want)
		}
		for _, a := range r.p.past.List() {
			if last, err := r.p.disk.Attempt(a.ID); err != nil || last.Phase != a.Phase {
				r.t.Errorf("the attempt is %s in memory, and on disk %s", a.Phase, last.Phase)
			}
		}
	}); err != nil {
		r.t.Fatal(err)
	}
}

// own-echo: what was seen before the dependency was cut off says nothing of how it is now.
func TestEndsBeforeItsTime(t *testing.T) {
	heals(t, lasting, func(h *rig) {
		h.Tells(dependency, 1)
		h.cut()
		h.Advance(9 * time.Second)
		h.WantActs("isolate payments")
		h.WantOutcomes("checkout", "cut verified")
		h.Advance(8 * time.Second)
		h.WantActs("undo cut payments")
		if got := h.Last("checkout").Runs[0]; got.Phase != incident.Undone || got.Outcome != incident.Verified {
			t.Errorf("the attempt is %s, %s", got.Phase, got.Outcome)
		}
		h.Advance(time.Minute)
		h.WantActs()
		h.waits(0)
	})
}

// no-data-no-success: one good answer is too little, and none is nothing. Its end in time is not this engine's.
func TestLastsItsTime(t *testing.T) {
	heals(t, lasting, func(h *rig) {
		h.cut()
		for range 5 {
			h.Tells(dependency, 1)
			h.Advance(5 * time.Second)
			h.Tells(dependency, 0)
			h.Advance(time.Second)
			h.Silent(dependency)
			h.Advance(5 * time.Second)
		}
		h.Advance(10 * time.Second)
		h.Tells(dependency, 1)
		h.Advance(time.Minute)
		h.WantActs("isolate payments")
		h.waits(0)
	})
}

// own-echo again: a window that reaches back to before the action has nothing from there in it. What cannot be taken back is
// tried again, not each second.
func TestEndsByWhatWasSeenAfterwards(t *testing.T) {
	const latency = "probe.payments.latency{checkout}"
	fast := strings.Replace(lasting, `held(probe.payments.ok, "10s")`, `min(probe.payments.latency, "30s") < 100 * ms`, 1)
	heals(t, fast, func(h *rig) {
		h.Tells(latency, 0.05)
		h.cut()
		h.Tells(latency, 0.5)
		h.Advance(20 * time.Second)
		h.WantActs("isolate payments")
		h.Tells(latency, 0.05)
		h.p.undoFails.Store(true)
		h.Advance(12 * time.Second)
		h.p.undoFails.Store(false)
		h.Advance(5 * time.Second)
		h.WantActs("undo cut payments")
		tries := 0
		for _, point := range h.passed {
			if point == "undoing" {
				tries++
			}
		}
		if tries < 3 || tries > 4 {
			t.Errorf("it was tried %d times", tries)
		}
	})
}

// What did not help is taken back by whoever judged it.
func TestIneffectiveNeedsNoEarlyEnd(t *testing.T) {
	heals(t, lasting, func(h *rig) {
		h.Tells(dependency, 1)
		h.Tells(health, 0)
		h.Advance(20 * time.Second)
		h.WantActs("isolate payments", "undo cut payments")
		h.waits(0)
	})
}

// Whatever comes in between, it is taken back, once.
func TestEndsBeforeItsTimeInSpiteOfAll(t *testing.T) {
	heals(t, lasting, func(h *rig) {
		h.Tells(dependency, 1)
		h.cut()
		h.Advance(8 * time.Second)
		h.Restarts() // and the next one has seen nothing yet
		h.Advance(8 * time.Second)
		if err := h.p.Swap(h.ctx(), load(t, lasting)); err != nil {
			t.Fatal(err)
		}
		h.Advance(8 * time.Second)
		h.WantActs("isolate payments")
		h.p.undoFails.Store(true)
		h.Advance(5 * time.Second)
		h.p.undoFails.Store(false)
		h.Advance(15 * time.Second)
		h.WantActs("undo cut payments")
	})
}
