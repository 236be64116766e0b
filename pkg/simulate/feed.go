package simulate

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/salveops/salve/pkg/care"
	"github.com/salveops/salve/pkg/config"
	"github.com/salveops/salve/pkg/glob"
	"github.com/salveops/salve/pkg/healing"
	"github.com/salveops/salve/pkg/incident"
	"github.com/salveops/salve/pkg/remedy"
	"github.com/salveops/salve/pkg/script"
	"github.com/salveops/salve/pkg/series"
	"github.com/salveops/salve/pkg/signal"
)

// feed is the source of one signal.
type feed struct {
	config.Course
	from    time.Duration // when the course begins, on the boot clock
	attempt string        // because of which it does; "" it was so from the beginning
	before  *feed         // what went on without the attempt
	series  *series.Series
	unit    *unit // the signal is one of those that systemd tells; nil: it is not
}

// unit is a systemd unit.
type unit struct {
	life      care.Life
	vitals    *care.Vitals
	restarts  *series.Series // one of the vitals
	uncounted bool           // the test says that nobody knows the restarts
	stopped   string         // who stopped it, as in healing.Unit
	moved     bool           // its state has changed in this second
}

const (
	unitState    = "unit.state"
	unitRestarts = "unit.restarts"
)

// populate makes the units, mounts and devices that are there, and the sources.
func (h *host) populate() {
	given := courses(h.test)
	names := map[string]bool{}
	keys := map[string][]string{}
	for _, s := range h.cfg.Services {
		if !glob.Is(s.Unit) {
			names[s.Unit] = true
		}
	}
	for _, c := range given {
		switch info, _ := signal.Lookup(c.Signal); {
		case info.Scope == signal.Unit:
			names[c.Key.Of] = true
		case c.Signal.Key != "" && info.Scope == signal.Host:
			keys[c.Signal.Family] = append(keys[c.Signal.Family], c.Signal.Key)
		}
	}
	sorted := slices.Sorted(maps.Keys(names))
	for _, name := range sorted {
		u := &unit{vitals: care.OpenVitals(h.store, name),
			restarts: h.store.Lookup(series.Key{Signal: unitRestarts, Of: name}),
			life:     care.Life{Name: name, Active: "active", Result: "success", ActiveEnter: step, Changed: step}}
		h.units[name], h.sorted = u, append(h.sorted, u)
	}
	h.rules.SetUnits(sorted)
	for family, k := range keys {
		h.rules.SetKeys(family, k)
	}
	for _, c := range h.test.Courses {
		h.follow(c, uptime, "")
	}
}

// follow lets a signal take a course from a moment on.
func (h *host) follow(c config.Course, from time.Duration, attempt string) {
	f := &feed{Course: c, from: from, attempt: attempt}
	if f.series = h.store.Lookup(c.Key); f.series == nil {
		f.series = care.Open(h.store, c.Signal, c.Key.Of, h.cfg.Describe(c.Signal, c.Key.Of))
	}
	if c.Key.Signal == unitState || c.Key.Signal == unitRestarts {
		f.unit = h.units[c.Key.Of]
	}
	if i := slices.IndexFunc(h.feeds, func(old *feed) bool { return old.Key == c.Key }); i >= 0 {
		f.before, h.feeds[i] = h.feeds[i], f
		return
	}
	h.feeds = append(h.feeds, f)
}

// takeBack lets every signal go on as it would have without the attempt.
func (h *host) takeBack(attempt string) {
	for i, f := range h.feeds {
		if f.attempt == attempt && f.before != nil {
			h.feeds[i] = f.before
		}
	}
}

// feed gives every signal its sample of this second.
func (h *host) feed() {
	for _, f := range h.feeds {
		every := f.series.Every()
		if due := f.series.Event() || every <= step || (h.now.Boot-uptime)%every.Round(step) == 0; !due {
			continue
		}
		v := f.Script.At(int((h.now.Boot - f.from) / f.Every))
		switch {
		case f.unit != nil:
			f.unit.take(h.now.Boot, f.Key.Signal, v)
		case v.Kind == script.Unknown:
			f.series.Unknown(h.now.Boot)
		case v.Kind == script.Idle:
			f.series.Idle(h.now.Boot)
		case v.Kind == script.Known:
			f.series.Set(h.now.Boot, v.V)
		}
	}
	h.tell()
}

// tell gives the signals of all units a sample, and says at once which of them changed.
func (h *host) tell() {
	for _, u := range h.sorted {
		u.tell(h.now.Boot)
		if u.moved {
			h.moved(u.life.Name)
		}
	}
}

// take follows the course of the unit's state or of its restarts.
func (u *unit) take(now time.Duration, name string, v script.Value) {
	switch {
	case v.Kind == script.Silent:
	case name == unitRestarts:
		if u.uncounted = v.Kind == script.Unknown; !u.uncounted {
			u.life.Restarts = uint32(max(0, v.V))
		}
	case v.Kind == script.Unknown:
		u.move(now, "", "")
	default:
		// A unit that is down without having failed was stopped by somebody.
		u.move(now, v.Word, "person")
	}
}

// move brings the unit to a state.
func (u *unit) move(now time.Duration, active, by string) {
	if u.life.Active == active {
		return
	}
	was := u.life.Up()
	u.life.Active, u.life.Changed, u.moved = active, now, true
	u.life.Result, u.stopped = "success", ""
	switch {
	case active == "failed":
		u.life.Result, u.stopped = "exit-code", "itself"
	case active == "inactive":
		u.stopped = by
	case u.life.Up() && !was:
		u.life.ActiveEnter = now
	}
}

// tell gives the unit's signals a sample.
func (u *unit) tell(now time.Duration) {
	if u.life.Active == "" {
		u.vitals.Unknown(now)
		return
	}
	u.vitals.Set(now, u.life)
	if u.uncounted {
		u.restarts.Unknown(now)
	}
}

// moved tells of a unit's new state at once, as systemd does.
func (h *host) moved(name string) {
	h.units[name].moved = false
	for _, signal := range care.VitalSignals {
		h.rules.Touch(series.Key{Signal: signal, Of: name}, h.now, h.onAlert)
	}
	h.judge()
	h.reconsider(name)
}

// unitFacts is the unit as a decision looks at it.
func (h *host) unitFacts(name string, s *config.Service) healing.Unit {
	f := healing.Unit{Name: name, Startup: s.StartupTime()}
	u := h.units[name]
	if u == nil {
		return f
	}
	f.Load, f.Active, f.Result, f.Stopped = "loaded", u.life.Active, u.life.Result, u.stopped
	f.ActiveFor = u.life.Uptime(h.now.Boot)
	return f
}

// life is where the unit stands; nil: there is none, or nothing is known of it.
func (h *host) life(name string) *care.Life {
	u := h.units[name]
	if u == nil || u.life.Active == "" {
		return nil
	}
	return &u.life
}

// act lets an action have its effect: that of systemd on the unit, and what the test says of the signals.
func (h *host) act(r *run) {
	u, state := h.units[r.attempt.Target], series.Key{Signal: unitState, Of: r.attempt.Target}
	var courses []config.Course
	if r.after != nil {
		courses = r.after.Courses
	}
	given := slices.ContainsFunc(courses, func(c config.Course) bool { return c.Key == state })
	if u != nil && r.attempt.Error == "" && !given {
		courses = append(slices.Clone(courses), outcomeOf(r.remedy.Kind, state)...)
	}
	for _, c := range courses {
		h.follow(c, h.now.Boot, r.attempt.ID)
		if c.Key == state && u != nil {
			u.life.Active = "" // a new life, also of a unit that was up
			u.take(h.now.Boot, unitState, c.Script.At(0))
			if r.remedy.Kind == remedy.Stop {
				u.stopped = "salve"
			}
			u.tell(h.now.Boot)
			h.moved(r.attempt.Target)
		}
	}
}

// outcomeOf is the state in which systemd leaves the unit after an action that works; nothing if that does not
// depend on the action.
func outcomeOf(k remedy.Kind, state series.Key) []config.Course {
	word := ""
	switch k {
	case remedy.Start, remedy.Restart:
		word = "active"
	case remedy.Stop:
		word = "inactive"
	default:
		return nil
	}
	path := signal.Path{Family: "unit", Field: "state"}
	info, _ := signal.Lookup(path)
	s, err := script.Parse(word, info)
	if err != nil {
		panic("simulate: " + err.Error()) // both are states
	}
	return []config.Course{{Key: state, Signal: path, Every: step, Script: s}}
}

// refusal is why the executor would not even begin; "" it would.
func (h *host) refusal(rem *config.Remedy, target string) string {
	u := h.units[target]
	if rem.Kind == remedy.Start && u != nil && u.life.Up() {
		return fmt.Sprintf("%s is %s already", target, u.life.Active)
	}
	if rem.Kind.ByPerson() {
		return fmt.Sprintf("%s takes a person: %s", rem.Kind, rem.Command())
	}
	return ""
}

// undoable reports whether the agent could take the attempt back.
func undoable(rem *config.Remedy) bool {
	spec, known := remedy.Lookup(string(rem.Kind))
	return known && spec.CanUndo(rem.Args)
}

// failed reports whether verification ended in a way that makes the agent take the attempt back.
func failed(o incident.Outcome) bool { return o == incident.Ineffective || o == incident.Worse }
