package rule

import (
	"testing"
	"time"

	"github.com/salveops/salve/pkg/config"
	"github.com/salveops/salve/pkg/expr"
)

// Ways in which self-healing went wrong elsewhere; those that the rule engine must prevent.
func TestFailureModes(t *testing.T) {
	t.Run("one-pass-resets", onePassResets)
	t.Run("silence-is-not-health", silenceIsNotHealth)
	t.Run("own-echo", ownEcho)
	t.Run("empty-means-all", emptyMeansAll)
	t.Run("child-before-parent", childBeforeParent)
}

// A single good sample reset the failure count of a flapping service.
func onePassResets(t *testing.T) {
	r := newRig(t, []*config.Service{checkout()}, about(t, "hang", "checkout", "!probe.health.ok", ""))
	r.set("probe.health.ok{checkout}", false)
	r.run(15 * time.Second)
	r.want("11s fired hang checkout.service")
	for range 10 {
		r.set("probe.health.ok{checkout}", true)
		r.run(time.Second)
		r.set("probe.health.ok{checkout}", false)
		r.run(5 * time.Second)
	}
	r.want() // it never resolved, so nothing was forgotten

	for range 5 { // and when it does resolve, the earlier firings still count
		r.set("probe.health.ok{checkout}", true)
		r.run(12 * time.Second)
		r.set("probe.health.ok{checkout}", false)
		r.run(12 * time.Second)
	}
	if !r.e.list[0].Flapping {
		t.Errorf("five good spells in two minutes and it is not flapping: %v", r.events)
	}
}

// No samples after the fix were scored as recovery.
func silenceIsNotHealth(t *testing.T) {
	r := newRig(t, []*config.Service{checkout()}, about(t, "hang", "checkout", "!probe.health.ok", ""))
	r.set("probe.health.ok{checkout}", false)
	r.run(12 * time.Second)
	r.want("11s fired hang checkout.service")
	a := r.e.Alerts()[0]
	since := r.now.Boot
	p := r.e.Proof(a, config.Verification{When: a.Rule.When, Not: true})
	r.set("probe.health.ok{checkout}", true)
	r.run(time.Second) // one good answer, then the probe itself is gone
	delete(r.held, r.key("probe.health.ok{checkout}"))
	for range 60 {
		r.run(time.Second)
		if got := p.Eval(r.now, since); got == expr.True {
			t.Fatalf("recovery was proved by silence, %v after the action", r.now.Boot-since)
		}
	}
	r.want()
	if r.e.Settle(a, r.now, r.emit) || !a.State.Active() {
		t.Error("the alert ended without a sample")
	}
}

// The remedy's own effect triggered the rule again: while the unit comes up, its probe fails.
func ownEcho(t *testing.T) {
	r := newRig(t, []*config.Service{checkout()}, about(t, "hang", "checkout", "!probe.health.ok", ""))
	unit := "checkout.service"
	r.state(unit, "active")
	r.set("unit.uptime{"+unit+"}", 1000.0)
	r.set("probe.health.ok{checkout}", true)
	r.run(10 * time.Second)
	r.state(unit, "activating")
	r.state(unit, "active")
	delete(r.held, r.key("unit.uptime{"+unit+"}"))
	r.set("probe.health.ok{checkout}", false)
	r.run(28 * time.Second)
	r.set("probe.health.ok{checkout}", true)
	r.run(time.Minute)
	r.want()
}

// An empty list of targets meant everything.
func emptyMeansAll(t *testing.T) {
	worker := &config.Service{Name: "worker", Unit: "worker@*.service"}
	down := about(t, "down", "worker", "unit.failed", "")
	nobody := about(t, "nobody", "nobody", "unit.failed", "")
	disks := about(t, "full", "", `host.disk["*"].used_ratio > 90 * percent`, "")
	r := newRig(t, []*config.Service{worker, checkout()}, down, nobody, disks)
	r.e.SetUnits([]string{"checkout.service"})
	for _, in := range r.e.list {
		t.Errorf("rule %s, which matches nothing, has the instance %q", in.Rule.Name, in.Instance)
	}
}

// The dependent's alert fired before the dependency's was known: the engine tells how long that takes.
func childBeforeParent(t *testing.T) {
	parent := &config.Service{Name: "postgres", Unit: "postgres.service", Startup: 30 * time.Second,
		Probes: []*config.Probe{{Name: "health", Every: time.Second, Timeout: 500 * time.Millisecond, Misses: 3}}}
	r := newRig(t, []*config.Service{parent, checkout()},
		about(t, "parent-hangs", "postgres", "!probe.health.ok", ""), about(t, "child-down", "checkout", "unit.failed", ""))
	r.state("checkout.service", "failed")
	fault := r.now.Boot
	r.now = r.now.Add(1900 * time.Millisecond) // the misses of the parent's probe
	r.set("probe.health.ok{postgres}", false)
	r.run(12 * time.Second)
	known := r.last.At.Boot - fault
	if r.last.Alert.Service != parent || r.e.Detection("postgres") < known-time.Second {
		t.Errorf("detection of the parent = %v; its alert came after %v (a tick more at most)",
			r.e.Detection("postgres"), known)
	}
}
