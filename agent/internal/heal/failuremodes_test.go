package heal

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/salveops/salve/agent/internal/local"
	"github.com/salveops/salve/pkg/incident"
)

// pair is a service that depends on another one.
const pair = `
autonomy = "full"
allow {
  units   = ["checkout.service", "postgres.service"]
  actions = ["restart"]
}
notifier "journald" "log" {}
escalation "default" {
  step { notify = ["journald.log"] }
}
---
service "postgres" {
  unit    = "postgres.service"
  startup = "2s"
  probe "alive" {
    tcp     = "127.0.0.1:5432"
    every   = "1s"
    timeout = "500ms"
  }
  remedy "restart" "restart" {}
}
service "checkout" {
  startup    = "2s"
  depends_on = ["postgres"]
  probe "health" {
    http    = "http://127.0.0.1:8080/"
    every   = "1s"
    timeout = "500ms"
  }
  remedy "restart" "restart" {}
}
rule "postgres-ill" {
  services  = ["postgres"]
  when      = !probe.alive.ok
  for       = "6s"
  clear_for = "2s"
  try       = ["restart"]
}
rule "ill" {
  services  = ["checkout"]
  when      = !probe.health.ok
  for       = "1s"
  clear_for = "2s"
  try       = ["restart"]
}
`

// fleet is a service of several units.
const fleet = `
autonomy = "full"
allow {
  units   = ["worker@*.service"]
  actions = ["restart"]
}
notifier "journald" "log" {}
escalation "default" {
  step { notify = ["journald.log"] }
}
---
service "worker" {
  unit    = "worker@*.service"
  startup = "2s"
  probe "health" {
    tcp     = "127.0.0.1:9000"
    every   = "1s"
    timeout = "500ms"
  }
  remedy "restart" "restart" {}
}
rule "down" {
  services = ["worker"]
  when     = unit.failed
  try      = ["restart"]
}
rule "deaf" {
  services = ["worker"]
  when     = !probe.health.ok
  for      = "1s"
  try      = ["restart"]
}
`

// The failure modes of DESIGN 15 through the whole engine. Each fails when its guard is taken out.

func TestRestartStorm(t *testing.T) {
	heals(t, one, func(h *rig) {
		h.Trait("checkout.service", trait{broken: true})
		h.Fails("checkout.service")
		h.Advance(4 * time.Hour)
		if n := h.count(); n != 3 {
			t.Errorf("%d restarts in four hours", n)
		}
		for i, gap := range h.gaps() {
			if gap < time.Minute {
				t.Errorf("gap %d is %v", i, gap)
			}
		}
		h.WantState("checkout", incident.Escalated)
		h.WantPages("trigger checkout: journald.log")
	})
}

// The unit falls down again with the period of everything that looks at it.
func TestLockstep(t *testing.T) {
	heals(t, one, func(h *rig) {
		h.Trait("checkout.service", trait{dies: 10 * time.Second})
		h.Fails("checkout.service")
		h.Advance(time.Hour)
		if n := h.count(); n != 3 {
			t.Errorf("%d restarts in an hour", n)
		}
		for i, gap := range h.gaps() {
			if gap < time.Minute {
				t.Errorf("restart %d came %v after the one before: the cool-down was not armed", i+2, gap)
			}
		}
		h.WantState("checkout", incident.Escalated)
	})
}

const echoing = `
rule "down" {
  services = ["checkout"]
  severity = "critical"
  when     = unit.failed
  try      = ["restart"]
}
rule "ill" {
  services  = ["checkout"]
  severity  = "warning"
  when      = !probe.health.ok
  for       = "2s"
  clear_for = "2s"
  try       = ["restart"]
}
`

// The restart of a unit that hangs shows as a failure for a moment, for which there is a graver rule.
func TestOwnEcho(t *testing.T) {
	services, _, _ := strings.Cut(two, `rule "ill"`)
	conf := services + echoing
	heals(t, conf, func(h *rig) {
		h.Trait("checkout.service", trait{echo: true, takes: 300 * time.Millisecond, cures: func() { h.Tells(health, 1) }})
		h.Tells(health, 1)
		h.Advance(5 * time.Second)
		h.Tells(health, 0)
		h.Advance(time.Minute)
		h.WantActs("restart checkout.service")
		h.WantOutcomes("checkout", "restart verified")
		h.WantState("checkout", incident.Resolved)
		h.WantPages()
	})
}

func TestSuccessThatFixesNothing(t *testing.T) {
	heals(t, one, func(h *rig) {
		h.Trait("checkout.service", trait{dies: 61 * time.Minute}) // beyond every back-off and hourly budget
		h.Fails("checkout.service")
		h.Advance(10 * time.Hour)
		if n := h.count(); n != 3 {
			t.Errorf("the same fix ran %d times in ten hours", n)
		}
		h.WantState("checkout", incident.Escalated)
		h.WantSaid("checkout", "it needs a real fix")
	})
}

func TestSilenceIsNotHealth(t *testing.T) {
	heals(t, two, func(h *rig) {
		h.Tells(health, 0)
		h.Until("acting", time.Minute, func() bool { return h.count() == 1 })
		h.Silent(health)
		h.Advance(time.Minute)
		h.WantActs("set_property checkout.service")
		h.WantOutcomes("checkout", "limit inconclusive")
		h.WantState("checkout", incident.Escalated)
		h.WantPages("trigger checkout: journald.log")
	})
}

// A rule about a service of several units has no unit to restart: that is nothing, not all of them.
func TestEmptyMeansAll(t *testing.T) {
	heals(t, fleet, func(h *rig) {
		h.Tells("probe.health.ok{worker}", 0)
		h.Advance(2 * time.Minute)
		h.WantActs()
		h.WantState("worker", incident.Escalated)
		h.WantSaid("worker", "no target means nothing, never everything")
		if _, err := h.p.RunByHand(h.ctx(), local.RunRequest{Remedy: "restart", By: "eve"}, nothing); err == nil {
			t.Error("a remedy ran by hand without saying on which unit")
		}
		h.WantActs()
	})
}

func nothing(local.Event) error { return nil }

// The agent dies again and again; what it tried before still counts.
func TestBudgetReset(t *testing.T) {
	heals(t, one, func(h *rig) {
		h.Trait("checkout.service", trait{broken: true})
		h.Fails("checkout.service")
		for range 40 {
			h.Advance(time.Minute)
			h.Restarts()
		}
		if n := h.count(); n != 3 {
			t.Errorf("%d restarts in an hour", n)
		}
	})
}

// A damaged journal is no fresh budget.
func TestBudgetResetByLostJournal(t *testing.T) {
	heals(t, one, func(h *rig) {
		h.Kill()
		h.disk = newDisk(h.clock)
		h.lost = h.stampNow()
		h.Start()
		h.Fails("checkout.service")
		h.Advance(10 * time.Minute)
		h.WantActs()
		h.WantState("checkout", incident.Escalated)
		h.WantSaid("checkout", "journal was damaged")
	})
}

// The alert recovers while the evidence is being collected.
func TestActingOnRecovery(t *testing.T) {
	heals(t, two, func(h *rig) {
		h.slow.Store(int64(time.Second))
		h.Tells(health, 0)
		h.Until("firing", time.Minute, func() bool { return len(h.stepsPassed("step prepare")) == 1 })
		h.Tells(health, 1)
		h.p.deliver(h.ctx())
		h.Advance(time.Minute)
		h.WantActs()
		h.WantState("checkout", incident.Resolved)
		h.WantPages()
	})
}

// A rule and two people want the same at the same time.
func TestDoubleRun(t *testing.T) {
	heals(t, one, func(h *rig) {
		h.Trait("checkout.service", trait{takes: 2 * time.Second})
		h.Fails("checkout.service")
		results := make(chan local.RunResult, 2)
		for range 2 {
			go func() {
				res, err := h.p.RunByHand(h.ctx(), local.RunRequest{Remedy: "restart", By: "eve"}, nothing)
				if err != nil {
					t.Error(err)
				}
				results <- res
			}()
		}
		h.Advance(20 * time.Second)
		for range 2 {
			if res := <-results; res.Verdict != "refused" {
				t.Errorf("a second run beside the first: %+v", res)
			}
		}
		h.WantActs("restart checkout.service")
	})
}

// The first run is over, and whether it helped is being watched.
func TestDoubleRunWhileVerifying(t *testing.T) {
	heals(t, one, func(h *rig) {
		h.Fails("checkout.service")
		h.Advance(2 * time.Second)
		res, err := h.p.RunByHand(h.ctx(), local.RunRequest{Remedy: "restart", By: "eve"}, nothing)
		if err != nil || res.Verdict != "refused" || res.Reason != "restart is being verified on checkout.service" {
			t.Errorf("a second run beside the first: %+v, %v", res, err)
		}
		h.WantActs("restart checkout.service")
	})
}

// The agent dies while systemd works on its job.
func TestDiesInTheMiddle(t *testing.T) {
	heals(t, one, func(h *rig) {
		h.Trait("checkout.service", trait{takes: 10 * time.Second})
		h.Fails("checkout.service")
		h.Advance(2 * time.Second)
		h.p.dead.Store(true)
		h.p.stop()
		h.Start()
		h.Advance(time.Minute)
		h.WantActs("restart checkout.service")
		h.WantOutcomes("checkout", "restart verified")
		h.WantState("checkout", incident.Resolved)
		h.WantSaid("checkout", "the agent was restarted while restart was under way")
	})
}

// A service that is well for a moment now and then is not well.
func TestOnePassResets(t *testing.T) {
	heals(t, two, func(h *rig) {
		for range 60 {
			h.Tells(health, 0)
			h.Advance(15 * time.Second)
			h.Tells(health, 1)
			h.Advance(4 * time.Second)
		}
		limits, restarts := 0, 0
		for _, a := range h.disk.attempts() {
			switch a.Remedy {
			case "limit":
				limits++
			case "restart":
				restarts++
			}
		}
		if limits > 3 || restarts > 3 {
			t.Errorf("%d and %d attempts in nineteen minutes", limits, restarts)
		}
		h.WantState("checkout", incident.Escalated)
		h.WantSaid("checkout", "people are told instead of acting")
		if n := len(h.told()); n > 6 {
			t.Errorf("people were told %d times in nineteen minutes: %q", n, h.told())
		}
		h.Advance(20 * time.Minute)
		h.WantState("checkout", incident.Resolved)
	})
}

// It is well for a while between two faults, so that each is an incident of its own; what was tried in
// those before counts.
func TestOnePassResetsAcrossIncidents(t *testing.T) {
	heals(t, two, func(h *rig) {
		for range 20 {
			h.Tells(health, 0)
			h.Advance(2 * time.Minute)
			h.Tells(health, 1)
			h.Advance(30 * time.Second)
		}
		tries := map[string]int{}
		for _, a := range h.disk.attempts() {
			tries[a.Remedy]++
		}
		if tries["limit"] != 2 || tries["restart"] != 1 { // one budget for what is tried in turn
			t.Errorf("in fifty minutes: %v", tries)
		}
	})
}

// The database falls, and the service that needs it is noticed first.
func TestChildBeforeParent(t *testing.T) {
	heals(t, pair, func(h *rig) {
		const alive = "probe.alive.ok{postgres}"
		h.Trait("postgres.service", trait{cures: func() { h.Tells(alive, 1); h.Tells(health, 1) }})
		h.Tells(alive, 1)
		h.Tells(health, 1)
		h.Advance(5 * time.Second)
		h.Tells(health, 0)
		h.Tells(alive, 0)
		h.Advance(4 * time.Second)
		h.WantState("checkout", incident.Open)
		h.WantState("postgres", "")
		h.Advance(time.Minute)
		h.WantActs("restart postgres.service")
		h.WantState("postgres", incident.Resolved)
		h.WantState("checkout", incident.Resolved)
		h.WantSaid("checkout", "it cleared by itself")
		h.WantPages()
	})
}

// Unmuted, a dependent that is still ill is healed.
func TestUnmutedDependentIsHealed(t *testing.T) {
	heals(t, pair, func(h *rig) {
		const alive = "probe.alive.ok{postgres}"
		h.Trait("postgres.service", trait{cures: func() { h.Tells(alive, 1) }})
		h.Trait("checkout.service", trait{cures: func() { h.Tells(health, 1) }})
		h.Tells(alive, 0)
		h.Tells(health, 0)
		h.Advance(2 * time.Minute)
		h.WantActs("restart postgres.service", "restart checkout.service")
		h.WantState("checkout", incident.Resolved)
		h.WantSaid("checkout", "muted: checkout depends on postgres")
	})
}

func (h *rig) stepsPassed(name string) (out []string) {
	synctest.Wait()
	h.pointMu.Lock()
	defer h.pointMu.Unlock()
	for _, p := range h.passed {
		if p == name {
			out = append(out, p)
		}
	}
	return out
}
