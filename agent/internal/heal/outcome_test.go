package heal

import (
	"strings"
	"testing"
	"time"

	"github.com/salveops/salve/agent/internal/systemd"
	"github.com/salveops/salve/pkg/incident"
)

// What verification says of an attempt, and what follows from it.

func TestIneffectiveIsTakenBackAndTheNextTried(t *testing.T) {
	heals(t, two, func(h *rig) {
		h.Trait("checkout.service", trait{cures: func() { h.Tells(health, 1) }})
		h.Tells(health, 0)
		h.Advance(2 * time.Minute)
		h.WantActs("set_property checkout.service", "undo limit checkout.service", "restart checkout.service")
		h.WantOutcomes("checkout", "limit ineffective", "restart verified")
		h.WantState("checkout", incident.Resolved)
		h.WantSaid("checkout", "limit was taken back", "restart healed it")
		h.WantPages()
		if got := h.Last("checkout").Runs[0]; got.Phase != incident.Undone {
			t.Errorf("the limit is %s", got.Phase)
		}
	})
}

// While the limit is being verified, the unit that it should help fails.
func TestWorseIsTakenBackAtOnce(t *testing.T) {
	mild := strings.Replace(two, `"critical"`, `"warning"`, 1)
	heals(t, mild+worse, func(h *rig) {
		h.Trait("checkout.service", trait{cures: func() { h.Tells(health, 1) }})
		h.Tells(health, 0)
		h.Until("acting", time.Minute, func() bool { return h.count() == 1 })
		h.Advance(2 * time.Second)
		h.Fails("checkout.service")
		h.Advance(100 * time.Millisecond)
		h.WantActs("set_property checkout.service", "undo limit checkout.service", "restart checkout.service")
		h.Advance(time.Minute)
		h.WantOutcomes("checkout", "limit worse", "restart verified")
	})
}

// TestProbesAskAfresh: what a service's probes asked before the end of an action does not count as seen after it.
func TestProbesAskAfresh(t *testing.T) {
	heals(t, one, func(h *rig) {
		h.Trait("checkout.service", trait{takes: 5 * time.Second})
		h.Fails("checkout.service")
		h.Until("acting", time.Minute, func() bool { return h.count() == 1 })
		h.Advance(4 * time.Second)
		if got := h.p.afresh.Load(); got != nil {
			t.Errorf("%s is asked afresh while it is being restarted", *got)
		}
		h.Advance(2 * time.Second)
		if got := h.p.afresh.Load(); got == nil || *got != "checkout" {
			t.Error("the service was not asked afresh after the restart")
		}
	})
}

// What turned bad while an attempt waited for its permit was not made worse by what it did afterwards.
func TestIllBeforeTheActionIsNotWorse(t *testing.T) {
	conf := strings.Replace(controlled(two), `probe "health"`, "probe \"alive\" { tcp = \"127.0.0.1:8080\" }\n  probe \"health\"", 1)
	fleets(t, conf, func(h *rig) {
		h.when("step permit", func() {
			h.Tells(alive, 0)
			time.Sleep(2 * time.Second)
		})
		h.falls()
		h.Until("acting", time.Minute, func() bool { return h.count() == 1 })
		h.Tells(health, 1)
		h.Advance(time.Minute)
		h.WantActs("set_property " + unit)
		h.WantOutcomes("checkout", "limit verified")
	})
}

const worse = `
rule "down" {
  services = ["checkout"]
  severity = "critical"
  when     = unit.failed
  try      = ["restart"]
}
`

// A restart that ends in failure needs no verification to be over.
func TestDeadAgainAtOnce(t *testing.T) {
	heals(t, one, func(h *rig) {
		h.Trait("checkout.service", trait{dies: 2 * time.Second})
		h.Fails("checkout.service")
		h.Advance(3 * time.Second)
		h.WantOutcomes("checkout", "restart ineffective")
		h.WantSaid("checkout", "failed again")
	})
}

func TestUndoThatFailsGoesToPeople(t *testing.T) {
	heals(t, two, func(h *rig) {
		h.p.undoFails.Store(true)
		h.Tells(health, 0)
		h.Until("undoing", time.Minute, func() bool { return len(h.stepsPassed("undoing")) == 3 })
		h.Advance(2 * time.Second)
		h.WantPages("trigger checkout: journald.log")
		h.WantSaid("checkout", "limit could not be taken back: systemd refused")
		h.Tells(health, 1)
		h.Advance(time.Minute)
		h.WantState("checkout", incident.Escalated) // the limit may still be there
		if _, err := h.p.Acknowledge(h.ctx(), h.Last("checkout").ID, false, "", "eve"); err != nil {
			t.Fatal(err)
		}
		h.WantState("checkout", incident.Resolved)
		h.wantEnded("undo failed", incident.Resolved)
	})
}

// An undo that fails once is tried again.
func TestUndoIsTriedAgain(t *testing.T) {
	heals(t, two, func(h *rig) {
		h.Trait("checkout.service", trait{cures: func() { h.Tells(health, 1) }})
		h.p.undoFails.Store(true)
		h.Tells(health, 0)
		h.Until("undoing", time.Minute, func() bool { return len(h.stepsPassed("undoing")) == 1 })
		h.p.undoFails.Store(false)
		h.Advance(time.Minute)
		h.WantActs("set_property checkout.service", "undo limit checkout.service", "restart checkout.service")
		h.WantPages()
	})
}

// The action does not come through: systemd is gone for a while.
func TestSystemdGoneAndBack(t *testing.T) {
	heals(t, one, func(h *rig) {
		h.say(systemd.Disconnected, "")
		h.mu.Lock()
		u := h.units["checkout.service"]
		u.Active, u.Sub, u.Result, u.MainPID, u.Stopped = "failed", "failed", "signal", 0, systemd.Itself
		h.mu.Unlock()
		h.Advance(time.Minute)
		h.WantActs()
		h.WantState("checkout", "")
		h.say(systemd.Connected, "running")
		h.Advance(20 * time.Second)
		h.WantActs("restart checkout.service")
		h.WantState("checkout", incident.Resolved)
	})
}

func TestSecondAlertJoinsTheIncident(t *testing.T) {
	heals(t, two+worse, func(h *rig) {
		h.Trait("checkout.service", trait{takes: 5 * time.Second, cures: func() { h.Tells(health, 1) }})
		h.Fails("checkout.service")
		h.Tells(health, 0)
		h.Advance(4 * time.Second)
		h.Advance(time.Minute)
		h.WantActs("restart checkout.service")
		if n := len(h.disk.order); n != 1 {
			t.Errorf("%d incidents", n)
		}
		h.WantState("checkout", incident.Resolved)
	})
}

// Disk full: nothing is done, everything else goes on, and people hear of it.
func TestDiskFull(t *testing.T) {
	heals(t, one, func(h *rig) {
		h.disk.fill(true)
		h.Fails("checkout.service")
		h.Advance(time.Minute)
		h.WantActs()
		if st, err := h.p.Status(h.ctx()); err != nil || st.Tick.Count < 50 || len(st.Problems) == 0 {
			t.Errorf("%+v, %v", st, err)
		}
		h.Advance(5 * time.Minute)
		h.WantActs()
		h.WantPages("trigger checkout: journald.log")
		if n := len(h.stepsPassed("step prepare")); n > 30 {
			t.Errorf("an unwritable journal was asked %d times in six minutes", n)
		}
		h.disk.fill(false)
		h.Advance(time.Minute)
		h.WantActs("restart checkout.service")
		h.WantState("checkout", incident.Resolved)
		h.WantPages("resolve checkout: journald.log")
		if n := len(h.Last("checkout").Attempts); n != 1 {
			t.Errorf("%d attempts are remembered; those that never began are none", n)
		}
	})
}

func (d *disk) fill(full bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.full = full
}

// The wall clock jumps both ways, and nothing changes.
func TestClockJumps(t *testing.T) {
	for _, jump := range []time.Duration{0, 10 * 24 * time.Hour, -10 * 24 * time.Hour} {
		heals(t, one, func(h *rig) {
			h.Trait("checkout.service", trait{broken: true})
			h.Fails("checkout.service")
			h.Advance(30 * time.Second)
			h.clock.wrong.Store(int64(jump))
			h.Advance(30 * time.Minute)
			h.clock.wrong.Store(0)
			h.Advance(20 * time.Minute)
			h.WantActs("restart checkout.service", "restart checkout.service", "restart checkout.service")
			for i, gap := range h.gaps() {
				if gap < time.Minute || gap > 2*time.Minute {
					t.Errorf("jump %v: gap %d is %v", jump, i, gap)
				}
			}
			h.WantState("checkout", incident.Escalated)
		})
	}
}

// A limit whose time is over while it is being verified was taken back, and is not taken back once more: somebody may have
// changed by hand meanwhile what it had changed.
func TestTakenBackOnlyOnce(t *testing.T) {
	heals(t, two, func(h *rig) {
		h.Trait("checkout.service", trait{cures: func() { h.Tells(health, 1) }})
		h.Tells(health, 0)
		h.Until("acting", time.Minute, func() bool { return h.count() == 1 })
		h.Advance(2 * time.Second)
		if _, err := h.p.o.Act.Undo(h.ctx(), h.Last("checkout").Runs[0].ID); err != nil {
			t.Fatal(err)
		}
		h.Advance(2 * time.Minute)
		h.WantActs("set_property checkout.service", "undo limit checkout.service", "restart checkout.service")
		h.WantOutcomes("checkout", "limit ineffective", "restart verified")
	})
}

// What a remedy is asked for comes with the figure that its alert fires for, as a program may be told.
func TestRequestHasTheValue(t *testing.T) {
	heals(t, two, func(h *rig) {
		h.Tells(health, 0)
		h.Until("acting", time.Minute, func() bool { return h.count() == 1 })
		hands := h.p.o.Act.(*hands)
		hands.lock.Lock()
		defer hands.lock.Unlock()
		for plan, q := range hands.plans {
			if q.Value == nil || *q.Value != 0 {
				t.Errorf("%s was asked for with the value %v, want 0", plan, q.Value)
			}
		}
	})
}
