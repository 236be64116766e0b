package unit_test

import (
	"bufio"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/salveops/salve/agent/agenttest"
	"github.com/salveops/salve/agent/internal/act/acttest"
	"github.com/salveops/salve/agent/internal/act/kind"
	"github.com/salveops/salve/agent/internal/helper"
	"github.com/salveops/salve/agent/internal/systemd"
	"github.com/salveops/salve/pkg/incident"
	"github.com/salveops/salve/pkg/remedy"
)

// TestThroughTheHelper: every kind that acts on a unit goes its way, with an intent before and a result after.
func TestThroughTheHelper(t *testing.T) {
	g := acttest.New(t, "a.service", acttest.Sleeper+"ExecReload=/bin/true\n")
	g.WithHelper("start", "stop", "restart", "reload", "kill", "reset-failed")
	g.Up("a.service")
	was, _ := g.Watcher.Unit("a.service")
	a := g.Must(acttest.Ask(remedy.Restart, "a.service"))
	g.Becomes("a.service", "restarted", func(u systemd.Unit) bool { return u.InvocationID != was.InvocationID })
	if len(a.After) == 0 {
		t.Errorf("%+v has no evidence from after", a)
	}
	g.Must(acttest.Ask(remedy.Reload, "a.service"))
	a = g.Must(acttest.Ask(remedy.Stop, "a.service"))
	if u := g.Down("a.service"); u.Stopped != systemd.Salve {
		t.Errorf("it was stopped by %q: the job is not known for Salve's", u.Stopped)
	}
	if a, err := g.Runner.Undo(t.Context(), a.ID); err != nil || a.Phase != incident.Undone {
		t.Errorf("undo: %+v, %v", a, err)
	}
	g.Must(acttest.Ask(remedy.Kill, "a.service"))
	g.Becomes("a.service", "failed", func(u systemd.Unit) bool { return u.Active == "failed" })
	g.Must(acttest.Ask(remedy.Start, "a.service"))
}

// TestHelperRefuses: what the helper refuses was not done, and nobody has to doubt that.
func TestHelperRefuses(t *testing.T) {
	g := acttest.New(t, "a.service", acttest.Sleeper)
	g.WithHelper("start")
	was := g.Up("a.service")
	a, err := g.Run(acttest.Ask(remedy.Restart, "a.service"))
	if err != nil || a.Phase != incident.Acted || !strings.Contains(a.Error, "the helper refused: the list permits no restart") {
		t.Errorf("%+v, %v", a, err)
	}
	if now, _ := g.Watcher.Unit("a.service"); now.InvocationID != was.InvocationID {
		t.Error("it was restarted")
	}
}

// TestHelperDies: when no answer comes nobody knows, and it is not done again.
func TestHelperDies(t *testing.T) {
	g := acttest.New(t, "a.service", acttest.Sleeper)
	listener := g.Socket()
	asked := make(chan error, 1)
	go func() {
		c, err := listener.Accept()
		if err == nil {
			_, err = bufio.NewReader(c).ReadString('\n')
			err = errors.Join(err, c.Close())
		}
		asked <- err
	}()
	g.Up("a.service")
	a, err := g.Run(acttest.Ask(remedy.Restart, "a.service"))
	if err != nil || a.Phase != incident.Unknown || !strings.Contains(a.Error, kind.ErrLost.Error()) {
		t.Errorf("%+v, %v", a, err)
	}
	if err := <-asked; err != nil {
		t.Error(err)
	}
}

// TestLimitThatEndsNeedsTheHelper: without it nobody could end the limit of a dead agent, so there is none.
func TestLimitThatEndsNeedsTheHelper(t *testing.T) {
	g := acttest.New(t, "a.service", acttest.Sleeper)
	q := acttest.SetProperty("a.service", map[string]string{"TasksMax": "21"})
	q.Remedy.Args.(*remedy.PropertyArgs).For = time.Minute
	g.Refused(q, "systemctl enable --now salve-agent-helper.socket", false) // also for a doctor, of a unit that is down
}

// hourLimit is a rig with a limit of an hour on a.service, and what TasksMax was before.
func hourLimit(t *testing.T) (g *acttest.Rig, a incident.Attempt, old string) {
	t.Helper()
	g, _ = acttest.Running(t, acttest.Sleeper)
	g.RequireLimit(map[string]string{"TasksMax": "1000"})
	g.WithHelper("set-property")
	old, _ = g.Property("a.service", "TasksMax")
	q := acttest.SetProperty("a.service", map[string]string{"TasksMax": "21"})
	q.Remedy.Args.(*remedy.PropertyArgs).For = time.Hour
	return g, g.Must(q), old
}

// undone takes the limit back, which must help.
func undone(g *acttest.Rig, id, old string) {
	g.T.Helper()
	if a, err := g.Runner.Undo(g.T.Context(), id); err != nil || a.Phase != incident.Undone {
		g.T.Errorf("undo: %+v, %v", a, err)
	}
	if got, _ := g.Property("a.service", "TasksMax"); got != old {
		g.T.Errorf("TasksMax is %s after the undo, want %s", got, old)
	}
}

// TestLimitLifted: an undo before the time ends the timer, too; meanwhile there is no second limit.
func TestLimitLifted(t *testing.T) {
	g, a, old := hourLimit(t)
	timer := helper.Timer("a.service")
	is := func(state string) {
		t.Helper()
		agenttest.Eventually(t, func() bool { return g.Watcher.Active(timer) == state }, "its timer is "+state)
	}
	is("active")
	g.Refused(acttest.SetProperty("a.service", map[string]string{"TasksMax": "9"}), "has a limit already", false)
	for range 2 {
		undone(g, a.ID, old)
	}
	is("inactive")
}

// TestLimitWithoutItsTimer: a limit whose timer a person stopped is taken back all the same.
func TestLimitWithoutItsTimer(t *testing.T) {
	g, a, old := hourLimit(t)
	g.Do("stop", helper.Timer("a.service"))
	undone(g, a.ID, old)
}
