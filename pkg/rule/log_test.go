package rule

import (
	"testing"
	"time"

	"github.com/salveops/salve/pkg/config"
	"github.com/salveops/salve/pkg/expr"
	"github.com/salveops/salve/pkg/series"
	"github.com/salveops/salve/pkg/signal"
)

// TestLogsOfDifferentWindows: a rule about every log of the host and one about a single one agree on what a series is,
// so a unit that comes or goes does not make it begin anew.
func TestLogsOfDifferentWindows(t *testing.T) {
	logs := []*config.Log{{Name: "short", Window: 10 * time.Second}, {Name: "long", Window: time.Minute}}
	all := config.Agent{Logs: logs}
	s := expr.Scope{HostLogs: []string{"short", "long"},
		Span: func(p signal.Path) time.Duration { return all.Describe(p, "").Span }}
	var rules []*config.Rule
	for _, when := range []string{`host.log["*"].rate > 0`, `host.log["short"].rate > 0`} {
		rules = append(rules, &config.Rule{Name: when, When: condition(t, when, s)})
	}
	st := series.New()
	e := New(Config{Rules: rules, Logs: logs, Store: st})
	e.SetKeys("host.log", []string{"long", "short"})
	short := st.Lookup(series.Key{Signal: `host.log["short"].rate`})
	for second := time.Second; second <= 14*time.Second; second += time.Second {
		short.Set(second, 1)
	}
	e.SetUnits([]string{"new.service"})
	if short.Since(0) == 0 {
		t.Error("what was known is forgotten")
	}
	if !short.Evident(time.Second) || short.Evident(2*time.Second) {
		t.Error("it does not speak about ten seconds")
	}
}
