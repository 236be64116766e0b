package heal

import (
	"strings"
	"testing"
	"time"

	"github.com/salveops/salve/agent/internal/systemd"
	"github.com/salveops/salve/pkg/incident"
)

const unit = "checkout.service"

// TestGuards: each holds a restart back that would run otherwise, says why, and lets it run when it is
// gone.
func TestGuards(t *testing.T) {
	limited := strings.Replace(one, `remedy "restart" "restart" {}`, `remedy "restart" "restart" {
    precondition = host.memory.available_ratio > 10 * percent
  }`, 1)
	for _, c := range []struct {
		name  string
		conf  string // "": one
		on    func(*rig)
		fails func(*rig) // nil: the unit fails
		says  string
		off   func(*rig) // nil: time does it
		after time.Duration
	}{
		{name: "paused", on: func(h *rig) { h.Pauses("all", 0) }, says: "everything is paused by eve", off: (*rig).Resumes},
		{name: "unit paused", on: func(h *rig) { h.Pauses("unit:"+unit, 0) }, says: "paused by eve", off: (*rig).Resumes},
		{name: "pause ends by itself", on: func(h *rig) { h.Pauses("service:checkout", time.Minute) }, says: "paused by eve",
			after: time.Minute},
		{name: "paused while it is prepared", on: func(h *rig) { h.pauseAt("step prepare") }, says: "paused by eve",
			off: (*rig).Resumes},
		{name: "window", conf: strings.Replace(one, "---\n", "---\n"+window, 1), says: "window night is open",
			after: time.Hour},
		{name: "system starting", on: func(h *rig) { h.say(systemd.System, "starting") },
			says: "the system is still starting",
			off:  func(h *rig) { h.say(systemd.System, "running") }},
		{name: "system stopping", on: func(h *rig) { h.say(systemd.System, "stopping") }, says: "the system is shutting down",
			off: func(h *rig) { h.say(systemd.System, "running") }},
		{name: "maintenance", on: func(h *rig) { h.say(systemd.System, "maintenance") }, says: "maintenance",
			off: func(h *rig) { h.say(systemd.System, "degraded") }},
		{name: "masked", fails: func(h *rig) {
			h.change(unit, func(u *systemd.Unit) {
				u.Active, u.Load, u.MainPID, u.Stopped = "failed", "masked", 0, systemd.Itself
			})
		}, says: "is masked: a person wants it", off: func(h *rig) {
			h.change(unit, func(u *systemd.Unit) { u.Load = "loaded" })
		}},
		{name: "a person's stop ended as failed", fails: func(h *rig) {
			h.change(unit, func(u *systemd.Unit) { u.Active, u.MainPID, u.Stopped = "failed", 0, systemd.Person })
		}, says: "was stopped by a person"},
		{name: "systemd restarts it itself", conf: restarts, fails: func(h *rig) {
			h.change(unit, func(u *systemd.Unit) {
				u.Active, u.Sub, u.MainPID, u.NRestarts = "activating", "auto-restart", 0, 1
			})
		}, says: "systemd itself is about to restart", off: func(h *rig) { h.fail(unit, "exit-code") }},
		{name: "systemd has a job", fails: func(h *rig) {
			h.change(unit, func(u *systemd.Unit) { u.Active, u.MainPID, u.Stopped, u.Job = "failed", 0, systemd.Itself, 7 })
		}, says: "systemd has a job", off: func(h *rig) { h.change(unit, func(u *systemd.Unit) { u.Job = 0 }) }},
		{name: "package transaction", on: func(h *rig) {
			h.packaged()
			h.Locks("/var/lib/dpkg/lock")
		}, says: "a package transaction is under way", off: func(h *rig) { h.Locks("") }},
		{name: "precondition", conf: limited, on: func(h *rig) {
			h.Tells("host.memory.available_ratio", .05)
			h.Advance(time.Second)
		},
			says: "the precondition of restart does not hold", off: func(h *rig) { h.Tells("host.memory.available_ratio", .5) }},
		{name: "precondition not known", conf: limited, says: "the precondition of restart cannot be known",
			off: func(h *rig) { h.Tells("host.memory.available_ratio", .5) }},
		{name: "observe", conf: strings.Replace(one, `"full"`, `"observe"`, 1), says: "autonomy is observe, nothing is done"},
		{name: "depends", conf: depends, on: func(h *rig) {
			h.fail("postgres.service", "exit-code")
			h.Advance(time.Second)
		}, says: "muted: checkout depends on postgres", off: func(h *rig) {
			h.up("postgres.service")
			h.Advance(time.Minute)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			conf := c.conf
			if conf == "" {
				conf = one
			}
			heals(t, conf, func(h *rig) {
				h.Advance(2 * time.Second)
				if c.on != nil {
					c.on(h)
				}
				if c.fails == nil {
					c.fails = func(h *rig) { h.Fails(unit) }
				}
				c.fails(h)
				h.Advance(10 * time.Second)
				h.WantActs()
				h.WantSaid("checkout", c.says)
				if c.off == nil && c.after == 0 {
					return
				}
				if c.off != nil {
					c.off(h)
				}
				h.Advance(c.after + 35*time.Second)
				h.WantActs("restart " + unit)
			})
		})
	}
}

const window = `
window "night" {
  from     = "00:00"
  to       = "01:00"
  zone = "UTC"
}
`

const restarts = `
autonomy = "full"
allow {
  units   = ["checkout.service"]
  actions = ["restart"]
}
---
service "checkout" {
  startup = "1s"
  remedy "restart" "restart" {}
}
rule "down" {
  services = ["checkout"]
  when     = unit.restarts > 0
  try      = ["restart"]
}
`

const depends = `
autonomy = "full"
allow {
  units   = ["checkout.service"]
  actions = ["restart"]
}
notifier "journald" "log" {}
escalation "default" {
  step { notify = ["journald.log"] }
}
---
service "postgres" {}
service "checkout" {
  depends_on = ["postgres"]
  remedy "restart" "restart" {}
}
rule "down" {
  when     = unit.failed
  services = ["checkout", "postgres"]
  try      = ["restart"]
}
`

// A unit that a person stops is no symptom at all.
func TestPersonsStopIsNoFault(t *testing.T) {
	heals(t, one, func(h *rig) {
		h.stoppedByPerson()
		h.Advance(10 * time.Minute)
		h.WantActs()
		h.WantState("checkout", "")
	})
}

// What observe records: what it would have done, and that it was not needed.
func TestObserveRecords(t *testing.T) {
	heals(t, strings.Replace(one, `"full"`, `"observe"`, 1), func(h *rig) {
		h.Fails(unit)
		h.Advance(30 * time.Second)
		if got := h.Last("checkout").WouldHave; got != "restart" {
			t.Errorf("would have run %q", got)
		}
		h.up(unit)
		h.Advance(30 * time.Second)
		h.WantState("checkout", incident.Resolved)
		h.WantSaid("checkout", "it cleared by itself; restart would have run")
	})
}

// Who acknowledges an incident stops new remedies; keeping them, or releasing it, lets them go on.
func TestAcknowledged(t *testing.T) {
	for _, keep := range []bool{false, true} {
		heals(t, one, func(h *rig) {
			h.Pauses("all", 0)
			h.Fails(unit)
			id := h.Last("checkout").ID
			if _, err := h.p.Acknowledge(h.ctx(), id, keep, "mine", "eve"); err != nil {
				t.Fatal(err)
			}
			h.Resumes()
			h.Advance(20 * time.Second)
			if keep {
				h.WantActs("restart " + unit)
				return
			}
			h.WantActs()
			h.WantState("checkout", incident.Acknowledged)
			if _, err := h.p.Release(h.ctx(), id, "eve"); err != nil {
				t.Fatal(err)
			}
			h.Advance(20 * time.Second)
			h.WantActs("restart " + unit)
		})
	}
}

// One unit of the service may be restarted, the other not.
func TestNotAllowed(t *testing.T) {
	heals(t, strings.Replace(fleet, `["worker@*.service"]`, `["worker@1.service"]`, 1), func(h *rig) {
		h.Fails("worker@2.service")
		h.Advance(time.Minute)
		h.WantActs()
		h.WantState("worker", incident.Escalated)
		h.WantSaid("worker", "no allow block of this host permits restart on worker@2.service")
		h.Fails("worker@1.service")
		h.Advance(time.Minute)
		h.WantActs("restart worker@1.service")
	})
}

// A host that needs so many remedies needs a person.
func TestHostRate(t *testing.T) {
	heals(t, strings.Replace(fleet, "autonomy", "per_hour = 1\nautonomy", 1), func(h *rig) {
		h.Fails("worker@1.service")
		h.Advance(30 * time.Second)
		h.Fails("worker@2.service")
		h.Advance(10 * time.Minute)
		h.WantActs("restart worker@1.service")
		h.WantSaid("worker", "this host already ran 1 remedies in the last hour")
		h.WantState("worker", incident.Escalated)
	})
}

// What cannot be known for long is told, not treated.
func TestBlind(t *testing.T) {
	heals(t, two, func(h *rig) {
		h.Silent(health)
		h.Advance(4 * time.Minute)
		h.WantState("checkout", "")
		h.Advance(2 * time.Minute)
		h.WantActs()
		h.WantState("checkout", incident.Escalated)
		h.WantPages("trigger checkout: journald.log")
		h.Tells(health, 1)
		h.Advance(5 * time.Second)
		h.WantState("checkout", incident.Resolved)
		h.WantPages("resolve checkout: journald.log")
	})
}

// It had begun to recover when its probe fell silent: that is neither recovery nor a reason to say nothing.
func TestRecoveringUnseen(t *testing.T) {
	heals(t, two, func(h *rig) {
		h.Tells(health, 0)
		h.Advance(50 * time.Second)
		h.Tells(health, 1)
		h.Advance(1500 * time.Millisecond)
		h.Silent(health)
		h.Advance(10 * time.Minute)
		h.WantState("checkout", incident.Escalated)
		h.WantPages("trigger checkout: journald.log")
	})
}

// A pause, at whichever step it comes: what is under way reaches its end, nothing new begins.
func TestPausedAtEachStep(t *testing.T) {
	for _, c := range []struct {
		at    string
		acts  []string
		later []string
	}{
		{"step prepare", nil, []string{"set_property " + unit, "undo limit " + unit, "restart " + unit}},
		{"step act", nil, []string{"set_property " + unit, "undo limit " + unit, "restart " + unit}},
		{"step judge", []string{"set_property " + unit, "undo limit " + unit}, []string{"restart " + unit}},
		{"step undo", []string{"set_property " + unit, "undo limit " + unit}, []string{"restart " + unit}},
	} {
		t.Run(c.at, func(t *testing.T) {
			heals(t, two, func(h *rig) {
				h.Trait(unit, trait{cures: func() { h.Tells(health, 1) }})
				h.pauseAt(c.at)
				h.Tells(health, 0)
				h.Advance(2 * time.Minute)
				h.WantActs(c.acts...)
				h.Resumes()
				h.Advance(2 * time.Minute)
				h.WantActs(c.later...)
				h.WantState("checkout", incident.Resolved)
			})
		})
	}
}
