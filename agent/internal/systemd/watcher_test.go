package systemd

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/salveops/salve/agent/agenttest"
	"github.com/salveops/salve/pkg/clock"
)

// patience is how long a test waits for what must come.
const patience = time.Minute

// fixture is a watcher on a real manager, with its events collected.
type fixture struct {
	*agenttest.Systemd
	*Watcher
	t     *testing.T
	since time.Duration // events from before do not count
}

func start(t *testing.T, m *agenttest.Systemd, bus string, patterns ...string) *fixture {
	t.Helper()
	c, err := clock.System()
	if err != nil {
		t.Fatal(err)
	}
	w := New(Options{Bus: bus, Clock: c})
	w.Watch(patterns)
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := w.Run(t.Context()); err != nil {
			t.Errorf("run: %v", err)
		}
	}()
	t.Cleanup(func() { <-done })
	f := &fixture{Systemd: m, Watcher: w, t: t}
	f.await("connected", func(e Event) bool { return e.Kind == Connected })
	return f
}

// await reads events until one is as wanted.
func (f *fixture) await(what string, want func(Event) bool) Event {
	f.t.Helper()
	deadline := time.After(patience)
	for {
		select {
		case e := <-f.Events():
			if e.At >= f.since && want(e) {
				return e
			}
		case <-deadline:
			f.t.Fatalf("no event within %v: %s", patience, what)
		}
	}
}

// awaitDown awaits that the unit is down with no job left, and returns it.
func (f *fixture) awaitDown(unit string) Unit {
	f.t.Helper()
	return f.await(unit+" down", func(e Event) bool {
		return e.Kind == Changed && e.Unit.Name == unit && e.Unit.Down() && e.Unit.Job == 0
	}).Unit
}

func (f *fixture) awaitActive(unit string) Unit {
	f.t.Helper()
	return f.await(unit+" active", func(e Event) bool {
		return e.Kind == Changed && e.Unit.Name == unit && e.Unit.Active == "active" && e.Unit.Job == 0
	}).Unit
}

// fresh forgets everything that happened so far.
func (f *fixture) fresh() { f.since = f.Watcher.o.Clock.Now().Boot }

func (f *fixture) do(args ...string) {
	f.t.Helper()
	if _, err := f.Systemctl(args...); err != nil {
		f.t.Fatal(err)
	}
}

func write(t *testing.T, m *agenttest.Systemd, name, text string) {
	t.Helper()
	if err := m.WriteUnit(name, text); err != nil {
		t.Fatal(err)
	}
}

const sleeper = "[Unit]\nStartLimitIntervalSec=0\n[Service]\nExecStart=/bin/sleep 1000\n"

// TestNeverFailedWhileSystemdRestarts: the moment in which systemd calls a unit failed that it restarts by
// itself is not told; that it gave up is.
func TestNeverFailedWhileSystemdRestarts(t *testing.T) {
	m := agenttest.Manager(t)
	write(t, m, "a.service", "[Unit]\nStartLimitIntervalSec=1h\nStartLimitBurst=2\n"+
		"[Service]\nExecStart=/bin/sleep 1000\nRestart=on-failure\nRestartSec=100ms\n")
	f := start(t, m, m.Address, "a.service")
	f.do("start", "a.service")
	u := f.awaitActive("a.service")
	if err := syscall.Kill(u.MainPID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	e := f.await("down", func(e Event) bool { return e.Unit.Active != "active" })
	if !e.Unit.AutoRestart() || e.Unit.Stopped != "" {
		t.Errorf("after a crash it is %s (%s), stopped by %q; want auto-restart", e.Unit.Active, e.Unit.Sub, e.Unit.Stopped)
	}
	u = f.awaitActive("a.service")
	if err := syscall.Kill(u.MainPID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	u = f.await("failed", func(e Event) bool { return e.Unit.Active == "failed" }).Unit
	if u.Stopped != Itself {
		t.Errorf("after the last restart it was stopped by %q; want itself", u.Stopped)
	}
}

func TestCrashIsToldAtOnce(t *testing.T) {
	m := agenttest.Manager(t)
	write(t, m, "a.service", sleeper)
	f := start(t, m, m.Address, "a.service")
	var best time.Duration
	for range 5 {
		f.do("start", "a.service")
		u := f.awaitActive("a.service")
		before := time.Now()
		if err := syscall.Kill(u.MainPID, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		e := f.await("failed", func(e Event) bool { return e.Unit.Active == "failed" })
		if took := time.Since(before); best == 0 || took < best {
			best = took
		}
		want := Unit{Active: "failed", Sub: "failed", Result: "signal", Stopped: Itself}
		got := Unit{Active: e.Unit.Active, Sub: e.Unit.Sub, Result: e.Unit.Result, MainPID: e.Unit.MainPID,
			Stopped: e.Unit.Stopped}
		if got.Active != want.Active || got.Sub != want.Sub || got.Result != want.Result || got.MainPID != 0 ||
			got.Stopped != want.Stopped {
			t.Errorf("the failed event says %+v, want %+v", got, want)
		}
		if e.Was != "active" {
			t.Errorf("before it was %q, want active", e.Was)
		}
	}
	t.Logf("kill to event, best of five: %v", best)
}

func TestWhoStoppedIt(t *testing.T) {
	m := agenttest.Manager(t)
	write(t, m, "base.service", sleeper)
	write(t, m, "need.service", "[Unit]\nRequires=base.service\nAfter=base.service\n"+sleeper[7:])
	write(t, m, "bound.service", "[Unit]\nBindsTo=base.service\nAfter=base.service\n"+sleeper[7:])
	write(t, m, "part.service", "[Unit]\nPartOf=base.service\n"+sleeper[7:])
	// It ends badly when asked to stop, as programs do that do not handle SIGTERM well.
	write(t, m, "rude.service", "[Service]\nType=notify\nNotifyAccess=all\n"+
		"ExecStart=/bin/sh -c 'trap \"exit 9\" TERM; systemd-notify --ready; while :; do sleep 0.01; done'\n")
	write(t, m, "broken.service", "[Service]\nType=notify\nExecStart=/bin/false\n")
	write(t, m, "again.service", "[Unit]\nStartLimitIntervalSec=0\n"+
		"[Service]\nExecStart=/bin/false\nRestart=always\nRestartSec=60\n")
	write(t, m, "brief.service", "[Service]\nType=oneshot\nExecStart=/bin/true\n")

	units := []string{"base.service", "need.service", "bound.service", "part.service", "rude.service",
		"broken.service", "again.service", "brief.service"}
	f := start(t, m, m.Address, units...)

	kill := func(unit string, sig syscall.Signal) {
		u, ok := f.Unit(unit)
		if !ok || u.MainPID <= 1 {
			t.Fatalf("%s has no main process", unit)
		}
		if err := syscall.Kill(u.MainPID, sig); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		name   string
		up     []string // units to start first
		act    func()
		unit   string
		active string
		want   Stopper
	}{
		{"a person stops it", []string{"base.service"}, func() { f.do("stop", "base.service") },
			"base.service", "inactive", Person},
		{"a person stops one that fails at that", []string{"rude.service"}, func() { f.do("stop", "rude.service") },
			"rude.service", "failed", Person},
		{"it is killed", []string{"base.service"}, func() { kill("base.service", syscall.SIGKILL) },
			"base.service", "failed", Itself},
		{"it ends cleanly", []string{"base.service"}, func() { kill("base.service", syscall.SIGTERM) },
			"base.service", "inactive", Itself},
		{"what it requires is stopped", []string{"need.service"}, func() { f.do("stop", "base.service") },
			"need.service", "inactive", Dependency},
		{"what it is bound to dies", []string{"bound.service"}, func() { kill("base.service", syscall.SIGKILL) },
			"bound.service", "inactive", Dependency},
		{"what it is part of is stopped", []string{"base.service", "part.service"}, func() { f.do("stop", "base.service") },
			"part.service", "inactive", Dependency},
		{"a person stops only the dependent", []string{"need.service"}, func() { f.do("stop", "need.service") },
			"need.service", "inactive", Person},
		{"a person starts it and it fails", nil, func() { _, _ = f.Systemctl("start", "broken.service") },
			"broken.service", "failed", Itself},
		{"a person stops it before its automatic restart", nil, func() {
			f.do("start", "again.service")
			f.await("auto-restart", func(e Event) bool { return e.Unit.AutoRestart() })
			f.do("stop", "again.service")
		}, "again.service", "inactive", Person},
		{"a one-shot ends its work", nil, func() { f.do("start", "brief.service") },
			"brief.service", "inactive", Itself},
	} {
		t.Run(c.name, func(t *testing.T) {
			f.t = t
			f.fresh()
			for _, u := range c.up {
				f.do("start", u)
				f.awaitActive(u)
			}
			c.act()
			// What was known before may be told once more; that a unit failed must never be told falsely.
			f.await(fmt.Sprintf("%s is %s by %q", c.unit, c.active, c.want), func(e Event) bool {
				if e.Kind != Changed || e.Unit.Name != c.unit || !e.Unit.Down() || e.Unit.Job != 0 {
					return false
				}
				if e.Unit.Stopped == Itself && c.want != Itself {
					t.Errorf("%s is told as %s by itself", c.unit, e.Unit.Active)
				}
				return e.Unit.Active == c.active && e.Unit.Stopped == c.want
			})
			f.do(append([]string{"stop"}, units...)...)
			_, _ = f.Systemctl("reset-failed")
			agenttest.Eventually(t, func() bool {
				return !slices.ContainsFunc(f.Watcher.Units(), func(u Unit) bool { return u.Active != "inactive" || u.Job != 0 })
			}, "everything inactive")
		})
	}
}

func TestOwnJobsAreKnown(t *testing.T) {
	m := agenttest.Manager(t)
	write(t, m, "a.service", sleeper)
	f := start(t, m, m.Address, "a.service")
	f.do("start", "a.service")
	first := f.awaitActive("a.service")

	e := f.Expect("a.service")
	defer e.Close()
	c, err := f.Conn()
	if err != nil {
		t.Fatal(err)
	}
	id, err := c.StopUnitContext(t.Context(), "a.service", "fail", nil)
	if err != nil {
		t.Fatal(err)
	}
	e.Job(uint32(id))
	if r, err := e.Wait(t.Context()); r != "done" || err != nil {
		t.Fatalf("the job ended with %q, %v", r, err)
	}
	if u := f.awaitDown("a.service"); u.Stopped != Salve || u.InvocationID != first.InvocationID {
		t.Errorf("stopped by %q, invocation %s; want salve, %s", u.Stopped, u.InvocationID, first.InvocationID)
	}
}

func TestFoundAtFirstSight(t *testing.T) {
	m := agenttest.Manager(t)
	write(t, m, "idle.service", sleeper)
	write(t, m, "sick.service", "[Service]\nExecStart=/bin/false\n")
	write(t, m, "well.service", sleeper)
	for _, u := range []string{"sick.service", "well.service"} {
		if _, err := m.Systemctl("start", u); err != nil {
			t.Fatal(err)
		}
	}
	agenttest.Eventually(t, func() bool {
		s, _ := m.Property("sick.service", "ActiveState")
		return s == "failed"
	}, "sick.service failed")
	f := start(t, m, m.Address, "idle.service", "sick.service", "well.service", "none.service", "not valid")
	for name, want := range map[string]Unit{
		"idle.service": {Load: "loaded", Active: "inactive", Stopped: Person},
		"sick.service": {Load: "loaded", Active: "failed", Stopped: Itself},
		"well.service": {Load: "loaded", Active: "active"},
		"none.service": {Load: "not-found", Active: "inactive", Stopped: Person},
		"not valid":    {Load: "error", Active: "inactive", Stopped: Person},
	} {
		u, ok := f.Unit(name)
		if got := (Unit{Load: u.Load, Active: u.Active, Stopped: u.Stopped}); !ok || got.Load != want.Load ||
			got.Active != want.Active || got.Stopped != want.Stopped {
			t.Errorf("%s: %+v (known %v), want %+v", name, got, ok, want)
		}
	}
	if u, _ := f.Unit("well.service"); u.ControlGroup == "" || u.ActiveEnter == 0 || u.MainPID == 0 {
		t.Errorf("well.service lacks its cgroup, start time or process: %+v", u)
	}
}

func TestReloadReadsAgain(t *testing.T) {
	m := agenttest.Manager(t)
	write(t, m, "a.service", sleeper)
	f := start(t, m, m.Address, "a.service")
	f.do("start", "a.service")
	up := f.awaitActive("a.service")
	if up.ControlGroup == "" {
		f.await("its cgroup", func(e Event) bool { return e.Unit.ControlGroup != "" })
	}

	write(t, m, "b.service", "[Unit]\nBindsTo=a.service\n"+sleeper[7:])
	f.do("start", "b.service")
	f.do("daemon-reload")
	f.await("the new dependent", func(e Event) bool { return slices.Contains(e.Unit.BoundBy, "b.service") })

	f.do("mask", "--runtime", "a.service")
	f.do("daemon-reload") // on a booted machine mask does that itself
	u := f.await("masked", func(e Event) bool { return e.Unit.Load == "masked" }).Unit
	if u.Active != "active" || u.MainPID != up.MainPID {
		t.Errorf("a masked unit goes on running: %+v", u)
	}
	f.do("unmask", "--runtime", "a.service")
	f.do("daemon-reload")
	f.await("unmasked", func(e Event) bool { return e.Unit.Load == "loaded" })
	if err := m.RemoveUnit("a.service"); err != nil {
		t.Fatal(err)
	}
	f.await("its file is gone", func(e Event) bool { return e.Unit.Load == "not-found" && e.Unit.Active == "active" })
}

func TestGlobsMatchWhatExists(t *testing.T) {
	m := agenttest.Manager(t)
	write(t, m, "worker@.service", sleeper)
	f := start(t, m, m.Address, "worker@*.service")
	if got := f.Match("worker@*.service"); len(got) != 0 {
		t.Errorf("no instance exists, matched %v", got)
	}
	f.do("start", "worker@1.service", "worker@2.service")
	agenttest.Eventually(t, func() bool { return len(f.Watcher.Units()) == 2 }, "both instances watched")
	agenttest.Eventually(t, func() bool {
		return slices.Equal(f.Match("worker@*.service"), []string{"worker@1.service", "worker@2.service"})
	}, "both instances matched")
	f.do("stop", "worker@1.service")
	f.await("the stopped instance is gone", func(e Event) bool {
		return e.Kind == Removed && e.Unit.Name == "worker@1.service"
	})
	agenttest.Eventually(t, func() bool { // a question under way may load it for a moment
		return slices.Equal(f.Match("worker@*.service"), []string{"worker@2.service"})
	}, "only worker@2.service matched")
	for _, nothing := range []string{"", "[", "x*"} {
		if got := f.Match(nothing); len(got) != 0 {
			t.Errorf("pattern %q matched %v", nothing, got)
		}
	}
	f.Watch(nil)
	f.await("nothing watched", func(e Event) bool { return e.Kind == Removed && e.Unit.Name == "worker@2.service" })
}

func TestBusGoneAndBack(t *testing.T) {
	m := agenttest.Manager(t)
	write(t, m, "a.service", sleeper)
	write(t, m, "b.service", sleeper)
	p := agenttest.NewProxy(t, m.Address)
	f := start(t, m, p.Address(), "a.service", "b.service")
	f.do("start", "a.service", "b.service")
	f.awaitActive("b.service")
	f.do("stop", "b.service")
	f.awaitDown("b.service")

	e := f.Expect("a.service")
	defer e.Close()
	p.Cut()
	f.await("disconnected", func(e Event) bool { return e.Kind == Disconnected })
	if u, ok := f.Unit("a.service"); ok {
		t.Errorf("without a connection a unit is still known: %+v", u)
	}
	if _, err := f.Conn(); err != ErrDisconnected {
		t.Errorf("connection: %v, want %v", err, ErrDisconnected)
	}
	if _, err := e.Wait(t.Context()); err != ErrDisconnected {
		t.Errorf("a waiting job: %v, want %v", err, ErrDisconnected)
	}
	pid, _ := m.Property("a.service", "MainPID")
	n, err := strconv.Atoi(pid)
	if err != nil || n <= 1 {
		t.Fatalf("main process %q", pid)
	}
	_ = syscall.Kill(n, syscall.SIGKILL) // behind its back
	if err := p.Restore(); err != nil {
		t.Fatal(err)
	}
	got := f.await("the failure", func(e Event) bool { return e.Kind == Changed && e.Unit.Name == "a.service" })
	if got.Unit.Active != "failed" || got.Unit.Stopped != Itself || got.Was != "active" {
		t.Errorf("after the gap: %s by %q, was %q", got.Unit.Active, got.Unit.Stopped, got.Was)
	}
	f.await("connected", func(e Event) bool { return e.Kind == Connected })
	if u, _ := f.Unit("b.service"); u.Stopped != Person {
		t.Errorf("b.service is stopped by %q, want person as before the gap", u.Stopped)
	}
}

func TestReexecution(t *testing.T) {
	m := agenttest.Manager(t)
	write(t, m, "a.service", sleeper)
	f := start(t, m, m.Address, "a.service")
	f.do("start", "a.service")
	pid := f.awaitActive("a.service").MainPID
	_, _ = f.Systemctl("daemon-reexec") // it cuts systemctl's own connection too
	f.await("disconnected", func(e Event) bool { return e.Kind == Disconnected })
	f.await("connected", func(e Event) bool { return e.Kind == Connected })
	if u, _ := f.Unit("a.service"); u.Active != "active" || u.MainPID != pid {
		t.Errorf("after re-execution %s with process %d, want active with %d", u.Active, u.MainPID, pid)
	}
}

func TestSystemState(t *testing.T) {
	m := agenttest.Manager(t)
	f := start(t, m, m.Address)
	if s := f.SystemState(); s != "running" && s != "degraded" {
		t.Errorf("system state %q, want running or degraded", s)
	}
	if s := f.Active("base.target"); s != "active" {
		t.Errorf("base.target is %q, want active", s)
	}
	// It is deaf to SIGTERM before it counts as started: else it might end at once, and the manager with it.
	write(t, m, "late.service", "[Service]\nType=notify\nNotifyAccess=all\nTimeoutStopSec=3\n"+
		"ExecStart=/bin/sh -c 'trap \"\" TERM; systemd-notify --ready; while :; do sleep 1; done'\n")
	f.do("start", "late.service")
	f.do("--no-block", "exit")
	f.await("stopping", func(e Event) bool { return e.Kind == System && f.SystemState() == "stopping" })
}

// TestReloaded: once unit files were read again, what they say is known.
func TestReloaded(t *testing.T) {
	m := agenttest.Manager(t)
	if err := m.WriteUnit("app.service", "[Service]\nExecStart=/bin/sleep 1000\nExecStart=\nExecStart=/bin/sh -c 'sleep 1000'\n"); err != nil {
		t.Fatal(err)
	}
	f := start(t, m, m.Address, "app.service")
	if u, _ := f.Unit("app.service"); u.ExecStart != "/bin/sh" || len(u.DropInPaths) != 0 {
		t.Errorf("it runs %q, with %q", u.ExecStart, u.DropInPaths)
	}
	f.since = f.o.Clock.Now().Boot
	if err := m.WriteUnit("app.service.d/nice.conf", "[Service]\nNice=5\n"); err != nil {
		t.Fatal(err)
	}
	f.await("reloaded", func(e Event) bool { return e.Kind == Reloaded })
	if u, _ := f.Unit("app.service"); len(u.DropInPaths) != 1 || !strings.HasSuffix(u.DropInPaths[0], "app.service.d/nice.conf") {
		t.Errorf("drop-ins are %q", u.DropInPaths)
	}
}
