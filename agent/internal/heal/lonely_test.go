package heal

import (
	"strings"
	"testing"
	"time"

	"github.com/salveops/salve/pkg/incident"
	"github.com/salveops/salve/pkg/permit"
	"github.com/salveops/salve/proto/agentpb"
	"github.com/salveops/salve/proto/logpb"
)

// What an agent does whose controller is out of reach: the table of the design, row by row.

// minority-frozen: beside nodes that have no majority everything goes on that needs no permit, and people hear of
// the rest.
func TestMinorityFrozen(t *testing.T) {
	fleets(t, sick, func(h *rig) {
		h.node.Last(&agentpb.ConnectResponse{What: &agentpb.ConnectResponse_NoQuorum{NoQuorum: &agentpb.NoQuorum{Since: 3e10}}})
		h.node.Cut()
		h.Advance(time.Minute)
		h.Fails(unit)
		h.Advance(100 * time.Millisecond)
		h.WantActs("restart " + unit) // what is dead is started
		h.Advance(time.Minute)
		h.WantState("checkout", incident.Resolved)
		h.falls()
		h.WantActs() // what serves waits
		h.WantSaid("checkout", "restart has no permit: the controller cannot be reached: the node sees no leader")
		h.Advance(14 * time.Minute)
		h.WantActs()
		h.WantPages("trigger checkout: journald.log")
		h.node.Last(nil)
		h.connected()
		h.Advance(time.Second)
		h.WantActs("restart " + unit) // on the facts of now
		h.Advance(20 * time.Second)
		h.WantState("checkout", incident.Resolved)
		h.WantPages("resolve checkout: journald.log")
	})
}

// Once the line is back, nothing old is done as new.
func TestReconnectReplaysNothing(t *testing.T) {
	fleets(t, sick, func(h *rig) {
		h.node.Down(true)
		h.falls()
		h.Advance(5 * time.Minute)
		h.Tells(health, 1)
		h.Advance(5 * time.Second)
		h.node.Down(false)
		h.connected()
		h.Advance(time.Minute)
		h.WantActs()
		h.wantLine()
		h.WantState("checkout", incident.Resolved)
	})
}

// split-brain: a host that is cut off takes nothing away that it serves, however long that lasts, without the
// right to.
func TestSplitBrain(t *testing.T) {
	fleets(t, sick, func(h *rig) {
		h.node.Order("checkout", func(o *agentpb.ServiceOrder) { o.Sole = false })
		h.Advance(time.Second)
		h.node.Down(true)
		h.falls()
		h.Advance(3 * time.Hour)
		h.WantActs()
	})
}

// The only host of a service acts alone, and no sooner than three times the lost time after the last round trip.
func TestOnlyHostActsAlone(t *testing.T) {
	for name, order := range map[string]func(*agentpb.ServiceOrder){
		"sole":      func(o *agentpb.ServiceOrder) { o.Sole = true },
		"alone_act": func(o *agentpb.ServiceOrder) { o.AloneAct = true },
	} {
		t.Run(name, func(t *testing.T) {
			fleets(t, sick, func(h *rig) {
				h.node.Order("checkout", order)
				h.Advance(time.Second)
				h.node.Down(true)
				h.falls()
				h.Advance(permit.AloneAfter - 6*time.Second)
				h.WantActs()
				h.WantSaid("checkout", "restart waits for its permit: the controller cannot be reached")
				h.Advance(12 * time.Second)
				h.WantActs("restart " + unit)
				h.WantSaid("checkout", "this host may act alone")
				h.Advance(time.Minute)
				h.WantState("checkout", incident.Resolved)
			})
		})
	}
}

// The right outlives the process, and the wait begins anew with it.
func TestAloneAfterARestart(t *testing.T) {
	fleets(t, sick, func(h *rig) {
		h.node.Order("checkout", func(o *agentpb.ServiceOrder) { o.Sole = true })
		h.Advance(time.Second)
		h.node.Down(true)
		h.Advance(time.Minute)
		h.Restarts()
		h.falls()
		h.Advance(permit.AloneAfter - 6*time.Second)
		h.WantActs()
		h.Advance(12 * time.Second)
		h.WantActs("restart " + unit)
	})
}

// A right that was taken back is gone; what began under it is counted when the line is back in the middle.
func TestAloneEnds(t *testing.T) {
	fleets(t, sick, func(h *rig) {
		h.Trait(unit, trait{takes: 4 * time.Second, cures: func() { h.Tells(health, 1) }})
		h.node.Order("checkout", func(o *agentpb.ServiceOrder) { o.Sole = true })
		h.Advance(time.Second)
		h.node.Down(true)
		h.falls()
		h.Until("acting", time.Minute, func() bool { return h.count() == 1 })
		h.WantActs("restart " + unit)
		h.node.Order("checkout", func(o *agentpb.ServiceOrder) { o.Sole = false })
		h.node.Down(false)
		h.connected()
		if got := h.node.Permits(); len(got) != 1 || !strings.HasPrefix(got[0], "1@alone-h") {
			t.Errorf("counted are %q", got)
		}
		h.Advance(20 * time.Second)
		if got := h.node.Permits(); len(got) != 0 {
			t.Errorf("counted are %q", got)
		}
		h.WantState("checkout", incident.Resolved)
		h.node.Down(true)
		h.falls()
		h.Advance(10 * time.Minute)
		h.WantActs()
	})
}

// The controller's pauses, windows, breakers and autonomy bind while it is out of reach, also across a restart of
// the agent.
func TestLastOrdersHold(t *testing.T) {
	for _, c := range []struct {
		name string
		on   func(*rig)
		says string
		off  func(*rig)
	}{
		{"pause of all", func(h *rig) { h.node.Pause("all", "eve", 0) }, "everything is paused by eve", func(h *rig) { h.node.Resume("") }},
		{"pause of this host", func(h *rig) { h.node.Pause("host:h", "eve", 0) }, "everything is paused by eve",
			func(h *rig) { h.node.Resume("") }},
		{"pause of the service", func(h *rig) { h.node.Pause("service:checkout", "eve", 0) }, "service checkout is paused by eve",
			func(h *rig) { h.node.Resume("") }},
		{"pause of the unit", func(h *rig) { h.node.Pause("unit:"+unit, "eve", 0) }, "unit checkout.service is paused by eve",
			func(h *rig) { h.node.Resume("") }},
		{"autonomy", func(h *rig) {
			h.node.Order("checkout", func(o *agentpb.ServiceOrder) { o.Autonomy = "observe" })
		}, "autonomy is observe, nothing is done", func(h *rig) {
			h.node.Order("checkout", func(o *agentpb.ServiceOrder) { o.Autonomy = "" })
		}},
		{"a level of a newer controller", func(h *rig) {
			h.node.Order("checkout", func(o *agentpb.ServiceOrder) { o.Autonomy = "approve" })
		}, "autonomy is observe, nothing is done", func(h *rig) {
			h.node.Order("checkout", func(o *agentpb.ServiceOrder) { o.Autonomy = "full" })
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			fleets(t, sick, func(h *rig) {
				c.on(h)
				h.Advance(time.Second)
				h.node.Down(true)
				h.Restarts()
				h.Fails(unit)
				h.Advance(time.Minute)
				h.WantActs()
				h.WantSaid("checkout", c.says)
				c.off(h)
				h.node.Down(false)
				h.connected()
				h.Advance(time.Second)
				h.WantActs("restart " + unit)
			})
		})
	}
}

// A pause of another host or service holds nothing back here.
func TestPausesOfOthers(t *testing.T) {
	fleets(t, sick, func(h *rig) {
		h.node.Pause("host:other", "eve", 0)
		h.node.Pause("service:other", "eve", 0)
		h.Advance(time.Second)
		h.falls()
		h.WantActs("restart " + unit)
	})
}

// A pause with an end holds until the controller says that it is over; out of reach, for its whole time from when
// it was first known here, whatever the wall clock shows.
func TestPauseEndsOutOfReach(t *testing.T) {
	fleets(t, sick, func(h *rig) {
		from := time.Now().UnixNano()
		h.node.Pause("all", "eve", from+int64(10*time.Minute))
		h.node.SetFrom(from)
		h.Advance(11 * time.Minute)
		h.Fails(unit)
		h.Advance(5 * time.Second)
		h.WantActs() // the controller has not said so
		h.node.Down(true)
		h.clock.wrong.Store(int64(-3 * time.Hour))
		h.Advance(10 * time.Second)
		h.WantActs("restart " + unit)
	})
}

// mass-action, breaker-blocks-recovery, breaker-replays-the-past: an open breaker holds back what does not start a
// dead unit, permit-free remedies too; when it closes nothing old is done.
func TestBreaker(t *testing.T) {
	fleets(t, sick, func(h *rig) {
		h.node.Breaker("checkout", "ill", true)
		h.falls()
		h.Advance(time.Minute)
		h.WantActs()
		h.wantLine() // it was not even asked for
		h.WantSaid("checkout", "ill fires on many hosts of checkout at once: a common cause")
		h.Fails(unit)
		h.Advance(100 * time.Millisecond)
		h.WantActs("restart " + unit)
		h.Advance(time.Minute)
		h.falls()
		h.Tells(health, 1)
		h.Advance(5 * time.Second)
		h.node.Breaker("checkout", "ill", false)
		h.Advance(time.Minute)
		h.WantActs()
	})
}

// An undo passes the breaker.
func TestUndoPassesTheBreaker(t *testing.T) {
	fleets(t, controlled(two), func(h *rig) {
		h.at["acted"] = func() {
			h.node.Breaker("checkout", "ill", true)
			time.Sleep(50 * time.Millisecond)
		}
		h.falls()
		h.Advance(15 * time.Second)
		h.WantActs("set_property "+unit, "undo limit "+unit)
		h.wantLine("grant 1@g1 limit", "settle 1@g1 failed")
	})
}

// child-before-parent, across hosts: a dependent waits for as long as the rules of its dependency's hosts need,
// and while that has an incident it is neither treated nor told. Once the controller is lost nobody knows, and
// what is not known mutes nobody.
func TestDependencyOnAnotherHost(t *testing.T) {
	conf := strings.Replace(sick, `startup = "5s"`, "startup = \"5s\"\n  depends_on = [\"postgres\"]", 1)
	fleets(t, conf, func(h *rig) {
		h.node.Order("postgres", func(o *agentpb.ServiceOrder) { o.Detection = int64(5 * time.Second) })
		h.Advance(time.Second) // until the order has arrived
		h.Fails(unit)
		h.Advance(4 * time.Second)
		h.WantActs()
		h.WantSaid("checkout", "checkout depends on postgres, whose own rules need 5s to notice a fault")
		h.node.Order("postgres", func(o *agentpb.ServiceOrder) { o.Incident = true })
		h.Advance(20 * time.Minute)
		h.WantActs()
		h.WantPages()
		h.WantSaid("checkout", "muted: checkout depends on postgres, which has an open incident")
		h.node.Down(true)
		h.Advance(time.Minute)
		h.WantActs("restart " + unit)
	})
}

// A window of the controller's holds here when it cannot be asked. In a zone that this host does not know it
// counts as UTC.
func TestWindowOutOfReach(t *testing.T) {
	fleets(t, sick, func(h *rig) {
		h.node.Window(&logpb.Window{Name: "night", From: "00:00", To: "01:00", Zone: "Nowhere/Atall", Reason: "backup"})
		h.Advance(time.Second)
		h.node.Down(true)
		h.Fails(unit)
		h.Advance(30 * time.Minute)
		h.WantActs()
		h.WantSaid("checkout", "window night is open")
		h.Advance(31 * time.Minute)
		h.WantActs("restart " + unit)
	})
}

// No intent, no action: with a full disk nothing is asked for, and alerts reach the controller all the same.
func TestDiskFullWithAController(t *testing.T) {
	fleets(t, sick, func(h *rig) {
		h.disk.fill(true)
		h.falls()
		h.Fails(unit)
		h.Advance(time.Minute)
		h.WantActs()
		h.wantTold([]string{"fired"}, "fired ill", "fired down")
		h.disk.fill(false)
		h.Advance(time.Minute)
		h.WantState("checkout", incident.Resolved)
		if got := h.node.Permits(); len(got) > 0 {
			t.Errorf("counted are %q", got)
		}
	})
}
