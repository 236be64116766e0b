package systemd

import (
	"slices"
	"time"

	"github.com/godbus/dbus/v5"

	"github.com/salveops/salve/pkg/glob"
)

// table is everything known of one systemd: plain data, changed by signals and by what was read,
// without any D-Bus in it. The watcher guards it with its lock.
type table struct {
	patterns []string
	loaded   map[dbus.ObjectPath]*loaded // every unit in systemd's memory, watched or not
	watched  map[dbus.ObjectPath]*Unit
	names    map[string]dbus.ObjectPath // watched units by primary name and by alias
	jobs     map[uint32]*job            // queued, and those removed less than memory ago
	expected []*Expectation

	left map[string]bool // units that a person stopped and systemd has unloaded since

	reloading bool // between Reloading(true) and Reloading(false) all units vanish and come back
	system    string
	group     string // systemd's own control group
	arrivals  uint64 // units loaded so far: each may depend on a unit that was read before
	heard     uint64 // changes of watched units told by signals so far

	half *dbus.Signal // the first signal of a change, of the unit's type; the second completes it
}

// loaded is what is kept of a unit that nobody watches.
type loaded struct {
	name   string
	active string
}

func newTable(patterns []string) *table {
	return &table{
		patterns: patterns,
		loaded:   map[dbus.ObjectPath]*loaded{},
		watched:  map[dbus.ObjectPath]*Unit{},
		names:    map[string]dbus.ObjectPath{},
		jobs:     map[uint32]*job{},
		left:     map[string]bool{},
	}
}

// matches reports whether name is asked for by any of the patterns.
func matches(patterns []string, name string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return glob.Match(p, name) })
}

// wanted are the names to read so that every pattern is covered: exact names as they stand, and the
// existing units that a glob matches. A glob itself never reaches systemd.
func (t *table) wanted() []string {
	var names []string
	for _, p := range t.patterns {
		if !glob.Is(p) && p != "" {
			names = append(names, p)
		}
	}
	for _, l := range t.loaded {
		if matches(t.patterns, l.name) {
			names = append(names, l.name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// unit is the watched unit of that name or alias.
func (t *table) unit(name string) *Unit { return t.watched[t.names[name]] }

// drop forgets a watched unit.
func (t *table) drop(p dbus.ObjectPath) {
	delete(t.watched, p)
	for name, at := range t.names {
		if at == p {
			delete(t.names, name)
		}
	}
}

// mostLeft is of how many units that are gone it is remembered that a person stopped them.
const mostLeft = 1024

// leave keeps in mind whose stop it was of a unit that systemd forgets.
func (t *table) leave(u *Unit) {
	byPerson := t.byPerson(u)
	delete(t.left, u.Name)
	if byPerson && len(t.left) < mostLeft {
		t.left[u.Name] = true
	}
}

// byPerson reports whether u is down because a person stopped it: it ran, unlike what merely was never started.
func (t *table) byPerson(u *Unit) bool {
	return u.Down() && u.Stopped == Person && (u.InvocationID != "" || t.left[u.Name])
}

// active is the state of any unit; one that is not in systemd's memory is inactive.
func (t *table) active(name string) string {
	if l := t.loaded[unitPath(name)]; l != nil && l.active != "" {
		return l.active
	}
	return "inactive"
}

// install takes over what was read of a unit, under the name that was asked for. Dynamic properties
// are kept where a signal was quicker than the answer: of two that crossed on the way, the signal says
// what systemd knew when it was sent, and the answer maybe less.
func (t *table) install(asked string, read Unit, now time.Duration) []Event {
	p := unitPath(read.Name)
	old := t.watched[p]
	if old == nil && !slices.Contains(t.patterns, asked) && (t.loaded[p] == nil || !matches(t.patterns, read.Name)) {
		// Nobody asks for it any more, or it is an instance that went away while it was read: then the
		// question itself loaded it once more.
		return nil
	}
	t.names[asked], t.names[read.Name] = p, p
	if old == nil {
		read.Stopped = firstSight(read)
		u := read
		t.watched[p] = &u
		t.note(p, read.Name, read.Active)
		return []Event{{Kind: Changed, Unit: u, At: now}}
	}
	was := *old
	read.Stopped = old.Stopped
	if read.Changed < old.Changed || read.heard < old.heard {
		keepDynamic(&read, old)
	}
	*old = read
	t.note(p, read.Name, read.Active)
	t.judge(old, was)
	return t.event(old, was, now)
}

func keepDynamic(read, old *Unit) {
	read.Active, read.Sub, read.Result, read.InvocationID = old.Active, old.Sub, old.Result, old.InvocationID
	read.MainPID, read.Job, read.NRestarts = old.MainPID, old.Job, old.NRestarts
	read.ActiveEnter, read.InactiveEnter, read.Changed = old.ActiveEnter, old.InactiveEnter, old.Changed
	read.ExecMainStart, read.ExecMainCode, read.ExecMainStatus = old.ExecMainStart, old.ExecMainCode, old.ExecMainStatus
	read.heard = old.heard
}

// firstSight says who brought down a unit that was down when it was first seen: one that is merely
// inactive was stopped by a person, or is not meant to run; a failed one failed.
func firstSight(u Unit) Stopper {
	switch {
	case u.Active == "failed":
		return Itself
	case u.Active == "inactive" && u.Job == 0:
		return Person
	}
	return ""
}

func (t *table) note(p dbus.ObjectPath, name, active string) {
	if l := t.loaded[p]; l != nil {
		l.active = active
		return
	}
	t.loaded[own(p)] = &loaded{name: own(name), active: own(active)}
}

// event is the event of u's change from was, none if nothing changed that anybody asked about.
func (t *table) event(u *Unit, was Unit, now time.Duration) []Event {
	if u.sameAs(was) {
		return nil
	}
	return []Event{{Kind: Changed, Unit: *u, Was: was.Active, At: now}}
}

// sameAs compares what changes in the life of a unit; names of dependencies count as well, since
// they decide what a job would touch.
func (u *Unit) sameAs(v Unit) bool {
	return u.Active == v.Active && u.Sub == v.Sub && u.Load == v.Load && u.Result == v.Result &&
		u.InvocationID == v.InvocationID && u.MainPID == v.MainPID && u.NRestarts == v.NRestarts &&
		u.Stopped == v.Stopped && u.ControlGroup == v.ControlGroup && u.Job == v.Job &&
		u.FragmentPath == v.FragmentPath && u.Restart == v.Restart && u.Type == v.Type &&
		slices.Equal(u.BoundBy, v.BoundBy) && slices.Equal(u.RequiredBy, v.RequiredBy) &&
		slices.Equal(u.ConsistsOf, v.ConsistsOf) && slices.Equal(u.Requires, v.Requires)
}
