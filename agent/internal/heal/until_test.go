package heal

import (
	"errors"
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

// Its time is over while it is being judged: what takes it back and what judges it lose nothing of each other.
func TestJudgedWhileItEnds(t *testing.T) {
	for name, then := range map[string]float64{"verified": 1, "ineffective": 0} {
		t.Run(name, func(t *testing.T) {
			heals(t, lasting, func(h *rig) {
				h.Advance(30 * time.Second)
				h.Tells(health, 0)
				h.Until("acting", time.Minute, func() bool { return h.count() == 1 })
				hold := make(chan struct{})
				h.when("undoing", func() { <-hold })
				h.Advance(time.Second)
				go func() {
					a, err := h.p.o.Act.Undo(h.ctx(), h.disk.attempts()[0].ID)
					h.p.Expired(a, err)
				}()
				h.Tells(health, then)
				h.Advance(15 * time.Second)
				if a := h.disk.attempts()[0]; a.Phase != incident.Undoing || string(a.Outcome) != name {
					t.Errorf("meanwhile it is %s, %s", a.Phase, a.Outcome)
				}
				close(hold)
				h.Advance(5 * time.Second)
				h.WantActs("isolate payments", "undo cut payments")
				if a := h.disk.attempts()[0]; a.Phase != incident.Undone || string(a.Outcome) != name || a.Reason == "" || a.Judged.IsZero() {
					t.Errorf("on disk it is %s, %s because %q", a.Phase, a.Outcome, a.Reason)
				}
				h.waits(0)
			})
		})
	}
}

// Who ended it is said as it was, and once, in an incident that is still open: who ends it in time may have come first.
func TestWhoEndedIt(t *testing.T) {
	const open = `
rule "odd" {
  services = ["checkout"]
  when     = !probe.other.ok
}
`
	conf := strings.Replace(lasting, `probe "payments"`, "probe \"other\" { tcp = \"127.0.0.1:1\" }\n  probe \"payments\"", 1) + open
	const dependencyEnds = "before its time, since held(probe.payments.ok, \"10s\"): cut was taken back"
	const timeEnds = "its time is over: cut was taken back"
	for name, c := range map[string]struct {
		does func(h *rig)
		want string
	}{
		"what it was cut off from": {func(*rig) {}, dependencyEnds},
		"that, but too late":       {func(h *rig) { h.when("undoing", func() { time.Sleep(25 * time.Second) }) }, timeEnds},
		"who ends it in time": {func(h *rig) {
			h.when("undoing", func() { time.Sleep(20 * time.Second) }) // its time is over then, whoever hears of it first
			h.Advance(8 * time.Second)
			go func() { h.p.Expired(must(h.p.o.Act.Undo(h.ctx(), h.disk.attempts()[0].ID)), nil) }()
		}, timeEnds},
	} {
		t.Run(name, func(t *testing.T) {
			heals(t, conf, func(h *rig) {
				h.Tells("probe.other.ok{checkout}", 0)
				h.cut()
				h.Advance(35 * time.Second)
				h.Tells(dependency, 1)
				c.does(h)
				h.Advance(40 * time.Second)
				if n := strings.Count(h.timeline("checkout"), "was taken back"); n != 1 {
					t.Errorf("it is said %d times", n)
				}
				h.WantSaid("checkout", c.want)
				h.WantActs("isolate payments", "undo cut payments")
				h.waits(0)
			})
		})
	}
}

func must(a incident.Attempt, err error) incident.Attempt {
	if err != nil {
		panic(err)
	}
	return a
}

// The end of an undo that a full disk did not take is written later: the next start would take it back once more, whatever
// people have made of it since.
func TestEndIsWrittenLater(t *testing.T) {
	for name, ends := range map[string]func(h *rig){
		"before its time": func(h *rig) { h.Tells(dependency, 1) },
		"in its time":     func(h *rig) { go func() { h.p.Expired(must(h.p.o.Act.Undo(h.ctx(), h.disk.attempts()[0].ID)), nil) }() },
	} {
		t.Run(name, func(t *testing.T) {
			heals(t, lasting, func(h *rig) {
				h.cut()
				h.Advance(9 * time.Second)
				h.when("before attempt undone", func() { h.disk.fill(true) })
				ends(h)
				h.Advance(20 * time.Second)
				h.disk.fill(false)
				h.Advance(2 * time.Second)
				h.waits(0)
				h.Restarts()
				h.Advance(time.Minute)
				h.WantActs("isolate payments", "undo cut payments")
			})
		})
	}
}

// no-silence: what stays for good although its time is over is people's, also when its incident has ended; it waits for them.
func TestStaysForGood(t *testing.T) {
	heals(t, lasting, func(h *rig) {
		h.cut()
		h.Advance(30 * time.Second)
		h.WantState("checkout", incident.Resolved)
		healed := h.Last("checkout")
		a := *h.disk.attempts()[0]
		a.Stays = "somebody has changed it"
		if err := h.p.disk.PutAttempt(&a); err != nil {
			t.Fatal(err)
		}
		h.p.Expired(a, errors.New("somebody has changed it"))
		h.Advance(time.Second)
		h.WantState("checkout", incident.Escalated)
		h.Restarts()
		h.Advance(time.Minute)
		h.WantState("checkout", incident.Escalated)
		h.WantSaid("checkout", "cut stays on payments, although its time is over: somebody has changed it")
		if again, err := h.p.Incident(h.ctx(), healed.ID); err != nil || again.State != incident.Resolved {
			t.Errorf("the incident that had ended is %s, %v", again.State, err)
		}
		if _, err := h.p.Acknowledge(h.ctx(), h.Last("checkout").ID, false, "", "eve"); err != nil {
			t.Fatal(err)
		}
		h.Advance(time.Second)
		h.WantState("checkout", incident.Resolved)
	})
}
