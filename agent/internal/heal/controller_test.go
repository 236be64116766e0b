package heal

import (
	"strings"
	"testing"
	"time"

	"github.com/salveops/salve/pkg/incident"
	"github.com/salveops/salve/proto/agentpb"
	"github.com/salveops/salve/proto/logpb"
)

// sick is a service that is judged by one probe and serves as long as the other one answers, with a restart that
// takes away what it serves.
const sick = `
autonomy = "full"
allow {
  units   = ["checkout.service"]
  actions = ["start", "restart"]
}
notifier "journald" "log" {}
escalation "default" {
  step { notify = ["journald.log"] }
}
controller {
  addresses = ["127.0.0.1:7600", "127.0.0.1:7700"]
}
---
service "checkout" {
  startup = "5s"
  probe "health" {
    http    = "http://127.0.0.1:8080/"
    every   = "1s"
    timeout = "500ms"
  }
  probe "cert" {
    tls = "127.0.0.1:443"
  }
  probe "alive" {
    tcp     = "127.0.0.1:8080"
    every   = "1s"
    timeout = "500ms"
  }
  remedy "restart" "restart" {
    verify {
      when   = probe.health.ok
      within = "20s"
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
  try       = ["restart"]
  escalate { after = "10m" }
}
rule "down" {
  services = ["checkout"]
  severity = "critical"
  when     = unit.failed
  try      = ["restart"]
}
`

const alive = "probe.alive.ok{checkout}"

// fleets runs a test on a host with a controller, to which it is connected. A restart cures.
func fleets(t *testing.T, conf string, test func(*rig)) {
	t.Helper()
	heals(t, conf, func(h *rig) {
		h.Tells(health, 1)
		h.Tells(alive, 1)
		h.Trait(unit, trait{cures: func() { h.Tells(health, 1); h.Tells(alive, 1) }})
		h.connected()
		h.Advance(8 * time.Second) // it is older than its startup, and known to serve
		h.node.Log()
		test(h)
	})
}

// falls makes the service ill although it serves; it fires after 2 s.
func (h *rig) falls() {
	h.Tells(health, 0)
	h.Advance(4 * time.Second)
}

// What still serves is restarted with the controller's leave, and the permit is settled when it serves again.
func TestPermitted(t *testing.T) {
	fleets(t, sick, func(h *rig) {
		h.falls()
		h.WantActs("restart " + unit)
		h.wantLine("grant 1@g1 restart")
		if p := h.node.Permit(token(1)); p.GetUnit() != unit {
			t.Errorf("the controller knows of the unit %q", p.GetUnit())
		}
		h.Advance(20 * time.Second)
		h.wantLine("settle 1@g1 serving")
		h.WantOutcomes("checkout", "restart verified")
		h.WantState("checkout", incident.Resolved)
		h.WantSaid("checkout", "the controller permits restart")
		if a := h.disk.attempts()[0]; a.Permit == nil || a.Permit.Token != token(1) || a.Permit.Epoch != 1 {
			t.Errorf("on disk the attempt's permit is %+v", a.Permit)
		}
	})
}

// Starting what is dead takes nothing away: it waits for nobody, connected or not.
func TestDeadUnitNeedsNoPermit(t *testing.T) {
	fleets(t, sick, func(h *rig) {
		h.node.Refuse("cap", "another host is under repair", 1e9)
		h.Fails(unit)
		h.Advance(100 * time.Millisecond)
		h.WantActs("restart " + unit)
		h.Advance(2 * time.Minute)
		h.node.Down(true)
		h.Fails(unit)
		h.Advance(100 * time.Millisecond)
		h.WantActs("restart " + unit)
		h.wantLine()
	})
}

// permit = "always", here or at the controller, takes even that away.
func TestPermitAlways(t *testing.T) {
	for name, conf := range map[string]string{
		"here":           strings.Replace(sick, `startup = "5s"`, "startup = \"5s\"\n  permit  = \"always\"", 1),
		"the controller": sick,
	} {
		t.Run(name, func(t *testing.T) {
			fleets(t, conf, func(h *rig) {
				if conf == sick {
					h.node.Order("checkout", func(o *agentpb.ServiceOrder) { o.PermitAlways = true })
					h.Advance(time.Second)
				}
				h.node.Refuse("cap", "another host is under repair", 1e9)
				h.Fails(unit)
				h.Advance(5 * time.Second)
				h.WantActs()
				h.WantSaid("checkout", "restart waits for its permit: another host is under repair")
				h.node.Refuse("", "", 0)
				h.Advance(3 * time.Second)
				h.WantActs("restart " + unit)
			})
		})
	}
}

// A refusal is recorded once, with its reason, however often it is asked again; then it is judged anew on the
// facts of then.
func TestRefusedThenGranted(t *testing.T) {
	fleets(t, sick, func(h *rig) {
		h.node.Refuse("cap", "web-2 still serves, and with it 2 of 3 hosts would be out", 1e9)
		h.falls()
		h.Advance(time.Minute)
		h.WantActs()
		if asked := strings.Count(h.node.Log(), "refuse"); asked < 20 || asked > 70 {
			t.Errorf("it asked %d times in a minute, when it was told to ask each second", asked)
		}
		h.node.Refuse("", "", 0)
		h.Advance(2 * time.Second)
		h.WantActs("restart " + unit)
		story := h.timeline("checkout")
		for text, want := range map[string]int{
			"restart waits for its permit: web-2 still serves": 1, "restart is the remedy to try": 1, "does not run": 0,
		} {
			if got := strings.Count(story, text); got != want {
				t.Errorf("%q is said %d times, want %d:\n%s", text, got, want, story)
			}
		}
	})
}

// Nothing that was refused is queued: what has recovered by itself is left alone when leave could be had.
func TestNothingIsReplayed(t *testing.T) {
	fleets(t, sick, func(h *rig) {
		h.node.Refuse("cap", "web-2 is under repair", 1e9)
		h.falls()
		h.Tells(health, 1)
		h.Advance(5 * time.Second)
		h.node.Refuse("", "", 0)
		h.Advance(time.Minute)
		h.WantActs()
		h.WantState("checkout", incident.Resolved)
		if got := h.node.Permits(); len(got) > 0 {
			t.Errorf("held are %q", got)
		}
	})
}

// What may never be permitted is told to people in the rule's time, and asked again when something has changed.
func TestHalted(t *testing.T) {
	fleets(t, sick, func(h *rig) {
		h.node.Refuse("halted", "restart failed on 2 hosts in a row", 0)
		h.falls()
		h.Advance(11 * time.Minute)
		h.WantActs()
		h.WantState("checkout", incident.Escalated)
		h.WantSaid("checkout", "restart has no permit: restart failed on 2 hosts in a row", "ill still fires after 10m")
		h.node.Refuse("", "", 0)
		h.node.Resume("")
		h.Advance(time.Second)
		h.WantActs("restart " + unit)
	})
}

// grant-nobody-waits-for: the alert is over when the grant comes; it goes back unused.
func TestGrantNobodyWaitsFor(t *testing.T) {
	fleets(t, sick, func(h *rig) {
		h.node.Hold(true)
		h.falls()
		h.Tells(health, 1)
		h.Advance(4 * time.Second)
		h.node.Hold(false)
		h.Advance(time.Second)
		h.wantLine("grant 1@g1 restart", "settle 1@g1 unused")
		h.WantActs()
		h.WantState("checkout", incident.Resolved)
	})
}

// claimed-down-but-serves: the permit was given because the host was down, and before it is used it serves again.
func TestClaimedDownButServes(t *testing.T) {
	for _, at := range []string{"session grant", "gate"} {
		t.Run(at, func(t *testing.T) {
			fleets(t, sick, func(h *rig) {
				h.at[at] = func() {
					h.Tells(alive, 1)
					time.Sleep(1500 * time.Millisecond)
				}
				h.Tells(alive, 0)
				h.falls()
				h.Advance(2 * time.Second)
				line := h.node.Log()
				if !strings.Contains(line, "grant 1@g1 restart\n") || !strings.Contains(line, "settle 1@g1 unused") {
					t.Errorf("the node has seen\n%s", line)
				}
				h.Advance(3 * time.Second)
				h.WantActs("restart " + unit) // by another permit, which was not given because it is down
				if a := h.disk.attempts(); a[len(a)-1].Permit.Token == token(1) {
					t.Error("it acted under the first permit")
				}
			})
		})
	}
}

// agent-frozen-between-check-and-act: it stands still in between, for longer than a permit waits. It never acts
// under that one.
func TestAgentFrozenBetweenCheckAndAct(t *testing.T) {
	for _, at := range []string{"step act", "gate"} {
		t.Run(at, func(t *testing.T) {
			fleets(t, sick, func(h *rig) {
				h.at[at] = func() { time.Sleep(11 * time.Second) }
				h.falls()
				h.Advance(8 * time.Second)
				h.WantActs()
				h.Advance(10 * time.Second)
				h.WantActs("restart " + unit)
				line := h.node.Log()
				if !strings.Contains(line, "settle 1@g1 unused") || !strings.Contains(line, "grant 2@g1 restart") {
					t.Errorf("the node has seen\n%s", line)
				}
			})
		})
	}
}

// killed-with-dbus-call-in-flight: systemd finishes the job, whoever asked for it. All the time the permit counts,
// and the next process proves the repair and settles it.
func TestKilledWithDbusCallInFlight(t *testing.T) {
	fleets(t, sick, func(h *rig) {
		h.Trait(unit, trait{takes: 3 * time.Second, cures: func() { h.Tells(health, 1) }})
		h.falls()
		h.WantActs("restart " + unit)
		if u, _ := h.Unit(unit); u.Job == 0 {
			t.Fatal("the job is over")
		}
		h.Restarts()
		h.connected()
		if got := h.node.Permits(); len(got) != 1 || got[0] != "1@g1" {
			t.Errorf("counted are %q", got)
		}
		h.Advance(30 * time.Second)
		h.WantActs()
		h.wantLine("grant 1@g1 restart", "settle 1@g1 serving")
		h.WantState("checkout", incident.Resolved)
	})
}

// double-run: the answer to a request is lost with the line. What was granted goes back, and one attempt runs.
func TestDoubleRunOfARequest(t *testing.T) {
	fleets(t, sick, func(h *rig) {
		h.node.Hold(true)
		h.falls()
		h.node.Cut()
		h.node.Hold(false)
		h.Advance(10 * time.Second)
		h.WantActs("restart " + unit)
		h.wantLine("grant 1@g1 restart", "settle 1@g1 unused", "grant 2@g1 restart", "settle 2@g1 serving")
	})
}

// revoke-while-acting: the step under way comes to its safe end, the attempt is judged and settled, and the
// permit counts until then.
func TestRevokeWhileActing(t *testing.T) {
	fleets(t, sick, func(h *rig) {
		h.Trait(unit, trait{takes: 3 * time.Second, cures: func() { h.Tells(health, 1) }})
		h.falls()
		h.node.Revoke("eve")
		h.Advance(time.Second)
		if got := h.node.Permits(); len(got) != 1 {
			t.Errorf("counted are %q", got)
		}
		h.Advance(20 * time.Second)
		h.WantActs("restart " + unit)
		h.wantLine("grant 1@g1 restart", "settle 1@g1 serving")
	})
}

// Revoked before it began, it does not begin.
func TestRevokedBeforeItBegins(t *testing.T) {
	for _, at := range []string{"step act", "gate"} {
		fleets(t, sick, func(h *rig) {
			h.at[at] = func() {
				h.node.Revoke("eve")
				time.Sleep(100 * time.Millisecond)
			}
			h.falls()
			h.WantActs()
			line := h.node.Log()
			if !strings.HasPrefix(line, "grant 1@g1 restart\nsettle 1@g1 unused") {
				t.Errorf("%s: the node has seen\n%s", at, line)
			}
		})
	}
}

// pause-while-acting: what is under way comes to its safe end and is taken back if it did not help; nothing new
// begins, and the pause is confirmed at once.
func TestPauseWhileActing(t *testing.T) {
	for _, at := range []string{"step prepare", "step permit", "session grant", "step act", "gate", "acted", "step judge", "step undo"} {
		t.Run(at, func(t *testing.T) {
			fleets(t, controlled(two), func(h *rig) {
				h.at[at] = func() {
					h.node.Pause("service:checkout", "eve", 0)
					time.Sleep(50 * time.Millisecond)
				}
				h.falls()
				h.Advance(2 * time.Minute)
				undone := "undo limit " + unit
				begun := "set_property " + unit + "\n" + undone
				switch acts := h.taken(); at {
				case "session grant": // the line stands still: the pause is read after the grant, and may be late, or in the middle
					if acts != "" && acts != undone && acts != begun {
						t.Errorf("acts:\n%s", acts)
					}
				case "acted", "step judge", "step undo":
					if acts != begun {
						t.Errorf("acts:\n%s\nwant:\n%s", acts, begun)
					}
				default:
					if acts != "" {
						t.Errorf("acts:\n%s\nwant none", acts)
					}
				}
				if confirmed, now := h.node.Confirmed("h"); confirmed != now {
					t.Errorf("confirmed is version %d of %d", confirmed, now)
				}
				if got := h.node.Permits(); len(got) > 0 {
					t.Errorf("counted are %q\n%s", got, h.node.Log())
				}
				h.WantSaid("checkout", "service checkout is paused by eve")
				h.node.Resume("")
				h.Advance(2 * time.Minute)
				h.WantState("checkout", incident.Resolved)
			})
		})
	}
}

// What takes long to check, as a question to a package manager does, is checked once more between the grant and the action:
// the permit waits for that.
func TestSlowCheckIsNotLate(t *testing.T) {
	fleets(t, sick, func(h *rig) {
		h.checking.Store(int64(12 * time.Second))
		h.Tells(health, 0)
		h.Advance(30 * time.Second)
		h.WantActs("restart " + unit)
		h.Advance(30 * time.Second)
		h.wantLine("grant 1@g1 restart", "settle 1@g1 serving")
	})
}

// Overrun: the permit's time is up before the remedy was seen to help. It is taken back, and settled.
func TestOverrun(t *testing.T) {
	fleets(t, controlled(two), func(h *rig) {
		h.node.RunFor(int64(5 * time.Second))
		h.falls()
		h.Advance(4 * time.Second)
		h.WantActs("set_property "+unit, "undo limit "+unit, "restart "+unit)
		h.wantLine("grant 1@g1 limit", "settle 1@g1 failed", "grant 2@g1 restart")
		h.WantSaid("checkout", "the time of its permit was up before it was seen to help")
	})
}

// An action that does not end in the time of its permit is cut at its next safe end.
func TestOverrunWhileActing(t *testing.T) {
	fleets(t, sick, func(h *rig) {
		h.node.RunFor(int64(5 * time.Second))
		h.Trait(unit, trait{takes: 8 * time.Second})
		h.falls()
		h.Advance(20 * time.Second)
		h.WantActs("restart " + unit)
		h.wantLine("grant 1@g1 restart", "settle 1@g1 failed")
	})
}

// After a reboot nothing of a permit's time is left.
func TestRebootInTheMiddle(t *testing.T) {
	fleets(t, controlled(two), func(h *rig) {
		h.falls()
		h.WantActs("set_property " + unit)
		h.clock.id.Store("boot-2")
		h.Restarts()
		h.Advance(5 * time.Second)
		h.WantActs("undo limit "+unit, "restart "+unit)
		h.Advance(20 * time.Second)
		h.wantLine("grant 1@g1 limit", "settle 1@g1 failed", "grant 2@g1 restart", "settle 2@g1 serving")
	})
}

// What nobody can tell goes on counting, is told, and is cleared once nothing of it runs and the host serves.
func TestUnknownGoesOnCounting(t *testing.T) {
	conf := strings.Replace(controlled(two), `try       = ["limit", "restart"]`, `try       = ["hook"]`, 1)
	fleets(t, conf, func(h *rig) {
		h.at["acting"] = func() { h.p.dead.Store(true) }
		h.falls()
		h.Restarts()
		h.connected()
		h.Advance(time.Second)
		if got := h.node.Permits(); len(got) != 1 || got[0] != "1@g1 unknown" {
			t.Errorf("counted are %q", got)
		}
		h.Advance(time.Minute)
		if got := h.node.Permits(); len(got) != 1 {
			t.Errorf("the host does not serve, and counted are %q", got)
		}
		h.Tells(health, 1)
		h.Advance(5 * time.Second)
		if got := h.node.Permits(); len(got) != 0 {
			t.Errorf("the host serves again, and counted are %q", got)
		}
		if a := h.disk.attempts(); len(a) != 1 || a[0].Phase != incident.Unknown {
			t.Errorf("the attempt is no longer unknown: %+v", a)
		}
	})
}

// A restarted agent that does not reach systemd yet says which services it has, so that the controller counts it
// among their hosts, and says nothing of how they are.
func TestServicesBeforeSystemd(t *testing.T) {
	fleets(t, sick, func(h *rig) {
		h.Kill()
		h.machine.mu.Lock()
		h.machine.system = ""
		h.machine.mu.Unlock()
		h.Start()
		h.connected()
		if got := h.node.Services("h"); len(got) != 1 || got[0] != "checkout" {
			t.Errorf("its services are %q", got)
		}
		if got := h.node.Serving("h", "checkout"); got != logpb.Serving_SERVING_UNSPECIFIED {
			t.Errorf("it says that checkout is %v", got)
		}
	})
}

// What the host serves is told as it changes, each state by its facts.
func TestServing(t *testing.T) {
	fleets(t, sick, func(h *rig) {
		want := func(what string, s logpb.Serving) {
			t.Helper()
			h.Advance(1500 * time.Millisecond)
			if got := h.node.Serving("h", "checkout"); got != s {
				t.Errorf("%s: it says that it is %v", what, got)
			}
		}
		h.node.Pause("all", "eve", 0)
		want("well", logpb.Serving_SERVING_YES)
		h.Tells(health, 0)
		want("sick", logpb.Serving_SERVING_YES)
		h.Tells(alive, 0)
		want("no probe is answered", logpb.Serving_SERVING_DOWN)
		h.Silent(alive)
		want("a probe is not known", logpb.Serving_SERVING_YES)
		h.Tells(alive, 1)
		h.packaged()
		h.Locks("/var/lib/dpkg/lock")
		want("its package is upgraded", logpb.Serving_SERVING_HELD)
		h.Locks("")
		h.stoppedByPerson()
		want("stopped by a person", logpb.Serving_SERVING_HELD)
		h.up(unit)
		want("up again", logpb.Serving_SERVING_YES)
		h.Fails(unit)
		want("failed", logpb.Serving_SERVING_DOWN)
	})
}
