// Package systemd watches units through D-Bus signals and lends its connection to those who may act.
// It reads and never changes anything: changing the host is the business of package act alone.
package systemd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	sd "github.com/coreos/go-systemd/v22/dbus"
	"github.com/godbus/dbus/v5"
)

// ErrDisconnected says that there is no connection to systemd at the moment. The watcher is already
// trying to get it back; what was asked is neither true nor false until then.
var ErrDisconnected = errors.New("not connected to systemd")

// dialTimeout bounds connecting, and callTimeout each question, so that a frozen systemd is noticed.
const (
	dialTimeout = 5 * time.Second
	callTimeout = 5 * time.Second
)

const (
	service     = "org.freedesktop.systemd1"
	managerPath = dbus.ObjectPath("/org/freedesktop/systemd1")
	unitPrefix  = "/org/freedesktop/systemd1/unit"
	ifaceUnit   = service + ".Unit"
	ifaceMan    = service + ".Manager"
)

// conn is one session with systemd: go-systemd's connection for calls, and the second of its two
// D-Bus connections once more for raw signals, which go-systemd does not hand out.
type conn struct {
	*sd.Conn
	raw     *dbus.Conn
	signals chan *dbus.Signal
	cancel  context.CancelFunc // closes it
	bus     bool               // behind a message bus, not the manager's private socket
	owner   string             // on a bus: systemd's unique name, the only sender that is believed
}

// dial connects to bus: "system", "user", or "unix:path=…" for a manager's private socket.
func dial(ctx context.Context, bus string) (*conn, error) {
	switch {
	case bus == "system":
		c, err := connect(ctx, "", dbus.SystemBusPrivate)
		if err != nil && os.Geteuid() == 0 {
			// Root reaches PID 1 without the bus too: healing goes on while dbus-daemon is down.
			if p, perr := connect(ctx, "unix:path=/run/systemd/private", nil); perr == nil {
				return p, nil
			}
		}
		return c, err
	case bus == "user":
		socket := filepath.Join(os.Getenv("XDG_RUNTIME_DIR"), "systemd/private")
		if _, err := os.Stat(socket); err == nil {
			return connect(ctx, "unix:path="+socket, nil)
		}
		return connect(ctx, "", dbus.SessionBusPrivate)
	case strings.HasPrefix(bus, "unix:"):
		return connect(ctx, bus, nil)
	}
	return nil, fmt.Errorf("bus %q: want system, user, or unix:path=…", bus)
}

// Dial connects to a manager's private socket, "unix:path=…", for calls alone. ctx bounds the connection's life.
func Dial(ctx context.Context, address string) (*Calls, error) {
	c, err := open(ctx, address, nil)
	if err != nil {
		return nil, err
	}
	return c.Conn, nil
}

// connect opens both connections and asks for signals.
func connect(ctx context.Context, address string, viaBus func(...dbus.ConnOption) (*dbus.Conn, error)) (*conn, error) {
	c, err := open(ctx, address, viaBus)
	if err != nil {
		return nil, err
	}
	patience := time.AfterFunc(dialTimeout, c.cancel)
	defer patience.Stop()
	c.raw.Signal(c.signals)
	if err := c.subscribe(ctx); err != nil {
		c.cancel()
		return nil, fmt.Errorf("subscribe to systemd: %w", err)
	}
	return c, nil
}

// open opens both connections, which live until ctx ends; viaBus is nil for a private socket at address. If that
// takes too long, as with a frozen manager, what was opened is closed, which ends every wait in here.
func open(ctx context.Context, address string, viaBus func(...dbus.ConnOption) (*dbus.Conn, error)) (*conn, error) {
	c := &conn{bus: viaBus != nil, signals: make(chan *dbus.Signal, 64)}
	ctx, c.cancel = context.WithCancel(ctx)
	patience := time.AfterFunc(dialTimeout, c.cancel)
	defer patience.Stop()
	one := func() (*dbus.Conn, error) {
		// The sequential handler keeps signals in order and never drops one.
		o := dbus.WithSignalHandler(dbus.NewSequentialSignalHandler())
		open := func() (*dbus.Conn, error) { return dbus.Dial(address, o) }
		if viaBus != nil {
			open = func() (*dbus.Conn, error) { return viaBus(o) }
		}
		raw, err := open()
		if err != nil {
			return nil, err
		}
		context.AfterFunc(ctx, func() { _ = raw.Close() })
		if err := authenticate(raw, viaBus != nil); err != nil {
			return nil, errors.Join(err, raw.Close())
		}
		c.raw = raw // the last one opened is the one that go-systemd takes for signals
		return raw, nil
	}
	lib, err := sd.NewConnection(one)
	if err != nil {
		c.cancel()
		return nil, fmt.Errorf("connect to systemd: %w", err)
	}
	c.Conn = lib
	return c, nil
}

func authenticate(raw *dbus.Conn, hello bool) error {
	// The number instead of the name spares a user database look-up.
	err := raw.Auth([]dbus.Auth{dbus.AuthExternal(strconv.Itoa(os.Geteuid()))})
	if err == nil && hello {
		err = raw.Hello()
	}
	return err
}

// subscribe asks for signals. A private socket sends all of them unasked and knows no match rules.
func (c *conn) subscribe(ctx context.Context) error {
	if c.bus {
		from := dbus.WithMatchSender(service)
		for _, rule := range [][]dbus.MatchOption{
			{from, dbus.WithMatchInterface(ifaceMan)},
			{from, dbus.WithMatchInterface("org.freedesktop.DBus.Properties"), dbus.WithMatchPathNamespace(unitPrefix)},
			{dbus.WithMatchSender("org.freedesktop.DBus"), dbus.WithMatchMember("NameOwnerChanged"),
				dbus.WithMatchArg(0, service)},
		} {
			if err := c.raw.AddMatchSignalContext(ctx, rule...); err != nil {
				return err
			}
		}
		if err := c.raw.BusObject().CallWithContext(ctx, "org.freedesktop.DBus.GetNameOwner", 0, service).
			Store(&c.owner); err != nil {
			return err
		}
	}
	return c.raw.Object(service, managerPath).CallWithContext(ctx, ifaceMan+".Subscribe", 0).Err
}

// believed reports whether s comes from systemd: on a bus everybody can send a signal with its names.
func (c *conn) believed(s *dbus.Signal) bool { return !c.bus || s.Sender == c.owner }

// ownerChanged reports whether s says that systemd left the bus or came back to it, as at a
// re-execution: everything known has to be read again.
func (c *conn) ownerChanged(s *dbus.Signal) bool {
	if !c.bus || s.Sender != "org.freedesktop.DBus" || s.Name != "org.freedesktop.DBus.NameOwnerChanged" {
		return false
	}
	return len(s.Body) > 0 && s.Body[0] == service
}

// list asks for all units that systemd has in memory. The answer comes over found, at its place among the signals: it is
// there before any of those that systemd sent after it.
func (c *conn) list(ctx context.Context, found chan *dbus.Call) {
	c.raw.Object(service, managerPath).GoWithContext(ctx, ifaceMan+".ListUnits", 0, found)
}

// unitsOf is what the answer to a list says.
func unitsOf(answer *dbus.Call) (all []sd.UnitStatus, err error) {
	if err := answer.Store(&all); err != nil {
		return nil, fmt.Errorf("list units: %w", err)
	}
	return all, nil
}

// property asks for one property of the manager that is a text.
func (c *conn) property(ctx context.Context, name string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	var v dbus.Variant
	err := c.raw.Object(service, managerPath).
		CallWithContext(ctx, "org.freedesktop.DBus.Properties.Get", 0, ifaceMan, name).Store(&v)
	if err != nil {
		return "", fmt.Errorf("read %s of systemd: %w", name, err)
	}
	text, _ := v.Value().(string)
	return text, nil
}

func unitPath(name string) dbus.ObjectPath {
	return dbus.ObjectPath(unitPrefix + "/" + sd.PathBusEscape(name))
}
