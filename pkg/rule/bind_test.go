package rule

import (
	"testing"
	"time"

	"github.com/salveops/salve/pkg/config"
	"github.com/salveops/salve/pkg/expr"
	"github.com/salveops/salve/pkg/signal"
)

// TestRedefinedMetric: what was sampled of another figure of the same name does not count.
func TestRedefinedMetric(t *testing.T) {
	rule := about(t, "errors", "", "host.cpu.busy > 0.5", "")
	rule.Services = []string{"checkout"}
	rule.When = condition(t, `avg(metric.errors, "1m") > 0.5`,
		expr.Scope{Service: true, Metrics: map[string]signal.Info{"errors": {Dim: signal.Ratio, Every: time.Second}}})
	r, s := burning(t, config.SLO{Probe: "health"})
	r.cfg.Rules = []*config.Rule{rule}
	r.e.Reload(r.cfg)
	r.set("metric.errors{checkout}", 0.0)
	r.run(time.Minute)
	errors := r.cfg.Store.Lookup(r.key("metric.errors{checkout}"))
	r.e.Reload(r.cfg)
	if n := errors.Since(start); n < 60 {
		t.Errorf("after a reload %d samples are left", n)
	}
	s.Scrapes[0].Metrics[0].Share = 0.5
	r.e.Reload(r.cfg)
	if n := errors.Since(0); n != 0 {
		t.Errorf("%d samples of the other figure are left", n)
	}
}
