package rule

import (
	"slices"
	"time"

	"github.com/salveops/salve/pkg/clock"
	"github.com/salveops/salve/pkg/config"
	"github.com/salveops/salve/pkg/expr"
	"github.com/salveops/salve/pkg/series"
)

// Config is what an engine works with. The configuration must have been checked.
type Config struct {
	Rules    []*config.Rule
	Services []*config.Service
	Remedies []*config.Remedy // of the host
	Logs     []*config.Log    // of the host
	Store    *series.Store
	Labels   map[string]string    // of the host
	Counts   map[series.Key]Count // of objectives, that an earlier process has kept; only New looks at them
}

// Engine judges all rules. It belongs to one goroutine.
type Engine struct {
	cfg       Config
	units     []string            // that exist, sorted
	keys      map[string][]string // that exist of each keyed host family, sorted
	list      []*instance         // in the order of the rules
	gone      []*instance         // no longer exist; the next look ends them
	readers   map[series.Key][]*instance
	needs     map[series.Key]Need
	vitals    map[string]*vital
	detection map[string]time.Duration
	goals     []*goal // one for each objective of a service
}

// Need is a series that rules or remedies read, so that it must be sampled.
type Need struct {
	Key    series.Key
	Every  time.Duration // 0: it comes by itself
	Window time.Duration // longest window over it
}

// New makes an engine. Rules over globs have no instances before SetUnits and SetKeys.
func New(cfg Config) *Engine {
	e := &Engine{cfg: cfg, keys: make(map[string][]string), vitals: make(map[string]*vital)}
	e.rebuild(true)
	return e
}

// Reload takes over a new configuration. Alerts of rules with the same name and the same text keep
// their state; the next look resolves those that no longer exist.
func (e *Engine) Reload(cfg Config) {
	e.cfg = cfg
	e.rebuild(true)
}

// SetUnits says which units exist. Rules over globs get an instance for each that matches; the next
// look resolves the alerts of those that are gone. Series stay, for whoever still holds them.
func (e *Engine) SetUnits(names []string) {
	sorted := slices.Compact(slices.Sorted(slices.Values(names)))
	if slices.Equal(sorted, e.units) {
		return
	}
	e.units = sorted
	e.rebuild(false)
}

// SetKeys says which instances of a family of the host exist, such as the mounts of "host.disk".
func (e *Engine) SetKeys(family string, keys []string) {
	sorted := slices.Compact(slices.Sorted(slices.Values(keys)))
	if slices.Equal(sorted, e.keys[family]) {
		return
	}
	e.keys[family] = sorted
	e.rebuild(false)
}

// Tick counts for every objective and judges every rule. emit is called for each change, in the order of the rules; it
// must not change the engine.
func (e *Engine) Tick(now clock.Instant, emit func(Event)) {
	e.bury(now, emit)
	for _, g := range e.goals {
		g.step(now)
	}
	for _, in := range e.list {
		in.step(now, emit)
	}
}

// Touch judges only what reads the series, at once: for what comes as an event.
func (e *Engine) Touch(key series.Key, now clock.Instant, emit func(Event)) {
	e.bury(now, emit)
	for _, in := range e.readers[key] {
		in.step(now, emit)
	}
}

// Settle ends an alert whose recovery was just proved, so that the next fault fires anew instead of
// hiding behind clear_for. It reports false, and the alert goes on, unless its clear condition holds.
func (e *Engine) Settle(a *Alert, now clock.Instant, emit func(Event)) bool {
	i := slices.IndexFunc(e.list, func(in *instance) bool { return &in.Alert == a })
	if i < 0 || !a.State.Active() {
		return false
	}
	in := e.list[i]
	when := in.When.Eval(now)
	if when == expr.True || in.Clear == nil && when != expr.False || in.Clear != nil && in.Clear.Eval(now) != expr.True {
		return false
	}
	in.resolve(now, emit)
	return true
}

// Alerts are all that are not at rest, or blind or flapping, in the order of the rules.
func (e *Engine) Alerts() []*Alert {
	var out []*Alert
	for _, in := range e.list {
		if in.State != Resting || in.Blind || in.Flapping {
			out = append(out, &in.Alert)
		}
	}
	return out
}

// Needs are the series that must be sampled, sorted by key.
func (e *Engine) Needs() []Need {
	out := make([]Need, 0, len(e.needs))
	for _, n := range e.needs {
		out = append(out, n)
	}
	slices.SortFunc(out, func(a, b Need) int { return a.Key.Compare(b.Key) })
	return out
}

// need opens a series and remembers that it must be sampled.
func (e *Engine) need(k series.Key, o series.Options) series.Key {
	s := e.cfg.Store.Open(k, o)
	e.needs[k] = Need{Key: k, Every: s.Every(), Window: s.Window()}
	return k
}

// bury ends alerts whose instance or rule is gone.
func (e *Engine) bury(now clock.Instant, emit func(Event)) {
	for _, in := range e.gone {
		in.Gone = true
		if in.Flapping {
			in.Flapping = false
			emit(Event{Kind: FlappingEnd, Alert: &in.Alert, At: now})
		}
		if in.Blind {
			in.Blind = false
			emit(Event{Kind: BlindEnd, Alert: &in.Alert, At: now})
		}
		if in.State.Active() {
			in.enter(Resting, now)
			emit(Event{Kind: Resolved, Alert: &in.Alert, At: now})
		}
	}
	e.gone = nil
}
