package act

import (
	"bufio"
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/salveops/salve/agent/agenttest"
	"github.com/salveops/salve/agent/internal/helper"
	"github.com/salveops/salve/agent/internal/systemd"
	"github.com/salveops/salve/pkg/incident"
	"github.com/salveops/salve/pkg/remedy"
)

// withHelper gives the rig a helper that may do these verbs with a.service.
func (g *rig) withHelper(verbs ...string) {
	g.t.Helper()
	listener, list := g.socket(), helper.List{May: []helper.Entry{{Pattern: "a.service", Verbs: verbs}}}
	file := filepath.Join(g.t.TempDir(), "allow")
	if err := os.WriteFile(file, []byte(list.Text()), 0o644); err != nil {
		g.t.Fatal(err)
	}
	s, err := helper.New(helper.Options{List: file, Users: []uint32{uint32(os.Geteuid())}, Bus: g.Address,
		Log: hclog.NewNullLogger(), Listener: listener})
	if err != nil {
		g.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(g.t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := s.Run(ctx); err != nil {
			g.t.Errorf("helper: %v", err)
		}
	}()
	g.t.Cleanup(func() { cancel(); <-done })
}

// socket makes the helper's socket and lets new runners know of it.
func (g *rig) socket() *net.UnixListener {
	g.t.Helper()
	dir, err := os.MkdirTemp("/tmp", "salve-act-") // t.TempDir() may be too long for a socket
	if err != nil {
		g.t.Fatal(err)
	}
	g.t.Cleanup(func() { _ = os.RemoveAll(dir) })
	g.helper = filepath.Join(dir, "socket")
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: g.helper, Net: "unix"})
	if err != nil {
		g.t.Fatal(err)
	}
	g.t.Cleanup(func() { _ = listener.Close() })
	g.runner = g.newRunner(everything())
	return listener
}

// TestThroughTheHelper: every kind that acts on a unit goes its way, with an intent before and a result after.
func TestThroughTheHelper(t *testing.T) {
	g := newRig(t, "a.service", sleeper+"ExecReload=/bin/true\n")
	g.withHelper("start", "stop", "restart", "reload", "kill", "reset-failed")
	g.up("a.service")
	was, _ := g.watcher.Unit("a.service")
	a := g.must(ask(remedy.Restart, "a.service"))
	g.becomes("a.service", "restarted", func(u systemd.Unit) bool { return u.InvocationID != was.InvocationID })
	if len(a.After) == 0 {
		t.Errorf("%+v has no evidence from after", a)
	}
	g.must(ask(remedy.Reload, "a.service"))
	a = g.must(ask(remedy.Stop, "a.service"))
	if u := g.down("a.service"); u.Stopped != systemd.Salve {
		t.Errorf("it was stopped by %q: the job is not known for Salve's", u.Stopped)
	}
	if a, err := g.runner.Undo(t.Context(), a.ID); err != nil || a.Phase != incident.Undone {
		t.Errorf("undo: %+v, %v", a, err)
	}
	g.must(ask(remedy.Kill, "a.service"))
	g.becomes("a.service", "failed", func(u systemd.Unit) bool { return u.Active == "failed" })
	g.must(ask(remedy.Start, "a.service"))
}

// TestHelperRefuses: what the helper refuses was not done, and nobody has to doubt that.
func TestHelperRefuses(t *testing.T) {
	g := newRig(t, "a.service", sleeper)
	g.withHelper("start")
	was := g.up("a.service")
	a, err := g.run(ask(remedy.Restart, "a.service"))
	if err != nil || a.Phase != incident.Acted || !strings.Contains(a.Error, "the helper refused: the list permits no restart") {
		t.Errorf("%+v, %v", a, err)
	}
	if now, _ := g.watcher.Unit("a.service"); now.InvocationID != was.InvocationID {
		t.Error("it was restarted")
	}
}

// TestHelperDies: when no answer comes nobody knows, and it is not done again.
func TestHelperDies(t *testing.T) {
	g := newRig(t, "a.service", sleeper)
	listener := g.socket()
	asked := make(chan error, 1)
	go func() {
		c, err := listener.Accept()
		if err == nil {
			_, err = bufio.NewReader(c).ReadString('\n')
			err = errors.Join(err, c.Close())
		}
		asked <- err
	}()
	g.up("a.service")
	a, err := g.run(ask(remedy.Restart, "a.service"))
	if err != nil || a.Phase != incident.Unknown || !strings.Contains(a.Error, errLost.Error()) {
		t.Errorf("%+v, %v", a, err)
	}
	if err := <-asked; err != nil {
		t.Error(err)
	}
}

// TestLimitThatEndsNeedsTheHelper: without it nobody could end the limit of a dead agent, so there is none.
func TestLimitThatEndsNeedsTheHelper(t *testing.T) {
	g := newRig(t, "a.service", sleeper)
	q := setProperty("a.service", map[string]string{"TasksMax": "21"})
	q.Remedy.Args.For = time.Minute
	g.refused(q, "systemctl enable --now salve-agent-helper.socket", false) // also for a doctor, of a unit that is down
}

// hourLimit is a rig with a limit of an hour on a.service, and what TasksMax was before.
func hourLimit(t *testing.T) (g *rig, a incident.Attempt, old string) {
	t.Helper()
	g, u := running(t, sleeper)
	requireController(t, g, u, "TasksMax")
	g.withHelper("set-property")
	old, _ = g.Property("a.service", "TasksMax")
	q := setProperty("a.service", map[string]string{"TasksMax": "21"})
	q.Remedy.Args.For = time.Hour
	return g, g.must(q), old
}

// undone takes the limit back, which must help.
func (g *rig) undone(id, old string) {
	g.t.Helper()
	if a, err := g.runner.Undo(g.t.Context(), id); err != nil || a.Phase != incident.Undone {
		g.t.Errorf("undo: %+v, %v", a, err)
	}
	if got, _ := g.Property("a.service", "TasksMax"); got != old {
		g.t.Errorf("TasksMax is %s after the undo, want %s", got, old)
	}
}

// TestLimitLifted: an undo before the time ends the timer, too; meanwhile there is no second limit.
func TestLimitLifted(t *testing.T) {
	g, a, old := hourLimit(t)
	timer := helper.Timer("a.service")
	is := func(state string) {
		t.Helper()
		agenttest.Eventually(t, 10*time.Second, func() bool { return g.watcher.Active(timer) == state }, "its timer is "+state)
	}
	is("active")
	g.refused(setProperty("a.service", map[string]string{"TasksMax": "9"}), "has a limit already", false)
	for range 2 {
		g.undone(a.ID, old)
	}
	is("inactive")
}

// TestLimitWithoutItsTimer: a limit whose timer a person stopped is taken back all the same.
func TestLimitWithoutItsTimer(t *testing.T) {
	g, a, old := hourLimit(t)
	g.do("stop", helper.Timer("a.service"))
	g.undone(a.ID, old)
}
