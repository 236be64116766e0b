package expr

import (
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/salveops/salve/pkg/clock"
	"github.com/salveops/salve/pkg/series"
	"github.com/salveops/salve/pkg/signal"
)

// host is one instance with everything that a condition may refer to. It opens what is asked for,
// as the rule engine does.
type host struct {
	store  *series.Store
	labels map[string]string
	refs   []Ref
}

func newHost(p *Program) *host {
	h := &host{store: series.New(), labels: map[string]string{"stage": "production", "role": "web"}}
	if p != nil {
		h.refs = p.Refs()
		for _, r := range h.refs {
			h.open(r)
		}
	}
	return h
}

func (h *host) open(r Ref) *series.Series {
	return h.store.Open(series.Key{Signal: r.Path.String()}, series.Options{
		Dim: r.Info.Dim, Every: r.Every, Window: r.Window, Event: r.Info.Event, Span: r.Info.Span,
		Anomaly: r.Anomaly, Counter: r.Info.Counter,
	})
}

func (h *host) Series(p signal.Path) *series.Series {
	return h.store.Lookup(series.Key{Signal: p.String()})
}

func (h *host) Label(name string) (string, bool) { v, ok := h.labels[name]; return v, ok }

func (h *host) Intern(word string) float64 { return h.store.Intern(word) }

// set gives a signal a value; signals that the condition does not read are left alone.
func (h *host) set(at time.Duration, name string, v float64) {
	if s := h.store.Lookup(series.Key{Signal: name}); s != nil {
		s.Set(at, v)
	}
}

// instant is short for the tests.
type instant = clock.Instant

func key(name string) series.Key { return series.Key{Signal: name} }

// monday is 12:00 UTC of a Monday; the machine started a day before.
var monday = clock.Instant{Boot: 24 * time.Hour, Wall: time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)}

func scope() *Scope {
	return &Scope{
		Service: true, Probes: []string{"health", "ready"}, Pools: []string{"db"}, SLOs: []string{"checkout"},
		Metrics: map[string]signal.Info{"error_rate": {Name: "metric.*", Dim: signal.Ratio, Scope: signal.Service,
			Every: time.Second, Span: 5 * time.Second}},
		Contexts: map[string]map[string]signal.Info{"market": {"volatility": {Name: "context.*.*", Dim: signal.Ratio,
			Every: 10 * time.Second}}},
		Queries:    map[string]signal.Info{"orders": {Name: "query.*", Dim: signal.Count, Every: 10 * time.Second}},
		Labels:     map[string]string{"stage": "production", "role": "web"},
		Thresholds: map[string]*Threshold{},
	}
}

// failer is what the helpers need of a test or of a property.
type failer interface {
	Helper()
	Fatalf(format string, args ...any)
}

func parse(t failer, src string) hcl.Expression {
	t.Helper()
	e, diags := hclsyntax.ParseExpression([]byte(src), "rules.hcl", hcl.InitialPos)
	if diags.HasErrors() {
		t.Fatalf("parse %s: %s", src, diags)
	}
	return e
}

func compile(t failer, src string, s *Scope) *Program {
	t.Helper()
	p, diags := Compile(parse(t, src), s)
	if diags.HasErrors() {
		t.Fatalf("compile %s: %s", src, diags)
	}
	return p
}

// instance is a host seen from one of several instances: it knows what an open key stands for.
type instance struct {
	*host
	key string
}

func (in instance) Series(p signal.Path) *series.Series {
	if p.Key == signal.AnyKey {
		p.Key = in.key
	}
	return in.host.Series(p)
}
