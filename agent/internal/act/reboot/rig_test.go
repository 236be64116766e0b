package reboot_test

import (
	"bufio"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"

	"github.com/salveops/salve/agent/agenttest"
	"github.com/salveops/salve/agent/internal/act"
	"github.com/salveops/salve/agent/internal/act/acttest"
	"github.com/salveops/salve/agent/internal/act/kind"
	"github.com/salveops/salve/pkg/config"
	"github.com/salveops/salve/pkg/incident"
	"github.com/salveops/salve/pkg/permit"
	"github.com/salveops/salve/pkg/remedy"
)

const (
	login1  = "org.freedesktop.login1"
	manager = login1 + ".Manager"
)

// inhibitor and session are what logind lists.
type inhibitor struct {
	What, Who, Why, Mode string
	UID, PID             uint32
}

type session struct {
	ID   string
	UID  uint32
	User string
	Seat string
	Path dbus.ObjectPath
}

// logind stands in for the real one, whose yes would end this machine; the scenarios on booted hosts have that. It is
// strict: of what it does not know it says so.
type logind struct {
	end <-chan struct{} // of the test
	mu  sync.Mutex
	answers
}

// answers are what it says, and what it was asked.
type answers struct {
	inhibitors []inhibitor
	sessions   map[string]string // of ann's, to their class
	can        string
	going      bool
	no         string // the error with which it refuses
	mute       bool   // it takes the call, and never answers
	idle       bool   // it agrees, and does nothing
	asked      []uint64
	called     func() // in the middle of the call
	looked     func() // when it is asked whether the host goes down
}

// ListInhibitors is logind's.
func (l *logind) ListInhibitors() ([]inhibitor, *dbus.Error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.inhibitors, nil
}

// ListSessions is logind's.
func (l *logind) ListSessions() ([]session, *dbus.Error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []session
	for id := range l.sessions {
		out = append(out, session{ID: id, UID: 1000, User: "ann", Path: dbus.ObjectPath("/session/" + id)})
	}
	return out, nil
}

// CanReboot is logind's.
func (l *logind) CanReboot() (string, *dbus.Error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.can, nil
}

// RebootWithFlags is logind's.
func (l *logind) RebootWithFlags(flags uint64) *dbus.Error {
	l.mu.Lock()
	l.asked = append(l.asked, flags)
	no, mute, called := l.no, l.mute, l.called
	l.going = !l.idle && no == "" && !mute
	l.mu.Unlock()
	if called != nil {
		called()
	}
	if mute {
		<-l.end // as a process that is stopped
	}
	if no != "" {
		return dbus.NewError(no, []any{"no"})
	}
	return nil
}

// properties answers for one object.
type properties func(iface, name string) (any, bool)

// Get is that of org.freedesktop.DBus.Properties.
func (p properties) Get(iface, name string) (dbus.Variant, *dbus.Error) {
	v, ok := p(iface, name)
	if !ok {
		return dbus.Variant{}, dbus.NewError("org.freedesktop.DBus.Error.UnknownProperty", []any{iface + "." + name})
	}
	return dbus.MakeVariant(v), nil
}

// serve puts it on the bus.
func (l *logind) serve(t *testing.T, address string) *dbus.Conn {
	t.Helper()
	c, err := dbus.Connect(address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	get := properties(func(iface, name string) (any, bool) {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.looked != nil {
			l.looked()
		}
		return l.going, iface == manager && name == "PreparingForShutdown"
	})
	for _, err := range []error{
		c.Export(l, "/org/freedesktop/login1", manager),
		c.Export(get, "/org/freedesktop/login1", "org.freedesktop.DBus.Properties"),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, id := range []string{"1", "2"} {
		class := properties(func(iface, name string) (any, bool) {
			l.mu.Lock()
			defer l.mu.Unlock()
			return l.sessions[id], iface == login1+".Session" && name == "Class"
		})
		if err := c.Export(class, dbus.ObjectPath("/session/"+id), "org.freedesktop.DBus.Properties"); err != nil {
			t.Fatal(err)
		}
	}
	if reply, err := c.RequestName(login1, dbus.NameFlagDoNotQueue); err != nil || reply != dbus.RequestNameReplyPrimaryOwner {
		t.Fatalf("own %s: %v, %v", login1, reply, err)
	}
	return c
}

// bus starts a message bus and makes it the system's for this test.
func bus(t *testing.T) (address string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "dbus-daemon", "--session", "--nofork", "--nopidfile", "--print-address")
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	why := ""
	if err != nil {
		why = "install the package dbus: " + err.Error()
	}
	agenttest.Require(t, "dbus-daemon", err == nil, why)
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	address, err = bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	address = strings.TrimSpace(address)
	t.Setenv("DBUS_SYSTEM_BUS_ADDRESS", address)
	return address
}

// host is a real systemd with a stand-in for logind, on which nothing keeps a reboot away.
type host struct {
	*acttest.Rig
	logind  *logind
	conn    *dbus.Conn
	lock    string // of a package transaction
	lockErr error
}

func newHost(t *testing.T) *host {
	t.Helper()
	h := &host{logind: &logind{end: t.Context().Done(), answers: answers{can: "yes"}}, Rig: acttest.New(t, "a.service", acttest.Sleeper)}
	h.conn = h.logind.serve(t, bus(t))
	h.fresh()
	return h
}

// fresh forgets what ran.
func (h *host) fresh() {
	h.T.Helper()
	h.Journal = acttest.OpenJournal(h.T, h.T.TempDir())
	h.Runner = h.runner(act.Options{})
}

// runner is that of a process of the agent.
func (h *host) runner(o act.Options) *act.Runner {
	h.T.Helper()
	o.Systemd, o.Journal, o.Clock, o.Reboots = h.Watcher, h.Journal, acttest.Clock(h.T), true
	o.Packages = func() (string, error) { return h.lock, h.lockErr }
	if o.Allow == nil {
		o.Allow = append(acttest.Everything(), config.Allow{Host: true, Actions: []string{"reboot"}})
	}
	r, err := act.New(o)
	if err != nil {
		h.T.Fatal(err)
	}
	return r
}

// options are for the kind alone.
func (h *host) options() *kind.Host {
	return &kind.Host{
		Systemd: h.Watcher, Clock: acttest.Clock(h.T), Reboots: true, Attempts: h.Journal.AttemptsWithin,
		Packages: func() (string, error) { return h.lock, h.lockErr },
	}
}

func ask(args ...remedy.Args) kind.Request {
	if len(args) == 0 {
		args = []remedy.Args{&remedy.RebootArgs{PerDay: 1}}
	}
	return acttest.Ask(remedy.Reboot, "a.service", args...)
}

// permitted is the plan with a permit that nothing speaks against.
func (h *host) permitted(q kind.Request) act.Plan {
	h.T.Helper()
	p, err := h.Runner.Prepare(h.T.Context(), q)
	if err != nil {
		h.T.Fatal(err)
	}
	p.Permit, p.Gate = &permit.Held{Token: permit.Token{Generation: "g", N: 1}}, func() error { return nil }
	return p
}

// past puts an attempt of another time into the journal.
func (h *host) past(a incident.Attempt) {
	h.T.Helper()
	if err := h.Journal.PutAttempt(&a); err != nil {
		h.T.Fatal(err)
	}
}

func (h *host) calls() int {
	h.logind.mu.Lock()
	defer h.logind.mu.Unlock()
	return len(h.logind.asked)
}

// set changes what logind says.
func (h *host) set(change func(*answers)) {
	h.logind.mu.Lock()
	defer h.logind.mu.Unlock()
	change(&h.logind.answers)
}

// term is the time of what takes all of it: enough for what is asked before.
const term = 2 * time.Second
