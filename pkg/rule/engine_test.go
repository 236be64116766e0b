package rule

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/salveops/salve/pkg/config"
	"github.com/salveops/salve/pkg/expr"
	"github.com/salveops/salve/pkg/metric"
	"github.com/salveops/salve/pkg/series"
	"github.com/salveops/salve/pkg/signal"
)

func TestEventFiresAtOnce(t *testing.T) {
	r := newRig(t, []*config.Service{checkout()}, about(t, "down", "checkout", "unit.failed", ""))
	r.state("checkout.service", "active")
	r.run(5 * time.Second)
	r.state("checkout.service", "failed")
	r.want("5s fired down checkout.service")
	if got := r.last.Readings; len(got) != 1 || got[0].Text != "true" {
		t.Errorf("readings = %+v, want unit.failed = true", got)
	}
	r.run(time.Second)
	r.state("checkout.service", "activating")
	r.state("checkout.service", "active")
	r.run(11 * time.Second)
	r.want("16s resolved down checkout.service")
}

func TestForAndClearFor(t *testing.T) {
	r := newRig(t, nil, about(t, "low", "", "host.memory.available_ratio < 10 * percent",
		"host.memory.available_ratio > 20 * percent"))
	sig := "host.memory.available_ratio"
	r.set(sig, 0.05)
	r.run(10 * time.Second)
	r.want()
	if got := r.e.Alerts(); len(got) != 1 || got[0].State != Pending {
		t.Fatalf("alerts = %v, want one pending", got)
	}
	r.run(time.Second)
	r.want("11s fired low")
	r.set(sig, 0.15) // neither
	r.run(time.Minute)
	r.want()
	r.set(sig, 0.25)
	r.run(5 * time.Second)
	if got := r.e.Alerts()[0].State; got != Clearing {
		t.Errorf("state = %v, want clearing", got)
	}
	r.set(sig, 0.15)
	r.run(5 * time.Second)
	r.set(sig, 0.25)
	r.run(10 * time.Second)
	r.want() // clearing began anew
	r.run(2 * time.Second)
	r.want("1m32s resolved low")
}

func TestUnknownStandsStill(t *testing.T) {
	r := newRig(t, nil, about(t, "busy", "", "host.cpu.busy > 90 * percent", ""))
	r.set("host.cpu.busy", 0.95)
	r.run(6 * time.Second) // holds for 5 s
	r.fail("host.cpu.busy")
	r.run(time.Minute)
	r.want()
	r.set("host.cpu.busy", 0.95)
	r.run(5 * time.Second)
	r.want() // 4 s more
	r.run(time.Second)
	r.want("1m12s fired busy")
	r.fail("host.cpu.busy")
	r.run(time.Minute)
	r.want() // silence does not resolve
	r.set("host.cpu.busy", 0.1)
	r.run(11 * time.Second)
	r.want("2m23s resolved busy")
}

func TestBlind(t *testing.T) {
	r := newRig(t, nil, about(t, "busy", "", "host.cpu.busy > 90 * percent", ""))
	r.run(5 * time.Minute)
	r.want()
	r.run(2 * time.Second)
	r.want("5m1s blind busy")
	r.set("host.cpu.busy", 0.1)
	r.run(time.Second)
	r.want("5m3s blind_end busy")
}

// An idle service is not blind, neither by itself nor beside what is known. What fires is told, for nobody can say
// that it has recovered; and a source that fails is, however idle another is.
func TestIdleIsNotBlind(t *testing.T) {
	const cpu, load = "host.cpu.busy", "host.load.per_cpu"
	r := newRig(t, nil, about(t, "busy", "", "host.cpu.busy > 90 * percent && host.load.per_cpu > 4", ""))
	r.rest(cpu)
	r.set(load, 5)
	r.run(time.Hour)
	r.want()
	r.set(cpu, 1.0)
	r.run(11 * time.Second)
	r.want("1h0m11s fired busy")
	r.rest(cpu)
	r.run(10 * time.Minute)
	r.want("1h5m12s blind busy")
	r.set(cpu, 0.1)
	r.run(12 * time.Second)
	r.want("1h10m12s blind_end busy", "1h10m22s resolved busy")
	r.rest(cpu)
	r.fail(load)
	r.run(6 * time.Minute)
	r.want("1h15m24s blind busy")
	r.set(load, 5)
	r.run(time.Second)
	r.want("1h16m24s blind_end busy")
	r.cfg.Store.Lookup(r.key(load)).Idle(r.now.Boot)
	delete(r.held, r.key(load)) // and then it tells nothing any more
	r.run(6 * time.Minute)
	r.want("1h21m28s blind busy")
}

func TestNotBlindWhileWindowFills(t *testing.T) {
	r := newRig(t, nil, about(t, "busy", "", `avg(host.cpu.busy, "30m") > 90 * percent`, ""))
	r.set("host.cpu.busy", 0.1)
	r.run(40 * time.Minute)
	r.want()
}

func TestNotBlindWhileUnitIsDown(t *testing.T) {
	r := newRig(t, []*config.Service{checkout()}, about(t, "busy", "checkout", "unit.cpu > 90 * percent", ""))
	r.state("checkout.service", "inactive")
	r.run(time.Hour)
	r.want()
}

// After a start no rule fires on half of the window that it needs.
func TestHalfWindow(t *testing.T) {
	r := newRig(t, nil, about(t, "busy", "", `avg(host.cpu.busy, "5m") > 90 * percent`, ""))
	r.set("host.cpu.busy", 1.0)
	r.run(4 * time.Minute)
	r.want()
	r.run(2 * time.Minute)
	if len(r.events) != 1 {
		t.Errorf("events = %v, want it to fire once the window is full", r.events)
	}
}

func TestStartup(t *testing.T) {
	r := newRig(t, []*config.Service{checkout()},
		about(t, "hang", "checkout", "!probe.health.ok", ""),
		about(t, "down", "checkout", "unit.failed", ""))
	unit := "checkout.service"
	r.state(unit, "active")
	r.set("unit.uptime{"+unit+"}", 1000.0)
	r.set("probe.health.ok{checkout}", true)
	r.run(10 * time.Second)

	r.state(unit, "activating")
	r.set("probe.health.ok{checkout}", false)
	r.run(20 * time.Second)
	r.state(unit, "active") // 30 s from here
	r.set("unit.uptime{"+unit+"}", 0.0)
	for range 30 {
		r.run(time.Second)
		r.set("unit.uptime{"+unit+"}", (r.now.Boot - start - 30*time.Second).Seconds())
	}
	r.want()
	r.run(11 * time.Second)
	r.want("1m11s fired hang checkout.service")

	r.state(unit, "activating")
	r.run(time.Second)
	r.state(unit, "failed") // a failed start is judged at once
	r.want("1m12s fired down checkout.service")
}

// A unit that was started between two ticks is young, whatever its last sample of uptime says.
func TestStartupBetweenTicks(t *testing.T) {
	r := newRig(t, []*config.Service{checkout()}, about(t, "hang", "checkout", "!probe.health.ok", ""))
	unit := "checkout.service"
	r.state(unit, "active")
	r.set("unit.uptime{"+unit+"}", 1000.0)
	r.set("probe.health.ok{checkout}", false)
	r.run(5 * time.Second)
	delete(r.held, r.key("unit.uptime{"+unit+"}"))
	r.state(unit, "activating")
	r.state(unit, "active")
	r.run(30 * time.Second)
	r.want()
	r.run(11 * time.Second)
	r.want("41s fired hang checkout.service") // it had held for 4 s before, which stood still
}

func TestFlapping(t *testing.T) {
	r := newRig(t, []*config.Service{checkout()}, about(t, "down", "checkout", "unit.failed", ""))
	for range 6 {
		r.state("checkout.service", "failed")
		r.run(10 * time.Second)
		r.state("checkout.service", "active")
		r.run(50 * time.Second)
	}
	if want := "4m20s flapping down checkout.service"; !slices.Contains(r.events, want) {
		t.Errorf("it fires every minute for six minutes: %v, want %s", r.events, want)
	}
	r.events = nil
	r.run(20 * time.Minute)
	r.want("13m20s flapping_end down checkout.service")
}

func TestNoFlappingWhenRare(t *testing.T) {
	r := newRig(t, []*config.Service{checkout()}, about(t, "down", "checkout", "unit.failed", ""))
	for range 12 {
		r.state("checkout.service", "failed")
		r.run(10 * time.Second)
		r.state("checkout.service", "active")
		r.run(290 * time.Second)
	}
	for _, a := range r.e.list {
		if a.Flapping {
			t.Error("one crash in five minutes is not flapping")
		}
	}
}

func TestInstancesOfUnits(t *testing.T) {
	worker := &config.Service{Name: "worker", Unit: "worker@*.service", Startup: 30 * time.Second}
	r := newRig(t, []*config.Service{worker}, about(t, "down", "worker", "unit.failed", ""))
	r.run(time.Second)
	if len(r.e.list) != 0 {
		t.Fatalf("%d instances before any unit exists", len(r.e.list))
	}
	r.e.SetUnits([]string{"worker@2.service", "worker@1.service", "other.service"})
	r.state("worker@2.service", "failed")
	r.want("1s fired down worker@2.service")
	r.e.SetUnits([]string{"worker@1.service", "worker@2.service", "worker@3.service"})
	r.state("worker@3.service", "failed")
	r.run(time.Second)
	r.want("1s fired down worker@3.service") // the second did not fire again
	r.e.SetUnits([]string{"worker@3.service"})
	r.run(time.Second)
	r.want("3s resolved down worker@2.service")
	if !r.last.Alert.Gone {
		t.Error("an alert that ends with its unit must say so")
	}
}

func TestInstancesOfKeys(t *testing.T) {
	r := newRig(t, nil, about(t, "full", "", `host.disk["*"].used_ratio > 90 * percent`, ""))
	r.e.SetKeys("host.disk", []string{"/", "/var"})
	r.set(`host.disk["/"].used_ratio`, 0.5)
	r.set(`host.disk["/var"].used_ratio`, 0.95)
	r.run(12 * time.Second)
	r.want("11s fired full /var")
}

func TestPoolKeysOfService(t *testing.T) {
	s := checkout()
	s.Pools = []*config.Pool{{Name: "db", Every: 5 * time.Second}, {Name: "cache"}}
	r := newRig(t, []*config.Service{s}, about(t, "queue", "checkout", `pool["*"].waiting > 5`, ""))
	var names []string
	for _, in := range r.e.list {
		names = append(names, in.Instance)
	}
	if diff := cmp.Diff([]string{"db", "cache"}, names); diff != "" {
		t.Errorf("instances (-want +got):\n%s", diff)
	}
	for _, n := range r.e.Needs() {
		if n.Key == (series.Key{Signal: "pool.db.waiting", Of: "checkout"}) && n.Every != 5*time.Second {
			t.Errorf("every = %v, want the pool's own", n.Every)
		}
	}
}

func TestMetricsOfService(t *testing.T) {
	s := checkout()
	s.Scrapes = []*config.Scrape{{Metrics: []*config.Metric{{Name: "errors", Every: 5 * time.Second,
		Definition: metric.Definition{Dim: signal.Ratio, Window: 20 * time.Second}}}}}
	sc := scope(expr.When)
	sc.Metrics = map[string]signal.Info{"errors": s.Metric("errors").Info()}
	rule := about(t, "down", "checkout", "unit.failed", "")
	rule.When = condition(t, "metric.errors > 5 * percent", sc)
	r := newRig(t, []*config.Service{s}, rule)
	errors := r.cfg.Store.Lookup(series.Key{Signal: "metric.errors", Of: "checkout"})
	if errors == nil || errors.Every() != 5*time.Second || errors.Dim() != signal.Ratio {
		t.Fatalf("the series is %+v", errors)
	}
	// What a sample looks back over has to lie after the action.
	since := r.now.Boot
	for i := range 7 {
		errors.Set(since+time.Duration(i)*5*time.Second, 0)
	}
	if !errors.Speaks(since, 2) || errors.Speaks(since, 3) {
		t.Error("the samples of 25 and 30 s speak about what came after, and no others")
	}
}

func TestReloadKeepsState(t *testing.T) {
	rules := func(cpu string) []*config.Rule {
		return []*config.Rule{about(t, "down", "checkout", "unit.failed", ""), about(t, "busy", "", cpu, "")}
	}
	r := newRig(t, []*config.Service{checkout()}, rules("host.cpu.busy > 90 * percent")...)
	r.state("checkout.service", "failed")
	r.set("host.cpu.busy", 0.95)
	r.run(12 * time.Second)
	r.want("0s fired down checkout.service", "11s fired busy")
	alert := r.e.Alerts()[0]

	r.cfg.Rules = rules("host.cpu.busy > 80 * percent")
	r.e.Reload(r.cfg)
	r.run(time.Second)
	r.want("13s resolved busy") // another rule now
	if got := r.e.Alerts(); got[0] != alert || got[0].State != Firing || got[0].Rule != r.cfg.Rules[0] {
		t.Errorf("the unchanged alert is %+v, want the same object, firing, with the new rule", got[0])
	}
	r.run(11 * time.Second)
	r.want("23s fired busy")
	r.cfg.Rules = nil
	r.e.Reload(r.cfg)
	r.run(time.Second)
	r.want("25s resolved busy", "25s resolved down checkout.service")
}

func TestNeeds(t *testing.T) {
	s := checkout()
	s.Remedies = []*config.Remedy{{Name: "restart-app",
		Precondition: condition(t, "host.memory.available_ratio > 10 * percent", scope(expr.Precondition)),
		Verify:       &config.Verify{When: condition(t, "probe.health.latency < 1 * s", scope(expr.Verify))}}}
	r := newRig(t, []*config.Service{s}, about(t, "busy", "checkout", `avg(unit.cpu, "1m") > 1`, ""))
	var got []string
	for _, n := range r.e.Needs() {
		got = append(got, n.Key.String()+" "+n.Window.String())
	}
	want := []string{
		"host.memory.available_ratio 0s", "probe.health.latency{checkout} 0s", "unit.cpu{checkout.service} 1m0s",
		"unit.state{checkout.service} 0s", "unit.uptime{checkout.service} 0s",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("needs (-want +got):\n%s", diff)
	}
}

func TestSettle(t *testing.T) {
	r := newRig(t, []*config.Service{checkout()}, about(t, "down", "checkout", "unit.failed", ""))
	r.state("checkout.service", "failed")
	a := r.e.Alerts()[0]
	if r.e.Settle(a, r.now, r.emit) {
		t.Error("settled while the condition holds")
	}
	r.state("checkout.service", "active")
	if !r.e.Settle(a, r.now, r.emit) {
		t.Error("not settled though it is clear")
	}
	r.state("checkout.service", "failed")
	r.want("0s fired down checkout.service", "0s resolved down checkout.service", "0s fired down checkout.service")
}

func TestDetection(t *testing.T) {
	slow := about(t, "slow", "checkout", "probe.health.latency > 1 * s", "")
	slow.For = 10 * time.Minute
	hang := about(t, "hang", "checkout", "!probe.health.ok", "")
	hang.For = 0
	ends := about(t, "ends", "checkout", "!probe.deep.ok", "")
	service := checkout()
	service.Probes = append(service.Probes, &config.Probe{Name: "deep", TLS: "localhost:443", Every: time.Minute, Misses: 3})
	r := newRig(t, []*config.Service{service}, slow, hang, ends, about(t, "down", "checkout", "unit.failed", ""))
	if got, want := r.e.Detection("checkout"), 1900*time.Millisecond; got != want {
		t.Errorf("detection = %v, want %v: a second, two misses 200 ms apart, the time-out", got, want)
	}
	if got := r.e.Detection("nobody"); got != 0 {
		t.Errorf("detection of a stranger = %v", got)
	}
}

func TestProof(t *testing.T) {
	r := newRig(t, []*config.Service{checkout()}, about(t, "hang", "checkout", "!probe.health.ok", ""))
	r.set("probe.health.ok{checkout}", false)
	r.run(12 * time.Second)
	a := r.e.Alerts()[0]
	v := config.Verification{When: a.Rule.When, Not: true}
	p := r.e.Proof(a, v)
	since := r.now.Boot
	if got := p.Eval(r.now, since); got != expr.Unknown {
		t.Errorf("without samples: %v", got)
	}
	r.set("probe.health.ok{checkout}", true)
	r.run(2 * time.Second)
	if got := p.Eval(r.now, since); got != expr.Unknown {
		t.Errorf("after two samples: %v, want unknown", got)
	}
	r.run(time.Second)
	if got := p.Eval(r.now, since); got != expr.True {
		t.Errorf("after three samples: %v, want true", got)
	}
	r.set("probe.health.ok{checkout}", false)
	if got := p.Eval(r.now, since); got != expr.False {
		t.Errorf("when it fails again: %v, want false", got)
	}
}

func TestRestore(t *testing.T) {
	r := newRig(t, []*config.Service{checkout()}, about(t, "hang", "checkout", "!probe.health.ok", ""))
	fired := r.now.Add(-time.Hour)
	a := r.e.Restore("hang", "checkout", "checkout.service", fired)
	if a == nil || a.State != Firing || a.Fired != fired {
		t.Fatalf("restored %+v", a)
	}
	if r.e.Restore("hang", "checkout", "other.service", fired) != nil {
		t.Error("restored what does not exist")
	}
	r.run(time.Minute)
	r.want() // no data is no recovery
	if a.Since != fired {
		t.Errorf("since %v, want when it fired", a.Since)
	}
	r.set("probe.health.ok{checkout}", true)
	r.run(11 * time.Second)
	r.want("1m11s resolved hang checkout.service")
	if got := r.e.Every(); len(got) != 1 || got[0] != a || a.State != Resting {
		t.Errorf("every alert: %v", got)
	}
}

func TestBind(t *testing.T) {
	r := newRig(t, []*config.Service{checkout()}, about(t, "down", "checkout", "unit.failed", ""))
	p := condition(t, `label.stage == "test" && unit.state == "active"`,
		expr.Scope{Service: true, Labels: r.cfg.Labels, Use: expr.Precondition})
	b := r.e.Bind(Subject{Service: r.cfg.Services[0], Unit: "checkout.service"}, p)
	if got := b.Eval(r.now); got != expr.Unknown {
		t.Errorf("before systemd told anything: %v", got)
	}
	r.state("checkout.service", "active")
	if got := b.Eval(r.now); got != expr.True {
		t.Errorf("active on a host with the label: %v", got)
	}
}

func TestUnitGlobOfRule(t *testing.T) {
	batch := &config.Service{Name: "batch", Unit: "batch-*.service", Every: 200 * time.Millisecond, Startup: time.Second}
	rule := about(t, "greedy", "", "host.cpu.busy > 90 * percent", "")
	rule.When = condition(t, "unit.cpu > 80 * percent", expr.Scope{Unit: true})
	rule.Unit = "*.service"
	r := newRig(t, []*config.Service{batch, checkout()}, rule)
	r.e.SetUnits([]string{"batch-1.service", "cron.service", "tmp.mount"})
	var got []string
	for _, in := range r.e.list {
		got = append(got, in.Instance)
	}
	if diff := cmp.Diff([]string{"batch-1.service", "cron.service"}, got); diff != "" {
		t.Errorf("instances (-want +got):\n%s", diff)
	}
	for _, n := range r.e.Needs() {
		if n.Key.Signal == "unit.cpu" && n.Key.Of == "batch-1.service" && n.Every != batch.Every {
			t.Errorf("%v is sampled every %v, want the period of its service", n.Key, n.Every)
		}
	}
	rule.Services = []string{"checkout"} // other services' units are not its business
	r.e.Reload(r.cfg)
	if len(r.e.list) != 1 || r.e.list[0].Instance != "cron.service" {
		t.Errorf("instances of one service: %d", len(r.e.list))
	}
}

// The latencies of a probe are a distribution: a quantile finds the few slow answers that an average hides.
func TestSlowestAnswers(t *testing.T) {
	slow := about(t, "slow", "checkout", `quantile(0.9, probe.health.latency, "20s") > 500 * ms`, "")
	slow.For = 0
	r := newRig(t, []*config.Service{checkout()}, slow)
	answer := func(seconds float64, times time.Duration) {
		r.set("probe.health.latency{checkout}", seconds)
		r.run(times * time.Second)
	}
	answer(0.02, 30)
	answer(2, 1)
	answer(0.02, 5)
	r.want()
	answer(2, 1)
	r.want("37s fired slow checkout.service")
}
