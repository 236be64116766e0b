package heal

import (
	"context"
	"slices"
	"time"

	"github.com/salveops/salve/agent/internal/observe/source"
	"github.com/salveops/salve/agent/internal/systemd"
	"github.com/salveops/salve/pkg/clock"
	"github.com/salveops/salve/pkg/config"
	"github.com/salveops/salve/pkg/remedy"
	"github.com/salveops/salve/pkg/rule"
	"github.com/salveops/salve/pkg/series"
	"github.com/salveops/salve/pkg/signal"
)

// unitSeries are the signals of a unit that systemd tells by itself.
type unitSeries struct {
	active, failed, state, restarts, uptime *series.Series
}

// unitEvents are the signals that change with an event of systemd; the one that matters most goes first.
var unitEvents = [...]string{"unit.failed", "unit.active", "unit.state", "unit.restarts", "unit.uptime"}

// openUnit returns the unit's series, opening them at first sight.
func (e *Engine) openUnit(name string) *unitSeries {
	if u := e.units[name]; u != nil {
		return u
	}
	open := func(field string) *series.Series {
		p := signal.Path{Family: "unit", Field: field}
		return e.open(p, name, 0)
	}
	u := &unitSeries{active: open("active"), failed: open("failed"), state: open("state"),
		restarts: open("restarts"), uptime: open("uptime")}
	e.units[name] = u
	return u
}

// open opens the series of a signal as the catalogue describes it.
func (e *Engine) open(p signal.Path, of string, window time.Duration) *series.Series {
	info, _ := signal.Lookup(p)
	return e.store.Open(series.Key{Signal: p.String(), Of: of},
		series.Options{Dim: info.Dim, Every: info.Every, Event: info.Event, Window: window})
}

// set gives every signal of the unit a sample. systemd's state holds until it says something else, so
// repeating it each tick is what makes "since the action" have samples.
func (u *unitSeries) set(st *series.Store, at time.Duration, s systemd.Unit) {
	u.active.Set(at, truth(s.Active == "active" || s.Active == "reloading"))
	u.failed.Set(at, truth(s.Active == "failed"))
	u.state.Set(at, st.Intern(s.Active))
	u.restarts.Set(at, float64(s.NRestarts))
	up := time.Duration(0)
	if s.Active == "active" || s.Active == "reloading" {
		up = max(0, at-s.ActiveEnter)
	}
	u.uptime.Set(at, up.Seconds())
}

func (u *unitSeries) unknown(at time.Duration) {
	for _, s := range []*series.Series{u.active, u.failed, u.state, u.restarts, u.uptime} {
		s.Unknown(at)
	}
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// onUnit takes an event of systemd.
func (e *Engine) onUnit(ctx context.Context, ev systemd.Event) {
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
			u.unknown(ev.At)
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
	e.openUnit(name).set(e.store, ev.At, ev.Unit)
	e.track(ev.Unit)
	if !e.revived {
		return
	}
	now := e.o.Clock.Now()
	for _, field := range unitEvents {
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
			u.set(e.store, now, s)
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
		if s.Known {
			s.Handle.Series.Set(s.At, s.Value)
		} else {
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
	h.Series = e.open(p, h.Key.Of, 0)
}

// tick brings every signal and every rule to this second.
func (e *Engine) tick(ctx context.Context) {
	began := time.Now()
	now := e.o.Clock.Now()
	for name, u := range e.units {
		if s, ok := e.o.Units.Unit(name); known(s, ok) {
			u.set(e.store, now.Boot, s)
		} else {
			u.unknown(now.Boot)
		}
	}
	if !e.revived {
		e.revive(ctx)
		return
	}
	e.report()
	e.rules.Tick(now, func(a rule.Event) { e.onAlert(ctx, a) })
	e.step(now)
	e.overruns()
	e.clearDoubts()
	e.judgeDue(ctx)
	e.remind()
	e.past.forget(e.stamp())
	e.repay()
	e.stats.tick(time.Since(began))
}

// unitOf is the unit that an alert is about, "" for one that is about none.
func unitOf(a *rule.Alert) string { return a.Unit }

// targetOf is what the remedy acts on when it is tried for unit.
func targetOf(r *config.Remedy, unit string) string {
	switch {
	case r.Kind == remedy.Exec && len(r.Args.Command) > 0:
		return r.Args.Command[0]
	case r.Kind == remedy.ResetPool:
		return r.Args.Pool
	case r.Args.Unit != "":
		return r.Args.Unit
	}
	return unit
}

func isUnitKind(k remedy.Kind) bool {
	s, ok := remedy.Lookup(string(k))
	return ok && s.Target == "unit"
}

// stampAt is the moment as records keep it.
func (e *Engine) stampAt(i clock.Instant) clock.Stamp { return clock.At(e.o.Clock, i) }
