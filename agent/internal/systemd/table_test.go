package systemd

import (
	"strings"
	"testing"
	"time"
	"unsafe"

	sd "github.com/coreos/go-systemd/v22/dbus"
	"github.com/godbus/dbus/v5"
	"golang.org/x/sys/unix"
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
		changedSignal("a.service", map[string]any{"ActiveState": 5, "MainPID": "x", "Job": []string{"a"}}),
		changedSignal("a.service", map[string]any{"InvocationID": 7, "Result": true}),
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

// TestCrossedAnswer: an answer that systemd gave before a change, and that arrives in the middle of its signals or
// after them, takes nothing of it back.
func TestCrossedAnswer(t *testing.T) {
	const unit = "a.service"
	running := Unit{Name: unit, Load: "loaded", Active: "active", Sub: "running", Result: "success", MainPID: 7}
	ofType := changedSignal(unit, map[string]any{"MainPID": uint32(0), "Result": "signal"})
	ofType.Body[0] = service + ".Service"
	ofUnit := changedSignal(unit, map[string]any{"ActiveState": "failed", "SubState": "failed"})
	for _, at := range []int{0, 1, 2} {
		tab := newTable([]string{unit})
		tab.install(unit, running, 0)
		asked := running
		asked.heard = tab.heard
		var events []Event
		for i, s := range []*dbus.Signal{ofType, ofUnit, nil} {
			if i == at {
				events = append(events, tab.install(unit, asked, 0)...)
			}
			if s != nil {
				told, _ := tab.signal(s, 0)
				events = append(events, told...)
			}
		}
		u := *tab.unit(unit)
		if u.Active != "failed" || u.Result != "signal" || u.MainPID != 0 {
			t.Errorf("answer before signal %d: it is %s (%s) with main process %d", at, u.Active, u.Result, u.MainPID)
		}
		if len(events) != 1 || !events[0].Unit.sameAs(u) {
			t.Errorf("answer before signal %d: the events are %+v", at, events)
		}
	}
}

// TestShortLife: systemd sends one signal for several changes when it is busy.
func TestShortLife(t *testing.T) {
	tab := newTable([]string{"a.service"})
	tab.install("a.service", Unit{Name: "a.service", Load: "loaded", Active: "inactive", Type: "oneshot"}, 0)
	if u := tab.unit("a.service"); u.Stopped != Person {
		t.Fatalf("at first sight it is stopped by %q", u.Stopped)
	}
	ran := changedSignal("a.service", map[string]any{"ActiveState": "inactive", "InvocationID": []byte{1, 2}})
	events, _ := tab.signal(ran, 0)
	if len(events) != 1 || events[0].Unit.Stopped != Itself {
		t.Errorf("it ran and ended between two signals: %+v", events)
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
	patterns := []string{"a.service", "", "worker@*.service"}
	for name, want := range map[string]bool{
		"a.service": true, "worker@1.service": true, "worker.service": false, "": false,
	} {
		if got := matches(patterns, name); got != want {
			t.Errorf("%q matches: %v, want %v", name, got, want)
		}
	}
	if matches(nil, "a.service") {
		t.Error("no pattern matches everything")
	}
}

// A unit is announced before its state is told; a list that was read meanwhile knows it already.
func TestAnnouncedLate(t *testing.T) {
	tab := newTable(nil)
	tab.list([]sd.UnitStatus{{Name: "a.service", Path: unitPath("a.service"), ActiveState: "active"}})
	for _, name := range []string{"a.service", "b.service"} {
		tab.signal(&dbus.Signal{Name: ifaceMan + ".UnitNew", Body: []any{name, unitPath(name)}}, 0)
	}
	if a, b := tab.active("a.service"), tab.active("b.service"); a != "active" || b != "inactive" || tab.loaded[unitPath("b.service")] == nil {
		t.Errorf("the one of the list is %s, the new one %s", a, b)
	}
	if tab.arrivals != 2 {
		t.Errorf("%d arrivals", tab.arrivals)
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

// What is kept of a message must not keep all of it in memory.
func TestKeepsNoMessage(t *testing.T) {
	const text = "keeps-no-message.service"
	message := strings.Repeat(text, 100)
	part := message[len(text) : 2*len(text)]
	inside := func(s string) bool {
		at, start := uintptr(unsafe.Pointer(unsafe.StringData(s))), uintptr(unsafe.Pointer(unsafe.StringData(message)))
		return at >= start && at < start+uintptr(len(message))
	}
	if !inside(part) {
		t.Fatal("a part of the message is not seen as one")
	}
	var u Unit
	changed["SubState"](&u, part, 0)
	fixed["Requires"](&u, []string{part})
	tab := newTable(nil)
	tab.note(dbus.ObjectPath(part), part, part)
	if u.Sub != text || len(u.Requires) != 1 || tab.loaded[text] == nil {
		t.Fatalf("%+v", u)
	}
	for p, l := range tab.loaded {
		for _, kept := range []string{u.Sub, u.Requires[0], string(p), l.name, l.active} {
			if inside(kept) {
				t.Errorf("%q is a piece of the message", kept)
			}
		}
	}
}

// A process that has to wait between two looks at the clocks has not slept: the same unit has the same times in every look.
func TestBusyHost(t *testing.T) {
	for _, slept := range []time.Duration{0, 7 * time.Second} {
		looks, now := 0, int64(time.Hour)
		got := ahead(func(clock int32) int64 {
			if looks++; looks < 12 {
				now += int64(3 * time.Millisecond)
			}
			if clock == unix.CLOCK_BOOTTIME {
				return now + int64(slept)
			}
			return now
		})
		if got != slept {
			t.Errorf("after a suspend of %s the clocks are %s apart", slept, got)
		}
	}
}
