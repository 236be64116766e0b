package heal

import (
	"context"
	"slices"
	"time"

	"github.com/salveops/salve/agent/internal/observe/source"
	"github.com/salveops/salve/agent/internal/systemd"
	"github.com/salveops/salve/pkg/care"
	"github.com/salveops/salve/pkg/clock"
	"github.com/salveops/salve/pkg/config"
	"github.com/salveops/salve/pkg/rule"
	"github.com/salveops/salve/pkg/series"
	"github.com/salveops/salve/pkg/signal"
)

// openUnit returns the unit's signals, opening them at first sight.
func (e *Engine) openUnit(name string) *care.Vitals {
	u := e.units[name]
	if u == nil {
		u = care.OpenVitals(e.store, name)
		e.units[name] = u
	}
	return u
}

// lifeOf is the unit as the pure packages see it.
func lifeOf(u systemd.Unit) care.Life {
	return care.Life{Name: u.Name, Active: u.Active, Result: u.Result, Restarts: u.NRestarts, ActiveEnter: u.ActiveEnter,
		Changed: u.Changed}
}

// life is what systemd told of the unit last; nil: nothing.
func (e *Engine) life(unit string) *care.Life {
	u, ok := e.o.Units.Unit(unit)
	if !ok {
		return nil
	}
	l := lifeOf(u)
	return &l
}

// onUnit takes an event of systemd.
func (e *Engine) onUnit(ctx context.Context, ev systemd.Event) {
	e.o.Hear(ev)
	switch ev.Kind {
	case systemd.Changed:
		e.unitChanged(ctx, ev)
	case systemd.Removed:
		e.bindUnits()
	case systemd.Connected:
		e.bindUnits()
		e.revive(ctx)
	case systemd.Disconnected:
		for _, u := range e.units {
			u.Unknown(ev.At)
		}
	case systemd.System:
		e.tick(ctx)
	}
}

func (e *Engine) unitChanged(ctx context.Context, ev systemd.Event) {
	name := ev.Unit.Name
	if ev.Was == "" && e.units[name] == nil {
		e.bindUnits()
	}
	e.openUnit(name).Set(ev.At, lifeOf(ev.Unit))
	e.track(ev.Unit)
	if !e.revived {
		return
	}
	now := e.o.Clock.Now()
	for _, field := range care.VitalSignals {
		e.rules.Touch(series.Key{Signal: field, Of: name}, now, func(a rule.Event) { e.onAlert(ctx, a) })
	}
	if ev.Was != ev.Unit.Active {
		e.step(now)
		if ev.Unit.Active == "active" {
			e.kick(name)
		}
		e.report()
	}
	e.reconsider(ctx, name) // also when only its file changed: what was refused because of that may run now
}

// kick makes the probes of the unit's services look at once: it has just come up.
func (e *Engine) kick(unit string) {
	for _, s := range e.cfg.Services {
		if s.Covers(unit) {
			e.o.Observe.Kick(s.Name)
		}
	}
}

// bindUnits tells the rule engine which units exist now.
func (e *Engine) bindUnits() {
	var names []string
	for _, s := range e.cfg.Services {
		names = append(names, e.unitsOf(s)...)
	}
	for _, r := range e.cfg.Rules {
		if r.Unit != "" {
			names = append(names, e.o.Units.Match(r.Unit)...)
		}
	}
	slices.Sort(names)
	names = slices.Compact(names)
	now := e.o.Clock.Now().Boot
	for _, name := range names {
		u := e.openUnit(name)
		if s, ok := e.o.Units.Unit(name); known(s, ok) {
			u.Set(now, lifeOf(s))
		}
	}
	e.rules.SetUnits(names)
	e.aim(names)
}

// unitsOf are the units that exist of a service.
func (e *Engine) unitsOf(s *config.Service) []string {
	return slices.DeleteFunc(e.o.Units.Match(s.Unit), func(name string) bool { return !s.Covers(name) })
}

// onSamples takes a batch of observations.
func (e *Engine) onSamples(ctx context.Context, b *source.Batch) {
	now := e.o.Clock.Now()
	for i := range b.Samples {
		s := &b.Samples[i]
		if s.Handle.Series == nil {
			e.adopt(s.Handle)
		}
		switch {
		case s.Known:
			s.Handle.Series.Set(s.At, s.Value)
		case s.Idle:
			s.Handle.Series.Idle(s.At)
		default:
			s.Handle.Series.Unknown(s.At)
		}
	}
	if !e.revived {
		b.Release()
		return
	}
	emit := func(a rule.Event) { e.onAlert(ctx, a) }
	for i := range b.Samples {
		e.rules.Touch(b.Samples[i].Handle.Key, now, emit)
	}
	b.Release()
	e.step(now)
	e.report()
}

// adopt finds or opens the series of a handle that is seen for the first time.
func (e *Engine) adopt(h *source.Handle) {
	h.Series = e.store.Lookup(h.Key)
	if h.Series != nil {
		return
	}
	p, err := signal.ParsePath(h.Key.Signal)
	if err != nil {
		e.log.Error("a source delivers a signal without a name", "signal", h.Key.Signal, "error", err)
	}
	h.Series = care.Open(e.store, p, h.Key.Of, e.cfg.Describe(p, h.Key.Of))
}

// tick brings every signal and every rule to this second.
func (e *Engine) tick(ctx context.Context) {
	began := time.Now()
	now := e.o.Clock.Now()
	for name, u := range e.units {
		if s, ok := e.o.Units.Unit(name); known(s, ok) {
			u.Set(now.Boot, lifeOf(s))
		} else {
			u.Unknown(now.Boot)
		}
	}
	e.changes.Tell(now.Boot)
	if !e.revived {
		e.revive(ctx)
		return
	}
	e.report()
	e.rules.Tick(now, func(a rule.Event) { e.onAlert(ctx, a) })
	e.raise()
	e.step(now)
	e.early(ctx, now)
	e.overruns()
	e.halts()
	e.clearDoubts()
	e.judgeDue(ctx)
	e.remind()
	e.past.Forget(e.stamp())
	e.repay()
	e.remember(now)
	e.stats.tick(time.Since(began))
}

// unitOf is the unit that an alert is about, "" for one that is about none.
func unitOf(a *rule.Alert) string { return a.Unit }

// remember hands the recorder what is known now.
func (e *Engine) remember(now clock.Instant) {
	if e.o.Record == nil {
		return
	}
	if e.open == nil {
		e.open = make(map[string]bool)
	}
	clear(e.open)
	e.open[""] = e.services[""] != nil
	for _, s := range e.cfg.Services {
		e.open[s.Name] = e.services[s.Name] != nil
	}
	e.o.Record.Second(now, e.store, e.open)
}

// stampAt is the moment as records keep it.
func (e *Engine) stampAt(i clock.Instant) clock.Stamp { return clock.At(e.o.Clock, i) }
