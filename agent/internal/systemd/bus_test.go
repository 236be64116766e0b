package systemd

import (
	"path/filepath"
	"testing"

	"github.com/godbus/dbus/v5"

	"github.com/salveops/salve/agent/agenttest"
)

// onBus is a watcher that reaches the manager over a message bus, as an agent reaches PID 1.
func onBus(t *testing.T, patterns ...string) (f *fixture, address string) {
	t.Helper()
	m := agenttest.Manager(t)
	for _, p := range patterns {
		write(t, m, p, sleeper)
	}
	_, err := m.Systemctl("start", "dbus.service")
	why := ""
	if err != nil {
		why = "install the packages dbus and dbus-user-session: " + err.Error()
	}
	agenttest.Require(t, "a bus of the user manager", err == nil, why)
	address = "unix:path=" + filepath.Join(m.Runtime, "bus")
	t.Setenv("XDG_RUNTIME_DIR", t.TempDir()) // no private socket here
	t.Setenv("DBUS_SESSION_BUS_ADDRESS", address)
	agenttest.Eventually(t, func() bool {
		c, err := dbus.Connect(address)
		if err != nil {
			return false
		}
		defer c.Close()
		var owner string
		return c.BusObject().Call("org.freedesktop.DBus.GetNameOwner", 0, service).Store(&owner) == nil
	}, "systemd is on the bus")
	return start(t, m, "user", patterns...), address
}

func TestOverABus(t *testing.T) {
	f, address := onBus(t, "a.service", "b.service")
	f.do("start", "a.service")
	u := f.awaitActive("a.service")

	// Everybody on a bus can send a signal with systemd's names. Only systemd's own are believed.
	forger, err := dbus.Connect(address)
	if err != nil {
		t.Fatal(err)
	}
	defer forger.Close()
	for _, destination := range []string{"", "unicast"} {
		forge(t, forger, destination, u)
	}
	f.do("start", "b.service") // what follows the forgeries
	for u := f.awaitAny(); u.Name != "b.service"; u = f.awaitAny() {
		if u.Name == "a.service" && u.Active != "active" {
			t.Fatalf("a forged signal was believed: %+v", u)
		}
	}

	f.do("kill", "-s", "KILL", "a.service")
	if u := f.awaitDown("a.service"); u.Active != "failed" || u.Stopped != Itself {
		t.Errorf("after the crash: %+v", u)
	}
	f.do("stop", "b.service")
	if u := f.awaitDown("b.service"); u.Stopped != Person {
		t.Errorf("b.service is stopped by %q, want person", u.Stopped)
	}
}

// forge sends what systemd sends when a unit fails, to everybody or to each connection by its name.
func forge(t *testing.T, c *dbus.Conn, destination string, u Unit) {
	t.Helper()
	body := map[string]dbus.Variant{
		"ActiveState":                   dbus.MakeVariant("failed"),
		"StateChangeTimestampMonotonic": dbus.MakeVariant(uint64(1) << 60),
	}
	to := []string{""}
	if destination != "" {
		if err := c.BusObject().Call("org.freedesktop.DBus.ListNames", 0).Store(&to); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range to {
		m := &dbus.Message{Type: dbus.TypeSignal, Headers: map[dbus.HeaderField]dbus.Variant{
			dbus.FieldInterface: dbus.MakeVariant("org.freedesktop.DBus.Properties"),
			dbus.FieldMember:    dbus.MakeVariant("PropertiesChanged"),
			dbus.FieldPath:      dbus.MakeVariant(unitPath(u.Name)),
			dbus.FieldSignature: dbus.MakeVariant(dbus.SignatureOf("", body, []string{})),
		}, Body: []any{ifaceUnit, body, []string{}}}
		if name != "" {
			m.Headers[dbus.FieldDestination] = dbus.MakeVariant(name)
		}
		if call := c.Send(m, nil); call != nil && call.Err != nil {
			t.Fatal(call.Err)
		}
	}
}

func (f *fixture) awaitAny() Unit {
	f.t.Helper()
	return f.await("any change", func(e Event) bool { return e.Kind == Changed }).Unit
}

func TestBusRestarted(t *testing.T) {
	f, _ := onBus(t, "a.service")
	f.do("start", "a.service")
	f.awaitActive("a.service")
	f.do("restart", "dbus.service")
	f.await("disconnected", func(e Event) bool { return e.Kind == Disconnected })
	f.await("connected", func(e Event) bool { return e.Kind == Connected })
	f.do("kill", "-s", "KILL", "a.service")
	f.awaitDown("a.service")
}

func TestReexecutionOverABus(t *testing.T) {
	f, _ := onBus(t, "a.service")
	_, _ = f.Systemctl("daemon-reexec")
	f.await("disconnected", func(e Event) bool { return e.Kind == Disconnected })
	f.await("connected", func(e Event) bool { return e.Kind == Connected })
	f.do("start", "a.service")
	f.awaitActive("a.service")
}
