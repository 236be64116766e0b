// Package acttest is the ground on which remedies are tried: a runner on a real manager with a real journal.
package acttest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/salveops/salve/agent/agenttest"
	"github.com/salveops/salve/agent/internal/act"
	"github.com/salveops/salve/agent/internal/act/kind"
	"github.com/salveops/salve/agent/internal/helper"
	"github.com/salveops/salve/agent/internal/journal"
	"github.com/salveops/salve/agent/internal/owned"
	"github.com/salveops/salve/agent/internal/systemd"
	"github.com/salveops/salve/pkg/clock"
	"github.com/salveops/salve/pkg/config"
	"github.com/salveops/salve/pkg/incident"
	"github.com/salveops/salve/pkg/remedy"
)

// Rig is a runner on a real manager with a real journal.
type Rig struct {
	*agenttest.Systemd
	T            *testing.T
	Watcher      *systemd.Watcher
	Journal      *Journal
	Runner       *act.Runner
	HelperSocket string // socket of the helper; "": there is none
}

// Patience is how long a manager may take to tell something, on a machine that is busy with other tests.
const Patience = 30 * time.Second

// Everything allows all kinds on the test's own units and programs, and on these units.
func Everything(units ...string) []config.Allow {
	return []config.Allow{{
		Units:   append([]string{"a.service", "b.service", "worker@*.service"}, units...),
		Exec:    []string{"/*/*/*", "/*/*/*/*", "/*/*/*/*/*", "/*/*/*/*/*/*"},
		Actions: append(remedy.Names(), config.ActionProbe, config.ActionNotify),
	}}
}

// Paths allows free_space below a folder.
func Paths(path string) []config.Allow {
	return []config.Allow{{Paths: []string{path}, Actions: []string{string(remedy.FreeSpace)}}}
}

// New starts a manager with these units (name, text, name, text, …), all of them watched.
func New(t *testing.T, units ...string) *Rig {
	t.Helper()
	return NewOn(t, agenttest.Manager(t), "", units...)
}

func NewOn(t *testing.T, m *agenttest.Systemd, bus string, units ...string) *Rig {
	t.Helper()
	var names []string
	for i := 0; i < len(units); i += 2 {
		if err := m.WriteUnit(units[i], units[i+1]); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(units[i], "@.") {
			names = append(names, units[i])
		}
	}
	if bus == "" {
		bus = m.Address
	}
	g := &Rig{Systemd: m, T: t, Watcher: Watch(t, bus, names...)}
	g.Journal = OpenJournal(t, t.TempDir())
	g.Runner = g.NewRunner(Everything())
	return g
}

func (g *Rig) NewRunner(allow []config.Allow) *act.Runner {
	g.T.Helper()
	r, err := act.New(act.Options{Allow: allow, Systemd: g.Watcher, Journal: g.Journal, Clock: Clock(g.T),
		Helper: g.HelperSocket})
	if err != nil {
		g.T.Fatal(err)
	}
	return r
}

func Clock(t testing.TB) clock.Clock {
	t.Helper()
	c, err := clock.System()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func Watch(t testing.TB, bus string, names ...string) *systemd.Watcher {
	t.Helper()
	w := systemd.New(systemd.Options{Bus: bus, Clock: Clock(t)})
	w.Watch(names)
	done := make(chan struct{})
	up := make(chan struct{})
	go func() {
		defer close(done)
		if err := w.Run(t.Context()); err != nil {
			t.Errorf("watch: %v", err)
		}
	}()
	go func() {
		var once sync.Once
		for {
			select {
			case e := <-w.Events():
				if e.Kind == systemd.Connected {
					once.Do(func() { close(up) })
				}
			case <-done:
				return
			}
		}
	}()
	t.Cleanup(func() { <-done })
	select {
	case <-up:
	case <-time.After(Patience):
		t.Fatal("no connection to the manager")
	}
	return w
}

// Journal is the real journal with a seam before and after each write.
type Journal struct {
	*journal.Journal
	Before, After func(*incident.Attempt) error
}

func (f *Journal) PutAttempt(a *incident.Attempt) error {
	if f.Before != nil {
		if err := f.Before(a); err != nil {
			return err
		}
	}
	if err := f.Journal.PutAttempt(a); err != nil {
		return err
	}
	if f.After != nil {
		return f.After(a)
	}
	return nil
}

func OpenJournal(t *testing.T, dir string) *Journal {
	t.Helper()
	j, _, err := journal.Open(dir, journal.Options{Clock: Clock(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = j.Close() })
	return &Journal{Journal: j}
}

// attempts gives every attempt of this test process an ID of its own.
var attempts atomic.Int64

// Ask is a request for one remedy on a unit, with these arguments, or else with those that come of writing none.
func Ask(k remedy.Kind, unit string, args ...remedy.Args) kind.Request {
	rem := &config.Remedy{Kind: k, Name: "the-" + string(k), Timeout: 2 * time.Minute}
	spec, _ := remedy.Lookup(string(k))
	if rem.Args, _ = spec.Decode(nil); len(args) > 0 {
		rem.Args = args[0]
	}
	return kind.Request{Remedy: rem, Unit: unit, Attempt: incident.Attempt{
		ID: fmt.Sprintf("attempt-%d", attempts.Add(1)), By: incident.ByRule,
	}}
}

// Alone is a runner that needs no manager: for programs only.
func Alone(t *testing.T, folder string, actions ...string) *act.Runner {
	t.Helper()
	w := IdleWatcher(t)
	r, err := act.New(act.Options{Systemd: w, Journal: OpenJournal(t, t.TempDir()), Clock: Clock(t),
		Allow: []config.Allow{{Exec: []string{folder + "/*"}, Actions: actions}}})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// SetProperty is a request for limits of a unit that are lost at reboot.
func SetProperty(unit string, properties map[string]string) kind.Request {
	return Ask(remedy.SetProperty, unit, &remedy.PropertyArgs{Properties: properties, Runtime: true})
}

// Running is a rig with a.service running in its control group.
func Running(t *testing.T, text string) (*Rig, systemd.Unit) {
	t.Helper()
	g := New(t, "a.service", text)
	g.Up("a.service")
	return g, g.Becomes("a.service", "in a control group", func(u systemd.Unit) bool { return u.ControlGroup != "" })
}

// RequireLimit skips where systemd cannot use the controller that the property of a.service needs. Right after its start
// a process is still on its way from the manager's control group to the unit's.
func (g *Rig) RequireLimit(property map[string]string) {
	g.T.Helper()
	ctx, cancel := context.WithTimeout(g.T.Context(), 3*time.Second)
	defer cancel()
	why := ""
	works := kind.Eventually(ctx, 5*time.Millisecond, func() bool {
		_, err := g.Runner.Prepare(g.T.Context(), SetProperty("a.service", property))
		if err != nil {
			why = err.Error()
		}
		return err == nil
	})
	agenttest.Require(g.T, fmt.Sprintf("a host where systemd can set %v", property), works, why)
}

// Stage takes a request as far as its intent, by the kind alone: what an agent leaves that dies then.
func Stage(t *testing.T, k kind.Kind, q kind.Request) (*kind.Step, *incident.Attempt) {
	t.Helper()
	target, err := k.Target(t.Context(), q)
	s := &kind.Step{Request: q, Target: target}
	if err == nil {
		err = k.Precheck(t.Context(), s)
	}
	if err != nil {
		t.Fatal(err)
	}
	a := s.Intent(clock.Now(Clock(t)))
	return s, &a
}

// Run prepares and runs a request.
func (g *Rig) Run(q kind.Request) (incident.Attempt, error) {
	p, err := g.Runner.Prepare(g.T.Context(), q)
	if err != nil {
		return incident.Attempt{}, err
	}
	return g.Runner.Run(g.T.Context(), p)
}

// Must is run for requests that have to work.
func (g *Rig) Must(q kind.Request) incident.Attempt {
	g.T.Helper()
	a, err := g.Run(q)
	if err != nil {
		g.T.Fatalf("%s: %v", q.Remedy.Kind, err)
	}
	if a.Error != "" || a.Phase != incident.Acted {
		g.T.Fatalf("%s is %s: %s", q.Remedy.Kind, a.Phase, a.Error)
	}
	if onDisk, err := g.Journal.Attempt(a.ID); err != nil || onDisk.Phase != a.Phase {
		g.T.Fatalf("on disk the attempt is %+v, %v", onDisk, err)
	}
	return a
}

// Refused expects a refusal whose reason contains text.
func (g *Rig) Refused(q kind.Request, text string, temporary bool) {
	g.T.Helper()
	a, err := g.Run(q)
	var refusal *kind.Refusal
	switch {
	case !errors.As(err, &refusal):
		g.T.Errorf("%s on %q is %s, %v; want a refusal because %q", q.Remedy.Kind, q.Unit, a.Phase, err, text)
		return
	case !strings.Contains(refusal.Reason, text) || refusal.Temporary != temporary:
		g.T.Errorf("%s on %q is refused because %q (temporary %v), want %q (temporary %v)", q.Remedy.Kind, q.Unit,
			refusal.Reason, refusal.Temporary, text, temporary)
	case refusal.Unknown != strings.Contains(refusal.Reason, "cannot be known"):
		g.T.Errorf("refused because %q, and Unknown is %v", refusal.Reason, refusal.Unknown)
	}
	if _, err := g.Journal.Attempt(q.Attempt.ID); !errors.Is(err, journal.ErrNotFound) {
		g.T.Errorf("a refused attempt left something in the journal: %v", err)
	}
}

func (g *Rig) Do(args ...string) {
	g.T.Helper()
	if _, err := g.Systemctl(args...); err != nil {
		g.T.Fatal(err)
	}
}

// marks gives every mark of this test process a name of its own.
var marks atomic.Int64

// Heard waits until the watcher has heard of all that the manager did so far. Signals come in order, but what the watcher reads
// may be ahead of them: then it knows that a unit is up before it hears of the job that started it.
func (g *Rig) Heard() {
	g.T.Helper()
	mark := fmt.Sprintf("mark%d.slice", marks.Add(1)) // of a slice nobody has to write a file
	g.Do("start", mark)
	agenttest.Eventually(g.T, func() bool {
		return g.Watcher.Active(mark) == "active" && !g.Watcher.Queued(mark)
	}, mark+" is heard of")
}

// Becomes waits until the watcher knows the unit to be as wanted.
func (g *Rig) Becomes(unit, what string, want func(systemd.Unit) bool) systemd.Unit {
	g.T.Helper()
	var u systemd.Unit
	agenttest.Eventually(g.T, func() bool {
		var ok bool
		u, ok = g.Watcher.Unit(unit)
		return ok && want(u)
	}, unit+" "+what)
	return u
}

func (g *Rig) Up(unit string) systemd.Unit {
	g.T.Helper()
	g.Do("start", unit)
	g.Heard()
	return g.Becomes(unit, "up", func(u systemd.Unit) bool { return u.Active == "active" && u.Job == 0 })
}

func (g *Rig) Down(unit string) systemd.Unit {
	g.T.Helper()
	return g.Becomes(unit, "down", func(u systemd.Unit) bool { return u.Down() && u.Job == 0 })
}

// Lasting is active without having any process.
const Lasting = "[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/true\n"

const Sleeper = "[Unit]\nStartLimitIntervalSec=0\n[Service]\nExecStart=/bin/sleep 1000\n"

// unitOf is a service that runs the shell script, with more lines for its [Unit] and [Service] sections.
func ServiceOf(script, unit, service string) string {
	return "[Unit]\nStartLimitIntervalSec=0\n" + unit +
		"\n[Service]\nExecStart=/bin/sh -c '" + script + "'\n" + service + "\n"
}

// Trapping is a service that does this when it is asked to stop. It counts as started only when its trap
// is set, so that no stop comes too early.
func Trapping(do, service string) string {
	return ServiceOf(`trap "`+do+`" TERM; systemd-notify --ready; while :; do sleep 0.02; done`, "",
		"Type=notify\nNotifyAccess=all\n"+service)
}

// Lingers ends the service after so many tenths of a second. Each is a process of its own, because systemd goes on
// killing until it finds no new one, and may so end what the trap has just begun.
func Lingers(tenths int) string {
	return "for i in" + strings.Repeat(" x", tenths) + "; do sleep 0.1; done; exit"
}

// Script writes a program into a folder that only its owner can write.
func Script(t *testing.T, text string) string {
	t.Helper()
	dir, err := os.MkdirTemp(SafeFolder(t), "salve-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	path := filepath.Join(dir, "program")
	if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// SafeFolder is a folder all of whose parents only root or this user can write: not the temporary one.
func SafeFolder(t *testing.T) string {
	t.Helper()
	home, err := os.UserHomeDir()
	if err != nil || owned.Way(home) != nil {
		home, err = os.Getwd()
	}
	if err == nil {
		err = owned.Way(home)
	}
	why := ""
	if err != nil {
		why = err.Error()
	}
	agenttest.Require(t, "a folder that others cannot write", err == nil, why)
	return home
}

// IdleWatcher is a watcher that never connects, for what has nothing to do with systemd.
func IdleWatcher(t *testing.T) *systemd.Watcher {
	t.Helper()
	return systemd.New(systemd.Options{Bus: "unix:path=/nonexistent", Clock: Clock(t)})
}

// WithHelper gives the rig a helper that may do these verbs with a.service.
func (g *Rig) WithHelper(verbs ...string) {
	g.T.Helper()
	g.WithList(helper.List{May: []helper.Entry{{Pattern: "a.service", Verbs: verbs}}})
}

// WithList gives the rig a helper that may do what is in the list.
func (g *Rig) WithList(list helper.List) {
	g.T.Helper()
	listener := g.Socket()
	file := filepath.Join(g.T.TempDir(), "allow")
	if err := os.WriteFile(file, []byte(list.Text()), 0o644); err != nil {
		g.T.Fatal(err)
	}
	s, err := helper.New(helper.Options{List: file, Users: []uint32{uint32(os.Geteuid())}, Bus: g.Address,
		Log: hclog.NewNullLogger(), Listener: listener})
	if err != nil {
		g.T.Fatal(err)
	}
	ctx, cancel := context.WithCancel(g.T.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := s.Run(ctx); err != nil {
			g.T.Errorf("helper: %v", err)
		}
	}()
	g.T.Cleanup(func() { cancel(); <-done })
}

// Socket makes the helper's socket and lets new runners know of it.
func (g *Rig) Socket() *net.UnixListener {
	g.T.Helper()
	dir, err := os.MkdirTemp("/tmp", "salve-act-") // t.TempDir() may be too long for a socket
	if err != nil {
		g.T.Fatal(err)
	}
	g.T.Cleanup(func() { _ = os.RemoveAll(dir) })
	g.HelperSocket = filepath.Join(dir, "socket")
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: g.HelperSocket, Net: "unix"})
	if err != nil {
		g.T.Fatal(err)
	}
	g.T.Cleanup(func() { _ = listener.Close() })
	g.Runner = g.NewRunner(Everything())
	return listener
}
