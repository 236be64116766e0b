package systemd

import (
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
)

func changedSignal(unit string, props map[string]any) *dbus.Signal {
	variants := map[string]dbus.Variant{}
	for k, v := range props {
		variants[k] = dbus.MakeVariant(v)
	}
	return &dbus.Signal{Name: "org.freedesktop.DBus.Properties.PropertiesChanged", Path: unitPath(unit),
		Body: []any{ifaceUnit, variants, []string{}}}
}

// tableWith has one active unit, read at 10 s.
func tableWith(unit string) *table {
	t := newTable([]string{unit})
	t.install(unit, Unit{Name: unit, Load: "loaded", Active: "active", Sub: "running", Changed: 10 * time.Second}, 0)
	return t
}

func TestOddSignalsChangeNothing(t *testing.T) {
	tab := tableWith("a.service")
	was := *tab.unit("a.service")
	for _, s := range []*dbus.Signal{
		{}, {Name: "org.freedesktop.DBus.Properties.PropertiesChanged"},
		{Name: "org.freedesktop.DBus.Properties.PropertiesChanged", Path: unitPath("a.service"), Body: []any{1, 2, 3}},
		{Name: ifaceMan + ".JobNew"}, {Name: ifaceMan + ".JobNew", Body: []any{"1", "2", 3}},
		{Name: ifaceMan + ".JobRemoved", Body: []any{uint32(1), dbus.ObjectPath("/x"), "a.service"}},
		{Name: ifaceMan + ".UnitNew", Body: []any{1}}, {Name: ifaceMan + ".UnitRemoved", Body: []any{"a.service", 5}},
		{Name: ifaceMan + ".Reloading"}, {Name: ifaceMan + ".Reloading", Body: []any{"yes"}},
		changedSignal("a.service", map[string]any{"ActiveState": 5, "MainPID": "x", "Job": []string{"a"}, "InvocationID": 7}),
		changedSignal("other.service", map[string]any{"ActiveState": "failed"}),
	} {
		events, _ := tab.signal(s, time.Second)
		if len(events) != 0 || !tab.unit("a.service").sameAs(was) {
			t.Errorf("%s %v: events %v, unit %+v", s.Name, s.Body, events, tab.unit("a.service"))
		}
	}
}

// TestLateSignal: what was read is newer than a signal that waited in the queue meanwhile.
func TestLateSignal(t *testing.T) {
	tab := tableWith("a.service")
	at := func(seconds uint64) uint64 { return seconds*1e6 - uint64(bootOffset().Microseconds()) }
	late := changedSignal("a.service", map[string]any{"ActiveState": "failed", "StateChangeTimestampMonotonic": at(9)})
	if events, _ := tab.signal(late, 0); len(events) != 0 {
		t.Errorf("a late signal made the events %+v", events)
	}
	now := changedSignal("a.service", map[string]any{"ActiveState": "failed", "StateChangeTimestampMonotonic": at(11)})
	events, _ := tab.signal(now, 0)
	if len(events) != 1 || events[0].Unit.Active != "failed" || events[0].Was != "active" {
		t.Errorf("a new signal made the events %+v", events)
	}
	if events, _ = tab.signal(now, 0); len(events) != 0 {
		t.Errorf("the same signal again made the events %+v", events)
	}
	old := Unit{Name: "a.service", Load: "masked", Active: "active", Changed: 10 * time.Second}
	events = tab.install("a.service", old, 0)
	if len(events) != 1 || events[0].Unit.Active != "failed" || events[0].Unit.Load != "masked" {
		t.Errorf("an answer that a signal overtook made the events %+v", events)
	}
}

func TestReloadIsNoRemoval(t *testing.T) {
	tab := tableWith("a.service")
	manager := func(member string, body ...any) ([]Event, todo) {
		return tab.signal(&dbus.Signal{Name: ifaceMan + "." + member, Body: body}, 0)
	}
	manager("Reloading", true)
	if events, _ := manager("UnitRemoved", "a.service", unitPath("a.service")); len(events) != 0 {
		t.Errorf("a reload made the events %+v", events)
	}
	if _, do := manager("Reloading", false); !do.list {
		t.Error("after a reload everything has to be read again")
	}
	events, _ := manager("UnitRemoved", "a.service", unitPath("a.service"))
	if len(events) != 1 || events[0].Kind != Changed || events[0].Unit.Active != "inactive" {
		t.Errorf("unloading a unit that is watched by name made the events %+v", events)
	}
}

func TestMatches(t *testing.T) {
	for _, c := range []struct {
		pattern, name string
		want          bool
	}{
		{"a.service", "a.service", true},
		{"worker@*.service", "worker@1.service", true},
		{"worker@*.service", "worker.service", false},
		{`dev-disk\x2d1.swap`, `dev-disk\x2d1.swap`, true},
		{`*\x2d1.swap`, `dev-disk\x2d1.swap`, true},
		{"", "a.service", false},
		{"", "", false},
		{"*", "", false},
		{"[", "[", false},
	} {
		if got := matches([]string{c.pattern}, c.name); got != c.want {
			t.Errorf("%q matches %q: %v, want %v", c.pattern, c.name, got, c.want)
		}
	}
	if matches(nil, "a.service") {
		t.Error("no pattern matches everything")
	}
}

func TestBelieved(t *testing.T) {
	bus, private := &conn{bus: true, owner: ":1.5"}, &conn{}
	for sender, want := range map[string]bool{":1.5": true, ":1.6": false, "": false, service: false} {
		if got := bus.believed(&dbus.Signal{Sender: sender}); got != want {
			t.Errorf("on a bus a signal from %q is believed: %v, want %v", sender, got, want)
		}
	}
	if !private.believed(&dbus.Signal{}) {
		t.Error("on a private socket only systemd speaks")
	}
}
