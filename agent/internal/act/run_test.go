package act_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/salveops/salve/agent/agenttest"
	"github.com/salveops/salve/agent/internal/act"
	"github.com/salveops/salve/agent/internal/act/acttest"
	"github.com/salveops/salve/agent/internal/act/kind"
	"github.com/salveops/salve/agent/internal/act/program"
	"github.com/salveops/salve/agent/internal/systemd"
	"github.com/salveops/salve/pkg/config"
	"github.com/salveops/salve/pkg/incident"
	"github.com/salveops/salve/pkg/remedy"
)

func TestAllowed(t *testing.T) {
	blocks := []config.Allow{
		{Units: []string{"a.service", "worker@*.service"}, Actions: []string{"restart"}},
		{Pools: []string{"db"}, Actions: []string{"reset_pool"}},
		{Exec: []string{"/usr/lib/hooks/*"}, Actions: []string{"exec"}},
		{Units: []string{"*"}},
	}
	for _, c := range []struct {
		kind   remedy.Kind
		target string
		want   bool
	}{
		{remedy.Restart, "a.service", true},
		{remedy.Restart, "worker@7.service", true},
		{remedy.Restart, "", false},
		{remedy.Restart, "aa.service", false},
		{remedy.Stop, "a.service", false},
		{remedy.ResetPool, "db", true},
		{remedy.ResetPool, "a.service", false},
		{remedy.Restart, "db", false},
		{remedy.Exec, "/usr/lib/hooks/x", true},
		{remedy.Exec, "/usr/lib/hooks/x/y", false},
		{"nonsense", "a.service", false},
	} {
		if got := act.Allowed(blocks, c.kind, c.target); got != c.want {
			t.Errorf("%s on %q is allowed: %v, want %v", c.kind, c.target, got, c.want)
		}
	}
}

// TestEmptyMeansAll has the name of what happened elsewhere: an empty list of targets erased almost
// every machine.
func TestEmptyMeansAll(t *testing.T) {
	g := acttest.New(t, "a.service", acttest.Sleeper)
	was := g.Up("a.service")
	for unit, why := range map[string]string{
		"": "has no name", "*": "is a glob", "*.service": "is a glob", "a*.service": "is a glob",
		"a.service b.service": "is no unit name", "worker@.service": "is a template", "a": "what type of unit",
	} {
		g.Refused(acttest.Ask(remedy.Restart, unit), why, false)
	}
	g.Refused(acttest.Ask(remedy.Exec, "a.service"), "the command is empty", false)
	g.Refused(acttest.Ask(remedy.ResetPool, "a.service"), "names no pool", false)
	g.Refused(acttest.Ask(remedy.SetProperty, "a.service"), "names no property", false)
	g.Refused(kind.Request{Remedy: &config.Remedy{Kind: "nonsense"}}, "no remedy of the kind", false)
	g.Runner.SetAllow(nil)
	g.Refused(acttest.Ask(remedy.Restart, "a.service"), "no allow block", false)
	g.Runner.SetAllow([]config.Allow{
		{Actions: remedy.Names()}, {Units: []string{"*"}}, {Units: []string{""}, Actions: remedy.Names()},
	})
	g.Refused(acttest.Ask(remedy.Restart, "a.service"), "no allow block", false)
	if u, _ := g.Watcher.Unit("a.service"); u.InvocationID != was.InvocationID {
		t.Error("something was restarted")
	}
}

func TestAliasIsJudgedByItsPrimaryName(t *testing.T) {
	g := acttest.New(t, "a.service", acttest.Sleeper)
	if err := os.Symlink("a.service", filepath.Join(g.Units, "nick.service")); err != nil {
		t.Fatal(err)
	}
	g.Do("daemon-reload")
	g.Up("a.service")
	p, err := g.Runner.Prepare(t.Context(), acttest.Ask(remedy.Restart, "nick.service"))
	if err != nil || p.Target != "a.service" {
		t.Errorf("plan %+v, %v; want the target a.service", p, err)
	}
	g.Runner.SetAllow([]config.Allow{{Units: []string{"nick.service"}, Actions: remedy.Names()}})
	g.Refused(acttest.Ask(remedy.Restart, "nick.service"), "no allow block", false)
}

func TestAllowIsAskedAgain(t *testing.T) {
	g := acttest.New(t, "a.service", acttest.Sleeper)
	g.Up("a.service")
	p, err := g.Runner.Prepare(t.Context(), acttest.Ask(remedy.Restart, "a.service"))
	if err != nil {
		t.Fatal(err)
	}
	g.Runner.SetAllow(nil)
	if _, err := g.Runner.Run(t.Context(), p); err == nil || !strings.Contains(err.Error(), "no allow block") {
		t.Errorf("run after the permission was taken away: %v", err)
	}
}

// TestDoubleRun has the name of what happened elsewhere: a retried request ran the action twice.
func TestDoubleRun(t *testing.T) {
	g := acttest.New(t, "a.service", acttest.Sleeper)
	g.Up("a.service")
	q := acttest.Ask(remedy.Restart, "a.service")
	p, err := g.Runner.Prepare(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := g.Runner.Run(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	once, _ := g.Watcher.Unit("a.service")
	for _, r := range []*act.Runner{g.Runner, g.NewRunner(acttest.Everything())} { // the same process, and a later one
		if _, err := r.Run(t.Context(), p); err == nil || !strings.Contains(err.Error(), "an attempt runs once") {
			t.Errorf("second run: %v", err)
		}
	}
	if u, _ := g.Watcher.Unit("a.service"); u.InvocationID != once.InvocationID {
		t.Error("it ran twice")
	}
	q.Attempt.ID = ""
	if _, err := g.Run(q); err == nil {
		t.Error("an attempt without an ID ran")
	}
}

func TestNoIntentNoAction(t *testing.T) {
	g := acttest.New(t, "a.service", acttest.Sleeper)
	was := g.Up("a.service")
	full := errors.New("no space left on device")
	g.Journal.Before = func(*incident.Attempt) error { return full }
	if _, err := g.Run(acttest.Ask(remedy.Restart, "a.service")); !errors.Is(err, full) {
		t.Errorf("run without an intent: %v, want %v", err, full)
	}
	if u, _ := g.Watcher.Unit("a.service"); u.InvocationID != was.InvocationID {
		t.Error("it acted without an intent on disk")
	}
	g.Journal.Before = func(a *incident.Attempt) error {
		if a.Phase == incident.Acted {
			return full
		}
		return nil
	}
	a, err := g.Run(acttest.Ask(remedy.Restart, "a.service"))
	if err != nil || a.Phase != incident.Acted {
		t.Errorf("what was done is %+v, %v; want acted, though not on disk", a, err)
	}
	g.Journal.Before = nil
	settled := g.NewRunner(acttest.Everything()).Settle(t.Context())
	if len(settled) != 1 || settled[0].Phase != incident.Acted {
		t.Errorf("settled after a crash: %+v", settled)
	}
}

// untilTold is a service that does not stop before end is called.
func untilTold(t *testing.T) (text string, end func()) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "end")
	end = func() {
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Error(err)
		}
	}
	return acttest.Trapping("until [ -e "+file+" ]; do sleep 0.1; done; exit", ""), end
}

func TestOneAtATimePerTarget(t *testing.T) {
	text, end := untilTold(t)
	g := acttest.New(t, "a.service", text, "b.service", acttest.Sleeper)
	g.Up("a.service")
	g.Up("b.service")
	first, err := g.Runner.Prepare(t.Context(), acttest.Ask(remedy.Restart, "a.service"))
	if err != nil {
		t.Fatal(err)
	}
	second, err := g.Runner.Prepare(t.Context(), acttest.Ask(remedy.Restart, "a.service"))
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() {
		_, err := g.Runner.Run(t.Context(), first)
		done <- err
	}()
	g.Becomes("a.service", "restarting", func(u systemd.Unit) bool { return u.Job != 0 })
	_, err = g.Runner.Run(t.Context(), second)
	var refusal *kind.Refusal
	if !errors.As(err, &refusal) || !refusal.Temporary || !strings.Contains(err.Error(), "another remedy is at work") {
		t.Errorf("the second on the same target: %v", err)
	}
	g.Must(acttest.Ask(remedy.Restart, "b.service")) // another target is free
	end()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

func TestActionTimeOut(t *testing.T) {
	text, end := untilTold(t)
	g := acttest.New(t, "a.service", text)
	g.Up("a.service")
	defer end()
	q := acttest.Ask(remedy.Restart, "a.service")
	q.Remedy.Timeout = 200 * time.Millisecond
	a, err := g.Run(q)
	if err != nil || a.Phase != incident.Acted || !strings.Contains(a.Error, program.ErrTimeout.Error()) {
		t.Errorf("attempt %+v, %v; want one that timed out", a, err)
	}
}

func TestBusGone(t *testing.T) {
	m := agenttest.Manager(t)
	proxy := agenttest.NewProxy(t, m.Address)
	text, end := untilTold(t)
	g := acttest.NewOn(t, m, proxy.Address(), "a.service", text)
	g.Up("a.service")
	defer end()
	proxy.Cut()
	agenttest.Eventually(t, func() bool { return !g.Watcher.Connected() }, "disconnected")
	g.Refused(acttest.Ask(remedy.Restart, "a.service"), "cannot be known now", true)
	if err := proxy.Restore(); err != nil {
		t.Fatal(err)
	}
	g.Becomes("a.service", "known again", func(u systemd.Unit) bool { return u.Active == "active" })

	p, err := g.Runner.Prepare(t.Context(), acttest.Ask(remedy.Restart, "a.service"))
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan incident.Attempt)
	go func() {
		a, err := g.Runner.Run(t.Context(), p)
		if err != nil {
			t.Errorf("run: %v", err)
		}
		done <- a
	}()
	g.Becomes("a.service", "restarting", func(u systemd.Unit) bool { return u.Active == "deactivating" })
	proxy.Cut()
	if a := <-done; a.Phase != incident.Unknown || !strings.Contains(a.Error, kind.ErrLost.Error()) {
		t.Errorf("cut in mid-call: %+v, want unknown", a)
	}
}
