package act

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/salveops/salve/agent/agenttest"
	"github.com/salveops/salve/agent/internal/journal"
	"github.com/salveops/salve/agent/internal/owned"
	"github.com/salveops/salve/agent/internal/systemd"
	"github.com/salveops/salve/pkg/clock"
	"github.com/salveops/salve/pkg/config"
	"github.com/salveops/salve/pkg/incident"
	"github.com/salveops/salve/pkg/remedy"
)

// rig is a runner on a real manager with a real journal.
type rig struct {
	*agenttest.Systemd
	t       *testing.T
	watcher *systemd.Watcher
	journal *faultyJournal
	runner  *Runner
	helper  string // socket of the helper; "": there is none
}

// everything allows all kinds on the test's own units and programs.
func everything() []config.Allow {
	return []config.Allow{{
		Units:   []string{"a.service", "b.service", "worker@*.service"},
		Exec:    []string{"/*/*/*", "/*/*/*/*", "/*/*/*/*/*", "/*/*/*/*/*/*"},
		Actions: append(remedy.Names(), config.ActionProbe, config.ActionNotify),
	}}
}

// newRig starts a manager with these units (name, text, name, text, …), all of them watched.
func newRig(t *testing.T, units ...string) *rig {
	t.Helper()
	return newRigOn(t, agenttest.Manager(t), "", units...)
}

func newRigOn(t *testing.T, m *agenttest.Systemd, bus string, units ...string) *rig {
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
	g := &rig{Systemd: m, t: t, watcher: watch(t, bus, names...)}
	g.journal = openJournal(t, t.TempDir())
	g.runner = g.newRunner(everything())
	return g
}

func (g *rig) newRunner(allow []config.Allow) *Runner {
	g.t.Helper()
	r, err := New(Options{Allow: allow, Systemd: g.watcher, Journal: g.journal, Clock: systemClock(g.t),
		Helper: g.helper})
	if err != nil {
		g.t.Fatal(err)
	}
	return r
}

func systemClock(t testing.TB) clock.Clock {
	t.Helper()
	c, err := clock.System()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func watch(t testing.TB, bus string, names ...string) *systemd.Watcher {
	t.Helper()
	w := systemd.New(systemd.Options{Bus: bus, Clock: systemClock(t)})
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
	case <-time.After(10 * time.Second):
		t.Fatal("no connection to the manager")
	}
	return w
}

// faultyJournal is the real journal with a seam before and after each write.
type faultyJournal struct {
	*journal.Journal
	before, after func(*incident.Attempt) error
}

func (f *faultyJournal) PutAttempt(a *incident.Attempt) error {
	if f.before != nil {
		if err := f.before(a); err != nil {
			return err
		}
	}
	if err := f.Journal.PutAttempt(a); err != nil {
		return err
	}
	if f.after != nil {
		return f.after(a)
	}
	return nil
}

func openJournal(t *testing.T, dir string) *faultyJournal {
	t.Helper()
	j, _, err := journal.Open(dir, journal.Options{Clock: systemClock(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = j.Close() })
	return &faultyJournal{Journal: j}
}

// attempts gives every attempt of this test process an ID of its own.
var attempts atomic.Int64

// ask is a request for one remedy on a unit.
func ask(kind remedy.Kind, unit string, args ...func(*remedy.Args)) Request {
	rem := &config.Remedy{Kind: kind, Name: "the-" + string(kind), Timeout: 20 * time.Second}
	for _, set := range args {
		set(&rem.Args)
	}
	return Request{Remedy: rem, Unit: unit, Attempt: incident.Attempt{
		ID: fmt.Sprintf("attempt-%d", attempts.Add(1)), By: incident.ByRule,
	}}
}

// run prepares and runs a request.
func (g *rig) run(q Request) (incident.Attempt, error) {
	p, err := g.runner.Prepare(g.t.Context(), q)
	if err != nil {
		return incident.Attempt{}, err
	}
	return g.runner.Run(g.t.Context(), p)
}

// must is run for requests that have to work.
func (g *rig) must(q Request) incident.Attempt {
	g.t.Helper()
	a, err := g.run(q)
	if err != nil {
		g.t.Fatalf("%s: %v", q.Remedy.Kind, err)
	}
	if a.Error != "" || a.Phase != incident.Acted {
		g.t.Fatalf("%s is %s: %s", q.Remedy.Kind, a.Phase, a.Error)
	}
	if onDisk, err := g.journal.Attempt(a.ID); err != nil || onDisk.Phase != a.Phase {
		g.t.Fatalf("on disk the attempt is %+v, %v", onDisk, err)
	}
	return a
}

// refused expects a refusal whose reason contains text.
func (g *rig) refused(q Request, text string, temporary bool) {
	g.t.Helper()
	a, err := g.run(q)
	var refusal *Refusal
	switch {
	case !errors.As(err, &refusal):
		g.t.Errorf("%s on %q is %s, %v; want a refusal because %q", q.Remedy.Kind, q.Unit, a.Phase, err, text)
		return
	case !strings.Contains(refusal.Reason, text) || refusal.Temporary != temporary:
		g.t.Errorf("%s on %q is refused because %q (temporary %v), want %q (temporary %v)", q.Remedy.Kind, q.Unit,
			refusal.Reason, refusal.Temporary, text, temporary)
	}
	if _, err := g.journal.Attempt(q.Attempt.ID); !errors.Is(err, journal.ErrNotFound) {
		g.t.Errorf("a refused attempt left something in the journal: %v", err)
	}
}

func (g *rig) do(args ...string) {
	g.t.Helper()
	if _, err := g.Systemctl(args...); err != nil {
		g.t.Fatal(err)
	}
}

// becomes waits until the watcher knows the unit to be as wanted.
func (g *rig) becomes(unit, what string, want func(systemd.Unit) bool) systemd.Unit {
	g.t.Helper()
	var u systemd.Unit
	agenttest.Eventually(g.t, 10*time.Second, func() bool {
		var ok bool
		u, ok = g.watcher.Unit(unit)
		return ok && want(u)
	}, unit+" "+what)
	return u
}

func (g *rig) up(unit string) systemd.Unit {
	g.t.Helper()
	g.do("start", unit)
	return g.becomes(unit, "up", func(u systemd.Unit) bool { return u.Active == "active" && u.Job == 0 })
}

func (g *rig) down(unit string) systemd.Unit {
	g.t.Helper()
	return g.becomes(unit, "down", func(u systemd.Unit) bool { return u.Down() && u.Job == 0 })
}

// lasting is active without having any process.
const lasting = "[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/true\n"

const sleeper = "[Unit]\nStartLimitIntervalSec=0\n[Service]\nExecStart=/bin/sleep 1000\n"

// unitOf is a service that runs the shell script, with more lines for its [Unit] and [Service] sections.
func serviceOf(script, unit, service string) string {
	return "[Unit]\nStartLimitIntervalSec=0\n" + unit +
		"\n[Service]\nExecStart=/bin/sh -c '" + script + "'\n" + service + "\n"
}

// trapping is a service that does this when it is asked to stop. It counts as started only when its trap
// is set, so that no stop comes too early.
func trapping(do, service string) string {
	return serviceOf(`trap "`+do+`" TERM; systemd-notify --ready; while :; do sleep 0.02; done`, "",
		"Type=notify\nNotifyAccess=all\n"+service)
}

// lingers ends the service after so many tenths of a second. Each is a process of its own, because systemd goes on
// killing until it finds no new one, and may so end what the trap has just begun.
func lingers(tenths int) string {
	return "for i in" + strings.Repeat(" x", tenths) + "; do sleep 0.1; done; exit"
}

// script writes a program into a folder that only its owner can write.
func script(t *testing.T, text string) string {
	t.Helper()
	dir, err := os.MkdirTemp(safeFolder(t), "salve-test-")
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

// safeFolder is a folder all of whose parents only root or this user can write: not the temporary one.
func safeFolder(t *testing.T) string {
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

// newIdleWatcher is a watcher that never connects, for what has nothing to do with systemd.
func newIdleWatcher(t *testing.T) *systemd.Watcher {
	t.Helper()
	return systemd.New(systemd.Options{Bus: "unix:path=/nonexistent", Clock: systemClock(t)})
}
