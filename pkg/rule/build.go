package rule

import (
	"maps"
	"slices"
	"time"

	"github.com/salveops/salve/pkg/config"
	"github.com/salveops/salve/pkg/defaults"
	"github.com/salveops/salve/pkg/expr"
	"github.com/salveops/salve/pkg/glob"
	"github.com/salveops/salve/pkg/series"
	"github.com/salveops/salve/pkg/signal"
)

// rebuild makes the instances that should exist now. Those that exist already keep their state; with
// rebind they are tied to the configuration anew.
func (e *Engine) rebuild(rebind bool) {
	old := make(map[id]*instance, len(e.list))
	for _, in := range e.list {
		old[in.id] = in
	}
	e.gone = slices.DeleteFunc(e.gone, func(in *instance) bool { // what came back in time was never gone
		if old[in.id] != nil {
			return false
		}
		old[in.id] = in
		return true
	})
	e.list, e.readers, e.needs = nil, make(map[series.Key][]*instance), make(map[series.Key]Need)
	e.openGoals()
	for _, p := range e.plans() {
		in := old[p.id]
		if in == nil || !in.same(p) {
			in = &instance{id: p.id}
			e.bind(in, p)
		} else {
			delete(old, p.id)
			if rebind {
				e.bind(in, p)
			}
		}
		e.enlist(in)
	}
	for _, in := range sortedByID(old) {
		if in.State != Resting || in.Blind || in.Flapping {
			e.gone = append(e.gone, in)
		}
	}
	maps.DeleteFunc(e.vitals, func(unit string, v *vital) bool {
		return !slices.ContainsFunc(e.list, func(in *instance) bool { return in.vital == v })
	})
	e.openRemedies()
	e.detection = e.detections()
}

// same reports whether the plan is the instance's rule, unchanged.
func (in *instance) same(p plan) bool {
	return in.Rule.When.Text() == p.rule.When.Text() && text(in.Rule.Clear) == text(p.rule.Clear)
}

func text(p *expr.Program) string {
	if p == nil {
		return ""
	}
	return p.Text()
}

// bind ties the instance to the configuration.
func (e *Engine) bind(in *instance, p plan) {
	in.Subject, in.Rule, in.Instance = p.Subject, p.rule, p.id.instance
	b := binder{e, p.Subject}
	b.open(p.rule.When)
	b.open(p.rule.Clear)
	in.When, in.Clear, in.window = p.rule.When.Bind(b), nil, p.rule.When.Window()
	if p.rule.Clear != nil {
		in.Clear = p.rule.Clear.Bind(b)
		in.window = max(in.window, p.rule.Clear.Window())
	}
	in.vital, in.startup = e.watch(b, p.rule)
}

// enlist makes the instance part of the engine: its series stay open, its events reach it.
func (e *Engine) enlist(in *instance) {
	e.list = append(e.list, in)
	in.gates = e.gates(in.Service)
	b := binder{e, in.Subject}
	keys := append(b.open(in.Rule.When), b.open(in.Rule.Clear)...)
	slices.SortFunc(keys, series.Key.Compare)
	in.reads, in.counts = in.reads[:0], in.counts[:0]
	for _, k := range slices.Compact(keys) {
		e.readers[k] = append(e.readers[k], in)
		s := e.cfg.Store.Lookup(k)
		if g := e.goalOf(s); g != nil {
			in.counts, in.reads = append(in.counts, s), append(in.reads, g.from...)
		} else {
			in.reads = append(in.reads, s)
		}
	}
	if in.vital != nil { // it must not miss a start between two ticks
		state, _ := b.openVital()
		if !slices.Contains(e.readers[state], in) {
			e.readers[state] = append(e.readers[state], in)
		}
	}
	for _, rem := range e.remedies(in.Service) {
		if slices.Contains(in.Rule.Try, rem.Name) {
			openRemedy(b, rem)
		}
	}
}

func sortedByID(of map[id]*instance) []*instance {
	out := make([]*instance, 0, len(of))
	for _, in := range of {
		out = append(out, in)
	}
	slices.SortFunc(out, func(a, b *instance) int { return a.id.compare(b.id) })
	return out
}

// watch is the life of the unit that a rule about polled signals stands still with while it starts. A
// rule over events alone never does: a failed start is a failure at once.
func (e *Engine) watch(b binder, r *config.Rule) (*vital, time.Duration) {
	if b.Unit == "" || r.When.EventOnly() && (r.Clear == nil || r.Clear.EventOnly()) {
		return nil, 0
	}
	startup := defaults.Startup
	if s := e.owner(b.Unit); s != nil {
		startup = s.Startup
	}
	if b.Service != nil {
		startup = b.Service.Startup
	}
	if v := e.vitals[b.Unit]; v != nil {
		return v, startup
	}
	state, uptime := b.openVital()
	v := &vital{
		state: e.cfg.Store.Lookup(state), uptime: e.cfg.Store.Lookup(uptime),
		active: e.cfg.Store.Intern("active"), activating: e.cfg.Store.Intern("activating"),
	}
	e.vitals[b.Unit] = v
	return v, startup
}

// openVital opens the series that tell whether the unit is starting.
func (b binder) openVital() (state, uptime series.Key) {
	open := func(field string) series.Key {
		p := signal.Path{Family: "unit", Field: field}
		info, _ := signal.Lookup(p)
		every := b.every(expr.Ref{Path: p, Info: info, Every: info.Every})
		return b.e.need(b.key(p), series.Options{Dim: info.Dim, Every: every, Event: info.Event})
	}
	return open("state"), open("uptime")
}

// remedies are those that a rule about the service, or the host, may try.
func (e *Engine) remedies(s *config.Service) []*config.Remedy {
	if s == nil {
		return e.cfg.Remedies
	}
	return s.Remedies
}

// openRemedies opens what the conditions of remedies read, so that it is sampled before they run.
func (e *Engine) openRemedies() {
	for _, s := range e.cfg.Services {
		units := []string{s.Unit}
		if glob.Is(s.Unit) {
			units = e.existing(s.Covers)
		}
		for _, rem := range s.Remedies {
			for _, unit := range units {
				openRemedy(binder{e, Subject{Service: s, Unit: unit}}, rem)
			}
		}
	}
}

func openRemedy(b binder, rem *config.Remedy) {
	b.open(rem.Precondition)
	b.open(rem.Until)
	if rem.Verify != nil {
		b.open(rem.Verify.When)
	}
}
