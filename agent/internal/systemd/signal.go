package systemd

import (
	"strings"
	"time"

	"github.com/godbus/dbus/v5"

	"github.com/salveops/salve/pkg/glob"
)

// todo is what a signal asks the watcher to read, since the signal itself does not say it.
type todo struct {
	units  []string // read these
	list   bool     // list all units again and read every watched one
	system bool     // read the system state
}

// signal moves the table by one signal. It never waits for anything: the event of a failure must not
// be later than the signal that reports it.
func (t *table) signal(s *dbus.Signal, now time.Duration) (events []Event, do todo) {
	switch s.Name {
	case "org.freedesktop.DBus.Properties.PropertiesChanged":
		return t.propertiesChanged(s, now)
	case ifaceMan + ".JobNew":
		id, unit, ok := jobBody(s.Body)
		if ok {
			t.jobNew(id, unit, now)
			do.system = isShutdown(unit)
		}
	case ifaceMan + ".JobRemoved":
		id, unit, ok := jobBody(s.Body)
		if ok && len(s.Body) > 3 {
			result, _ := s.Body[3].(string)
			events = t.jobRemoved(id, unit, result, now)
			do.system = isShutdown(unit)
		}
	case ifaceMan + ".UnitNew":
		if name, p, ok := unitBody(s.Body); ok && !t.reloading {
			if t.loaded[p] == nil { // or else a list that is newer had it
				t.note(p, name, "inactive")
			}
			if canDepend(name) {
				t.arrivals++
			}
		}
	case ifaceMan + ".UnitRemoved":
		if _, p, ok := unitBody(s.Body); ok && !t.reloading {
			events = t.unitRemoved(p, now)
		}
	case ifaceMan + ".Reloading":
		if len(s.Body) > 0 {
			t.reloading, _ = s.Body[0].(bool)
			do.list = !t.reloading
		}
	case ifaceMan + ".StartupFinished":
		do.system = true
	}
	return events, do
}

// canDepend reports whether a unit of that type is written by people who give it dependencies; sessions,
// devices and mounts come and go all the time.
func canDepend(name string) bool {
	for _, suffix := range []string{".scope", ".slice", ".device", ".mount", ".swap"} {
		if strings.HasSuffix(name, suffix) {
			return false
		}
	}
	return true
}

// isShutdown reports whether a job on that unit moves the system state.
func isShutdown(unit string) bool {
	return unit == "shutdown.target" || unit == "rescue.target" || unit == "emergency.target"
}

// propertiesChanged takes the properties of the type (Service, Scope, …), which come first, and of the
// Unit, which complete the change: both are taken over at those, since half a change is none.
func (t *table) propertiesChanged(s *dbus.Signal, now time.Duration) (events []Event, do todo) {
	if len(s.Body) < 2 {
		return nil, do
	}
	iface, _ := s.Body[0].(string)
	props, ok := s.Body[1].(map[string]dbus.Variant)
	if !ok {
		return nil, do
	}
	l := t.loaded[s.Path]
	if l != nil && iface == ifaceUnit {
		if v, ok := props["ActiveState"]; ok {
			was := l.active
			set(&l.active, v.Value())
			do.system = isShutdown(l.name) && was != l.active
		}
	}
	u := t.watched[s.Path]
	if u == nil {
		if l != nil && iface == ifaceUnit && matches(t.patterns, l.name) {
			do.units = []string{l.name}
		}
		return nil, do
	}
	if iface != ifaceUnit {
		t.half = s
		return nil, do
	}
	was := *u
	if half := t.half; half != nil && half.Path == s.Path {
		apply(u, half.Body[1].(map[string]dbus.Variant))
	}
	t.half = nil
	apply(u, props)
	if u.Changed < was.Changed { // older than what was read meanwhile; what followed is on its way
		*u = was
		return nil, do
	}
	if u.Active == "failed" && was.Active != "failed" && u.Restart != "" && u.Restart != "no" {
		// For a moment systemd calls a unit failed that it is about to restart by itself. When it answers
		// the next question it has made up its mind.
		*u = was
		return nil, todo{units: []string{u.Name}, system: do.system}
	}
	t.heard++
	u.heard = t.heard
	t.judge(u, was)
	if u.ControlGroup == "" && !u.Down() && strings.HasSuffix(u.Name, ".service") {
		do.units = []string{u.Name} // it runs for the first time: no signal carries its cgroup
	}
	return t.event(u, was, now), do
}

func apply(u *Unit, props map[string]dbus.Variant) {
	offset := bootOffset()
	for name, move := range changed {
		if v, ok := props[name]; ok {
			move(u, v.Value(), offset)
		}
	}
}

// unitRemoved: systemd unloads what is inactive and unused, which says nothing of a unit watched by
// its name; an instance that a glob matched is gone.
func (t *table) unitRemoved(p dbus.ObjectPath, now time.Duration) []Event {
	delete(t.loaded, p)
	u := t.watched[p]
	if u == nil {
		return nil
	}
	for _, pattern := range t.patterns {
		if !glob.Is(pattern) && t.names[pattern] == p {
			was := *u
			u.Active, u.Sub, u.MainPID, u.Job = "inactive", "dead", 0, 0
			t.judge(u, was)
			t.leave(u)
			return t.event(u, was, now)
		}
	}
	t.leave(u)
	gone := *u
	t.drop(p)
	return []Event{{Kind: Removed, Unit: gone, Was: gone.Active, At: now}}
}

func jobBody(body []any) (id uint32, unit string, ok bool) {
	if len(body) < 3 {
		return 0, "", false
	}
	id, ok1 := body[0].(uint32)
	unit, ok2 := body[2].(string)
	return id, unit, ok1 && ok2
}

func unitBody(body []any) (name string, p dbus.ObjectPath, ok bool) {
	if len(body) < 2 {
		return "", "", false
	}
	name, ok1 := body[0].(string)
	p, ok2 := body[1].(dbus.ObjectPath)
	return name, p, ok1 && ok2
}
