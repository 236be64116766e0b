package rule

import (
	"fmt"
	"testing"
	"time"

	"github.com/salveops/salve/pkg/config"
	"github.com/salveops/salve/pkg/expr"
)

// thousand are the kinds of rules that a host with 100 services has, ten for each, all at rest.
func thousand(t testing.TB) *rig {
	var services []*config.Service
	var rules []*config.Rule
	whens := [][2]string{
		{"unit.failed", ""},
		{"!probe.health.ok", ""},
		{"unit.memory_ratio > 90 * percent", "unit.memory_ratio < 70 * percent"},
		{"unit.cpu > 80 * percent && unit.throttled > 10 * percent", ""},
		{"probe.health.latency > 800 * ms || !probe.health.ok", "probe.health.latency < 200 * ms"},
		{`avg(unit.cpu, "30s") > 150 * percent`, ""},
		{"hits(probe.health.latency > 500 * ms, 3, 5)", ""},
		{"unit.tasks > 1000 || unit.fds > 5000", ""},
		{"unit.psi.memory.full > 20 * percent && host.memory.available_ratio < 10 * percent", ""},
		{"unit.restarts > 3 || unit.oom_kills > 0", ""},
	}
	for i := range 100 {
		s := checkout()
		s.Name, s.Unit = fmt.Sprintf("s%d", i), fmt.Sprintf("s%d.service", i)
		services = append(services, s)
		for n, w := range whens {
			rules = append(rules, about(t, fmt.Sprintf("r%d-%d", i, n), s.Name, w[0], w[1]))
		}
	}
	r := newRig(t, services, rules...)
	for _, n := range r.e.Needs() {
		r.held[n.Key] = 0
		switch n.Key.Signal {
		case "unit.state":
			r.held[n.Key] = r.cfg.Store.Intern("active")
		case "unit.active", "probe.health.ok", "host.memory.available_ratio":
			r.held[n.Key] = 1
		case "unit.uptime":
			r.held[n.Key] = 1e6
		}
		r.cfg.Store.Lookup(n.Key).Set(r.now.Boot, r.held[n.Key])
	}
	r.run(time.Minute)
	if len(r.e.list) != 1000 || len(r.events) > 0 || len(r.e.Alerts()) > 0 {
		t.Fatalf("%d instances, events %v, alerts %d; want 1000 at rest", len(r.e.list), r.events, len(r.e.Alerts()))
	}
	for _, in := range r.e.list {
		if got := in.When.Eval(r.now); got != expr.False {
			t.Fatalf("%s is %v, want a condition that is known", in.When.Program().Text(), got)
		}
	}
	return r
}

func BenchmarkTick1000(b *testing.B) {
	r := thousand(b)
	emit := func(Event) {}
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		r.now.Boot += time.Nanosecond
		r.e.Tick(r.now, emit)
	}
}

func TestTickAllocatesNothing(t *testing.T) {
	r := thousand(t)
	emit := func(Event) {}
	if n := testing.AllocsPerRun(20, func() {
		r.now.Boot += time.Millisecond
		r.e.Tick(r.now, emit)
	}); n != 0 {
		t.Errorf("%v allocations a tick, want none", n)
	}
}
