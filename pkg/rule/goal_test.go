package rule

import (
	"testing"
	"time"

	"github.com/salveops/salve/pkg/config"
	"github.com/salveops/salve/pkg/expr"
	"github.com/salveops/salve/pkg/metric"
	"github.com/salveops/salve/pkg/signal"
)

// burning makes a rig with a rule about an objective of checkout.
func burning(t *testing.T, o config.SLO) (*rig, *config.Service) {
	t.Helper()
	s := checkout()
	s.Scrapes = []*config.Scrape{{Name: "app", Metrics: []*config.Metric{
		{Name: "errors", Every: time.Second, Definition: metric.Definition{Dim: signal.Ratio}},
		{Name: "traffic", Every: time.Second, Definition: metric.Definition{Dim: signal.PerSecond}},
	}}}
	o.Name, o.Objective, o.Window = "checkout", 0.99, 24*time.Hour
	s.SLOs = []*config.SLO{&o}
	r := about(t, "burns", "", "host.cpu.busy > 0.5", "")
	r.Services = []string{s.Name}
	scope := expr.Scope{Service: true, SLOs: []string{"checkout"}}
	r.When = condition(t, "slo[\"*\"].burn > 14.4", scope)
	return newRig(t, []*config.Service{s}, r), s
}

// burn is the figure of checkout as conditions read it.
func (r *rig) burn() (float64, bool) {
	return r.cfg.Store.Lookup(r.key("slo.checkout.burn{checkout}")).Value(r.now.Boot)
}

func (r *rig) wantBurn(what string, want float64) {
	r.t.Helper()
	got, known := r.burn()
	if !known || got < want*0.99-0.01 || got > want*1.01+0.01 {
		r.t.Errorf("%s: burn %v (known: %t), want %v", what, got, known, want)
	}
}

func TestProbeUsesUpTheBudget(t *testing.T) {
	r, _ := burning(t, config.SLO{Probe: "health"})
	r.set("probe.health.ok{checkout}", true)
	r.run(40*time.Minute - time.Second) // so that a minute ends with the hour
	r.wantBurn("well", 0)
	r.set("probe.health.ok{checkout}", false)
	r.run(20 * time.Minute)
	r.wantBurn("a third of the hour was bad", 100./3)
	if len(r.e.Alerts()) != 1 || r.e.Alerts()[0].State != Firing {
		t.Errorf("the rule does not fire: %v", r.events)
	}
	r.fail("probe.health.ok{checkout}")
	r.run(10 * time.Minute)
	if v, known := r.burn(); known {
		t.Errorf("nothing was known for ten minutes, and burn is %v", v)
	}
}

func TestErrorsAreWeighedByTraffic(t *testing.T) {
	for _, c := range []struct {
		what    string
		traffic string
		want    float64
	}{{"by time", "", 100. / 6}, {"by requests", "traffic", 500. / 59}} {
		r, _ := burning(t, config.SLO{Errors: "errors", Traffic: c.traffic})
		r.set("metric.errors{checkout}", 0.0)
		r.set("metric.traffic{checkout}", 99.0)
		r.run(50*time.Minute - time.Second)
		r.set("metric.errors{checkout}", 1.0)
		r.set("metric.traffic{checkout}", 45.9)
		r.run(10 * time.Minute)
		r.wantBurn(c.what, c.want)
	}
}

// At night nobody asks, and of nothing there is no share.
func TestNoTrafficIsNotBad(t *testing.T) {
	r, _ := burning(t, config.SLO{Errors: "errors", Traffic: "traffic"})
	r.set("metric.traffic{checkout}", 0.0)
	r.run(time.Hour)
	r.wantBurn("no traffic", 0)
}

// TestCountOutlivesTheProcess: an objective goes on where an earlier process stopped, unless it is another one by now.
func TestCountOutlivesTheProcess(t *testing.T) {
	for _, c := range []struct {
		what   string
		away   time.Duration
		change func(*config.Service)
		known  bool
	}{
		{"as it was", 10 * time.Second, func(*config.Service) {}, true},
		{"two hours later", 2 * time.Hour, func(*config.Service) {}, false},
		{"another objective", 0, func(s *config.Service) { s.SLOs[0].Objective = 0.9 }, false},
		{"another metric of that name", 0, func(s *config.Service) { s.Scrapes[0].Metrics[0].MinEvents = 7 }, false},
		{"another gate", 0, func(s *config.Service) { s.SLOs[0].Spent.Severity = config.Info }, true},
	} {
		r, _ := burning(t, config.SLO{Errors: "errors"})
		r.set("metric.errors{checkout}", 0.5)
		r.run(time.Hour)
		next, s := burning(t, config.SLO{Errors: "errors"})
		next.cfg.Counts = r.e.Counts()
		r.set("metric.errors{checkout}", 0.0)
		r.run(time.Hour) // which does not change what was copied
		c.change(s)
		next.now.Wall = next.now.Wall.Add(time.Hour + c.away) // and was booted
		next.e = New(next.cfg)
		next.set("metric.errors{checkout}", 0.5)
		next.run(time.Minute)
		if v, known := next.burn(); known != c.known {
			t.Errorf("%s: burn %v, known %t", c.what, v, known)
		} else if known {
			next.wantBurn(c.what, 50)
		}
	}
}

func TestCountOutlivesAReload(t *testing.T) {
	r, s := burning(t, config.SLO{Probe: "health"})
	r.set("probe.health.ok{checkout}", true)
	r.run(time.Hour)
	same := *s.SLOs[0]
	same.Range.Start.Line = 7
	s.SLOs = []*config.SLO{&same}
	r.e.Reload(r.cfg)
	r.run(time.Second)
	r.wantBurn("only moved in its file", 0)
	other := same
	other.Objective = 0.95
	s.SLOs = []*config.SLO{&other}
	r.e.Reload(r.cfg)
	r.run(time.Second)
	if v, known := r.burn(); known {
		t.Errorf("the objective is another one, and burn is %v", v)
	}
}
