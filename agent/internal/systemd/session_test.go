package systemd

import (
	"errors"
	"net"
	"testing"

	sd "github.com/coreos/go-systemd/v22/dbus"
	"github.com/godbus/dbus/v5"

	"github.com/salveops/salve/pkg/clock"
)

// TestListIsOlderThanSignal: what a list says is from before each signal that came after it, even if both wait to be read.
// Or else a unit that runs would be down, and a job that is over be queued, until the next reload.
func TestListIsOlderThanSignal(t *testing.T) {
	const name = "b.service"
	path := unitPath(name)
	c, err := clock.System()
	if err != nil {
		t.Fatal(err)
	}
	list := &dbus.Call{Body: []any{[][]any{
		{name, "", "loaded", "inactive", "dead", "", path, uint32(7), "start", dbus.ObjectPath("/7")},
	}}}
	for range 40 { // whichever is read first
		near, far := net.Pipe()
		raw, err := dbus.NewConn(near)
		if err != nil {
			t.Fatal(err)
		}
		w := New(Options{Clock: c})
		s := &session{w: w, c: &conn{raw: raw, signals: make(chan *dbus.Signal, 2)}, answers: make(chan answer, 1),
			asked: map[string]bool{}, lists: make(chan *dbus.Call, 1)}
		w.conn = s.c
		s.lists <- list
		s.c.signals <- &dbus.Signal{Path: path, Name: "org.freedesktop.DBus.Properties.PropertiesChanged",
			Body: []any{ifaceUnit, map[string]dbus.Variant{"ActiveState": dbus.MakeVariant("active")}}}
		s.c.signals <- &dbus.Signal{Name: ifaceMan + ".JobRemoved", Body: []any{uint32(7), dbus.ObjectPath("/7"), name, "done"}}
		close(s.c.signals)
		if err := s.loop(t.Context()); !errors.Is(err, ErrDisconnected) {
			t.Fatal(err)
		}
		if got := w.Active(name); got != "active" || w.Queued(name) {
			t.Fatalf("it is %s, queued %v", got, w.Queued(name))
		}
		_ = raw.Close()
		_ = far.Close()
	}
}

// TestFirstAnswerIsOld: what a unit is read as for the first time may be older than a signal that came meanwhile, of which
// nothing was kept but that it has to be read again.
func TestFirstAnswerIsOld(t *testing.T) {
	const name = "worker@1.service"
	c, err := clock.System()
	if err != nil {
		t.Fatal(err)
	}
	w := New(Options{Clock: c})
	w.t.patterns = []string{"worker@*.service"}
	w.t.list([]sd.UnitStatus{{Name: name, Path: unitPath(name), ActiveState: "active"}})
	s := &session{w: w, asked: map[string]bool{}}
	_, do := w.t.signal(changedSignal(name, map[string]any{"ActiveState": "deactivating"}), 0)
	s.follow(do)
	if events := s.take(answer{name: name, unit: Unit{Name: name, Active: "active"}}); len(events) != 0 || w.t.unit(name) != nil {
		t.Errorf("%+v", events)
	}
	if got := w.t.active(name); got != "deactivating" {
		t.Errorf("it is %s", got)
	}
	delete(s.asked, name) // it is read again
	events := s.take(answer{name: name, unit: Unit{Name: name, Active: "deactivating"}})
	if len(events) != 1 || events[0].Unit.Active != "deactivating" {
		t.Errorf("%+v", events)
	}
}
