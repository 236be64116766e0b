package rule

import (
	"cmp"
	"time"

	"github.com/salveops/salve/pkg/clock"
	"github.com/salveops/salve/pkg/config"
	"github.com/salveops/salve/pkg/expr"
	"github.com/salveops/salve/pkg/series"
	"github.com/salveops/salve/pkg/signal"
)

// binder finds the series of one subject.
type binder struct {
	e *Engine
	Subject
}

// Series implements expr.Binder.
func (b binder) Series(p signal.Path) *series.Series { return b.e.cfg.Store.Lookup(b.key(p)) }

// Label implements expr.Binder.
func (b binder) Label(name string) (string, bool) {
	text, ok := b.e.cfg.Labels[name]
	return text, ok
}

// Intern implements expr.Binder.
func (b binder) Intern(word string) float64 { return b.e.cfg.Store.Intern(word) }

// key is the series that a signal means for the subject.
func (b binder) key(p signal.Path) series.Key {
	if p.Key == signal.AnyKey {
		p.Key = b.Key
	}
	k := series.Key{Signal: p.String()}
	info, _ := signal.Lookup(p)
	switch {
	case info.Scope == signal.Unit:
		k.Of = b.Unit
	case info.Scope == signal.Service && b.Service != nil:
		k.Of = b.Service.Name
	}
	return k
}

// every is the period with which the subject's signal is sampled.
func (b binder) every(r expr.Ref) time.Duration {
	s := b.Service
	if s == nil {
		s = b.e.owner(b.Unit)
	}
	if s == nil || r.Info.Event {
		return r.Every
	}
	p := r.Path
	if p.Key == signal.AnyKey {
		p.Key = b.Key
	}
	return cmp.Or(s.Describe(p).Every, r.Every)
}

// describe is what the configuration says of the subject's signal.
func (b binder) describe(r expr.Ref) signal.Info {
	p := r.Path
	if p.Family == signal.Query { // which is one for all subjects
		return r.Info
	}
	if p.Key == signal.AnyKey {
		p.Key = b.Key
	}
	all := config.Agent{Services: b.e.cfg.Services, Logs: b.e.cfg.Logs}
	return all.Describe(p, b.key(r.Path).Of)
}

// open makes the series that a program reads of the subject, and returns their keys.
func (b binder) open(p *expr.Program) []series.Key {
	if p == nil {
		return nil
	}
	var keys []series.Key
	for _, r := range p.Refs() {
		if r.Info.Scope == signal.Unit && b.Unit == "" || r.Info.Scope == signal.Service && b.Service == nil {
			continue // there is no such thing: it reads as unknown
		}
		if r.Path.Key == signal.AnyKey && b.Key == "" {
			continue
		}
		in := b.describe(r)
		keys = append(keys, b.e.need(b.key(r.Path), series.Options{
			Dim: r.Info.Dim, Every: b.every(r), Window: r.Window, Event: r.Info.Event, Span: in.Span,
			Definition: in.Definition, Anomaly: r.Anomaly, Counter: r.Info.Counter,
		}))
	}
	return keys
}

// Bind ties a program of the subject's service, such as a remedy's precondition, to the subject.
func (e *Engine) Bind(s Subject, p *expr.Program) *expr.Bound {
	b := binder{e, s}
	b.open(p)
	return p.Bind(b)
}

// Proof is the condition of recovery for one attempt, with the thresholds that held when the alert
// fired.
type Proof struct {
	bound *expr.Bound
	not   bool // recovery is that the condition does not hold
}

// Proof prepares the verification of an attempt for the alert.
func (e *Engine) Proof(a *Alert, v config.Verification) *Proof {
	return &Proof{bound: e.Bind(a.Subject, v.When).Freeze(a.Fired), not: v.Not}
}

// Eval judges by samples strictly later than since (a Boot time) only. True needs enough of them of
// every signal; too few are Unknown, whichever way the condition is written.
func (p *Proof) Eval(now clock.Instant, since time.Duration) expr.Truth {
	if p.not {
		return p.bound.DenySince(now, since)
	}
	return p.bound.EvalSince(now, since)
}
