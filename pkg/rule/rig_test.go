package rule

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/hcl/v2/hclparse"

	"github.com/salveops/salve/pkg/clock"
	"github.com/salveops/salve/pkg/config"
	"github.com/salveops/salve/pkg/expr"
	"github.com/salveops/salve/pkg/series"
	"github.com/salveops/salve/pkg/signal"
)

// rig is an engine with a hand on every signal and on the clock.
type rig struct {
	t      testing.TB
	cfg    Config
	e      *Engine
	now    clock.Instant
	held   map[series.Key]float64 // what sources go on telling every tick
	events []string
	last   *Event
}

// start is well after boot, so that samples before the test can exist.
const start = time.Hour

func newRig(t testing.TB, services []*config.Service, rules ...*config.Rule) *rig {
	t.Helper()
	r := &rig{
		t: t, held: make(map[series.Key]float64),
		now: clock.Instant{Boot: start, Wall: time.Date(2026, 11, 22, 3, 0, 0, 0, time.UTC)},
		cfg: Config{Rules: rules, Services: services, Store: series.New(), Labels: map[string]string{"stage": "test"}},
	}
	r.e = New(r.cfg)
	return r
}

// condition compiles a condition.
func condition(t testing.TB, src string, scope expr.Scope) *expr.Program {
	t.Helper()
	f, diags := hclparse.NewParser().ParseHCL([]byte("x = "+src+"\n"), "test.hcl")
	attrs, more := f.Body.JustAttributes()
	if diags = append(diags, more...); diags.HasErrors() {
		t.Fatalf("parse %q: %v", src, diags)
	}
	p, diags := expr.Compile(attrs["x"].Expr, &scope)
	if diags.HasErrors() {
		t.Fatalf("compile %q: %v", src, diags)
	}
	return p
}

// scope allows everything that the tests use.
func scope(use expr.Use) expr.Scope {
	return expr.Scope{Service: true, Probes: []string{"health", "deep"}, Pools: []string{"db"}, Use: use}
}

// about makes a rule of the service that is named; of the host if service is "".
func about(t testing.TB, name, service, when, clear string) *config.Rule {
	t.Helper()
	r := &config.Rule{Name: name, For: 10 * time.Second, ClearFor: 10 * time.Second, Severity: config.Warning,
		When: condition(t, when, scope(expr.When))}
	if service != "" {
		r.Services = []string{service}
	}
	if clear != "" {
		r.Clear = condition(t, clear, scope(expr.Clear))
	}
	if r.When.EventOnly() {
		r.For = 0
	}
	return r
}

func checkout() *config.Service {
	return &config.Service{Name: "checkout", Unit: "checkout.service", Startup: 30 * time.Second, Every: time.Second,
		Probes: []*config.Probe{{Name: "health", Every: time.Second, Timeout: 500 * time.Millisecond, Misses: 3}}}
}

// key reads unit.cpu{checkout.service}.
func (r *rig) key(name string) series.Key {
	text, of, _ := strings.Cut(strings.TrimSuffix(name, "}"), "{")
	if _, err := signal.ParsePath(text); err != nil {
		r.t.Fatal(err)
	}
	return series.Key{Signal: text, Of: of}
}

// set makes a source tell a value from now on; a word becomes the value of a text signal.
func (r *rig) set(name string, v any) {
	r.t.Helper()
	k := r.key(name)
	var f float64
	switch v := v.(type) {
	case bool:
		if v {
			f = 1
		}
	case string:
		f = r.cfg.Store.Intern(v)
	case float64:
		f = v
	case int:
		f = float64(v)
	}
	r.held[k] = f
	if s := r.cfg.Store.Lookup(k); s != nil {
		s.Set(r.now.Boot, f)
	}
}

// fail makes a source tell "unknown" once, and then nothing.
func (r *rig) fail(name string) {
	k := r.key(name)
	delete(r.held, k)
	if s := r.cfg.Store.Lookup(k); s != nil {
		s.Unknown(r.now.Boot)
	}
}

// rest makes a source tell that too little happens from now on.
func (r *rig) rest(name string) {
	s := r.cfg.Store.Lookup(r.key(name))
	s.Idle(r.now.Boot)
	r.held[s.Key()] = s.Gap(r.now.Boot)
}

// state moves a unit as systemd tells it, and the engine hears of it at once.
func (r *rig) state(unit, active string) {
	r.set("unit.state{"+unit+"}", active)
	r.set("unit.active{"+unit+"}", active == "active")
	r.set("unit.failed{"+unit+"}", active == "failed")
	for _, f := range []string{"state", "active", "failed"} {
		r.e.Touch(series.Key{Signal: "unit." + f, Of: unit}, r.now, r.emit)
	}
}

func (r *rig) emit(ev Event) {
	who := ev.Alert.Rule.Name
	if ev.Alert.Instance != "" {
		who += " " + ev.Alert.Instance
	}
	r.last = &ev
	r.events = append(r.events, fmt.Sprintf("%v %v %s", r.now.Boot-start, ev.Kind, who))
}

// run lets time pass in ticks of a second; polled sources tell what they were set to.
func (r *rig) run(d time.Duration) {
	for end := r.now.Boot + d; r.now.Boot < end; {
		r.now = r.now.Add(time.Second)
		for k, v := range r.held {
			if s := r.cfg.Store.Lookup(k); s != nil && !s.Event() {
				s.Set(r.now.Boot, v)
			}
		}
		r.e.Tick(r.now, r.emit)
	}
}

// heard returns the events since the last call, one a line.
func (r *rig) heard() string {
	out := strings.Join(r.events, "\n")
	r.events = nil
	return out
}

func (r *rig) want(events ...string) {
	r.t.Helper()
	if got, want := r.heard(), strings.Join(events, "\n"); got != want {
		r.t.Errorf("events after %v:\n%s\nwant:\n%s", r.now.Boot-start, got, want)
	}
}
