package unit_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/salveops/salve/agent/agenttest"
	"github.com/salveops/salve/agent/internal/act"
	"github.com/salveops/salve/agent/internal/act/acttest"
	"github.com/salveops/salve/agent/internal/act/kind"
	"github.com/salveops/salve/agent/internal/act/unit"
	"github.com/salveops/salve/agent/internal/helper"
	"github.com/salveops/salve/agent/internal/order"
	"github.com/salveops/salve/agent/internal/systemd"
	"github.com/salveops/salve/pkg/clock"
	"github.com/salveops/salve/pkg/incident"
	"github.com/salveops/salve/pkg/remedy"
)

const spinner = "[Unit]\nStartLimitIntervalSec=0\n[Service]\nExecStart=/bin/sh -c 'while :; do :; done'\n"

// cpuTime is how long the process has run on a CPU, in clock ticks.
func cpuTime(t *testing.T, pid int) int {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		t.Fatal(err)
	}
	f := strings.Fields(string(text[strings.LastIndexByte(string(text), ')'):]))
	user, err1 := strconv.Atoi(f[12])
	system, err2 := strconv.Atoi(f[13])
	if err1 != nil || err2 != nil {
		t.Fatalf("stat %q", text)
	}
	return user + system
}

// busy is the share of one CPU that the process gets over the time that it takes to look.
func busy(t *testing.T, pid int) float64 {
	t.Helper()
	const look = 600 * time.Millisecond
	began, ticks := time.Now(), cpuTime(t, pid)
	<-time.After(look)
	return float64(cpuTime(t, pid)-ticks) / 100 / time.Since(began).Seconds()
}

func TestCPUQuotaThrottlesAndGoesAway(t *testing.T) {
	g, u := acttest.Running(t, spinner)
	g.RequireLimit(map[string]string{"CPUQuota": "100%"})
	free := busy(t, u.MainPID)
	q := acttest.SetProperty("a.service", map[string]string{"CPUQuota": "10%", "TasksMax": "17"})
	p, err := g.Runner.Prepare(t.Context(), q)
	if err != nil || p.Text != "set CPUQuota=10% TasksMax=17 of a.service" {
		t.Fatalf("plan %q, %v", p.Text, err)
	}
	a := g.Must(q)
	// On a machine with more work than cores it may not have had more before; the kernel's limit holds all the same.
	if limited := busy(t, u.MainPID); limited > 0.2 || free > 0.4 && limited > 0.5*free {
		t.Errorf("CPU share %.2f before, %.2f with a quota of 10%%", free, limited)
	}
	if got, _ := g.Property("a.service", "TasksMax"); got != "17" {
		t.Errorf("TasksMax is %s, want 17", got)
	}
	dropIns := filepath.Join(g.Runtime, "systemd/user.control/a.service.d")
	if files, _ := os.ReadDir(dropIns); len(files) != 2 {
		t.Errorf("systemd wrote the drop-ins %v; want two, or this test looks in the wrong place", files)
	}

	undone, err := g.Runner.Undo(t.Context(), a.ID)
	if err != nil || undone.Phase != incident.Undone {
		t.Fatalf("undo: %+v, %v", undone, err)
	}
	agenttest.Eventually(t, func() bool { return busy(t, u.MainPID) > min(0.5*free, 0.2) },
		"it has the CPU again that it had before, or twice its quota where there is more work now")
	if got, _ := g.Property("a.service", "CPUQuotaPerSecUSec"); got != "infinity" {
		t.Errorf("the quota after the undo is %s", got)
	}
	if _, err := os.Stat(dropIns); err == nil {
		t.Error("the undo left its drop-ins behind")
	}
}

func TestUndoKeepsWhatAPersonHadSet(t *testing.T) {
	g, _ := acttest.Running(t, acttest.Sleeper)
	g.RequireLimit(map[string]string{"TasksMax": "1000"})
	g.Do("set-property", "--runtime", "a.service", "TasksMax=40")
	a := g.Must(acttest.SetProperty("a.service", map[string]string{"TasksMax": "20"}))
	if _, err := g.Runner.Undo(t.Context(), a.ID); err != nil {
		t.Fatal(err)
	}
	g.Do("daemon-reload")
	if got, _ := g.Property("a.service", "TasksMax"); got != "40" {
		t.Errorf("TasksMax is %s, want the 40 that a person had set", got)
	}
}

// A unit that is gone takes no change for ever, so that it is not tried for ever; it is said what its limits were.
func TestUndoOnAUnitThatIsGone(t *testing.T) {
	g, _ := acttest.Running(t, acttest.Sleeper)
	g.RequireLimit(map[string]string{"TasksMax": "1000"})
	g.Do("set-property", "--runtime", "a.service", "TasksMax=40")
	a := g.Must(acttest.SetProperty("a.service", map[string]string{"TasksMax": "20"}))
	if err := g.RemoveUnit("a.service"); err != nil {
		t.Fatal(err)
	}
	g.Becomes("a.service", "without a file", func(u systemd.Unit) bool { return u.Load == "not-found" })
	undone, err := g.Runner.Undo(t.Context(), a.ID)
	var refusal *kind.Refusal
	if !errors.As(err, &refusal) || refusal.Temporary || undone.Phase != incident.Acted || undone.Stays != "a.service is not-found, "+
		"and its limits stay; once it is back: systemctl set-property --runtime a.service TasksMax=40" {
		t.Errorf("undo: %s, %q, %v", undone.Phase, undone.Stays, err)
	}
}

// TestLimitWithoutEffect: where systemd has no say in a controller's hierarchy it takes a limit without
// a word and nothing happens. Salve refuses before, and where that look is not enough it notices after.
func TestLimitWithoutEffect(t *testing.T) {
	g, _ := acttest.Running(t, acttest.Sleeper)
	q := acttest.SetProperty("a.service", map[string]string{"MemoryHigh": "64M"})
	_, err := g.Runner.Prepare(t.Context(), q)
	agenttest.Require(t, "a host whose memory controller systemd cannot use", err != nil, "here MemoryHigh works")
	g.Refused(q, "", false)

	s := &kind.Step{Request: q, Target: "a.service"}
	err = unit.Limiter{Units: unit.New(&kind.Host{Systemd: g.Watcher})}.Act(t.Context(), s)
	if err == nil || !strings.Contains(err.Error(), "no effect") {
		t.Errorf("a limit without effect: %v", err)
	}
}

func TestLimitsNeedProcesses(t *testing.T) {
	g := acttest.New(t, "a.service", acttest.Sleeper, "b.service", acttest.Lasting)
	g.Up("b.service")
	g.Refused(acttest.SetProperty("b.service", map[string]string{"TasksMax": "9"}), "", false)
	g.Refused(acttest.SetProperty("a.service", map[string]string{"TasksMax": "9"}), "stopped by a person", false)
	g.Up("a.service")
	g.Refused(acttest.SetProperty("a.service", map[string]string{"Nice": "5"}), "does not know Nice", false)
	g.Refused(acttest.SetProperty("a.service", map[string]string{"CPUQuota": "much"}), "no value", false)
	shed := &incident.Attempt{ID: "shed", Kind: "shed", Target: "a.service", Phase: incident.Judged, Intended: clock.Now(acttest.Clock(t)),
		For: time.Hour}
	if err := g.Journal.PutAttempt(shed); err != nil {
		t.Fatal(err)
	}
	g.Refused(acttest.SetProperty("a.service", map[string]string{"TasksMax": "9"}), "is shed for a time", false)
}

func TestLimitEndsByItself(t *testing.T) {
	g, _ := acttest.Running(t, acttest.Sleeper)
	g.RequireLimit(map[string]string{"TasksMax": "1000"})
	g.WithHelper("set-property")
	old, _ := g.Property("a.service", "TasksMax")
	serve := func(r *act.Runner) {
		done := make(chan struct{})
		go func() {
			defer close(done)
			if err := r.Serve(t.Context()); err != nil {
				t.Errorf("serve: %v", err)
			}
		}()
		t.Cleanup(func() { <-done })
	}
	limited := func(r *act.Runner, length time.Duration) string {
		q := acttest.SetProperty("a.service", map[string]string{"TasksMax": "21"})
		q.Remedy.Args.(*remedy.PropertyArgs).For = length
		g.Runner = r
		agenttest.Eventually(t, func() bool { // the undo before is on disk a moment before it is over
			_, err := g.Run(q)
			return err == nil
		}, "the limit is set")
		return q.Attempt.ID
	}
	gone := func(id string) {
		t.Helper()
		agenttest.Eventually(t, func() bool {
			a, err := g.Journal.Attempt(id)
			return err == nil && a.Phase == incident.Undone
		}, "the limit is taken back")
		agenttest.Eventually(t, func() bool {
			return g.Watcher.Active(helper.Timer("a.service")) == "inactive"
		}, "its timer is gone")
		if got, _ := g.Property("a.service", "TasksMax"); got != old {
			t.Errorf("TasksMax is %s after its time, want %s", got, old)
		}
	}
	// An agent that dies right after it set a limit: the next one takes it back.
	id := limited(g.NewRunner(acttest.Everything()), 1500*time.Millisecond)
	next := g.NewRunner(acttest.Everything())
	serve(next)
	gone(id)
	gone(limited(next, time.Second))
}

func TestOldValuesAreInTheIntent(t *testing.T) {
	g, _ := acttest.Running(t, acttest.Sleeper)
	g.RequireLimit(map[string]string{"TasksMax": "1000"})
	var intent incident.Attempt
	g.Journal.Before = func(a *incident.Attempt) error {
		if a.Phase == incident.Intended {
			intent = *a
		}
		return nil
	}
	g.Must(acttest.SetProperty("a.service", map[string]string{"TasksMax": "23"}))
	var kept struct{ Old map[string]order.Value }
	if err := json.Unmarshal(intent.Undo, &kept); err != nil || kept.Old["TasksMax"].N <= 23 {
		t.Errorf("before the act the disk had %s (%v); undo needs the old value", intent.Undo, err)
	}
}
