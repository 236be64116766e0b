package unit_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/salveops/salve/agent/agenttest"
	"github.com/salveops/salve/agent/internal/act/acttest"
	"github.com/salveops/salve/agent/internal/act/kind"
	"github.com/salveops/salve/agent/internal/act/unit"
	"github.com/salveops/salve/agent/internal/systemd"
	"github.com/salveops/salve/pkg/config"
	"github.com/salveops/salve/pkg/incident"
	"github.com/salveops/salve/pkg/remedy"
)

func TestStartAfterCrash(t *testing.T) {
	g := acttest.New(t, "a.service", acttest.Sleeper)
	was := g.Up("a.service")
	g.Do("kill", "-s", "KILL", "a.service")
	g.Down("a.service")
	p, err := g.Runner.Prepare(t.Context(), acttest.Ask(remedy.Start, "a.service"))
	if err != nil {
		t.Fatal(err)
	}
	if p.Disruptive || p.Target != "a.service" || p.Text != "start a.service" {
		t.Errorf("plan %+v: starting a dead unit takes nothing away", p)
	}
	a := g.Must(acttest.Ask(remedy.Start, "a.service"))
	var before, after struct {
		Active       string
		InvocationID string `json:"invocation_id"`
		MainPID      int    `json:"main_pid"`
		Started      time.Duration
	}
	if json.Unmarshal(a.Before, &before) != nil || json.Unmarshal(a.After, &after) != nil {
		t.Fatalf("evidence: %s, %s", a.Before, a.After)
	}
	if before.InvocationID != was.InvocationID || before.Active != "failed" {
		t.Errorf("evidence from before: %+v", before)
	}
	if after.InvocationID == was.InvocationID || after.Active != "active" || after.MainPID <= 1 || after.Started == 0 {
		t.Errorf("evidence from after: %+v", after)
	}
	g.Refused(acttest.Ask(remedy.Start, "a.service"), "is active already", false)
	var needless *kind.Refusal
	if _, err := g.Runner.Prepare(t.Context(), acttest.Ask(remedy.Start, "a.service")); !errors.As(err, &needless) || !needless.Needless {
		t.Errorf("nothing but the state stands in the way: %v", err)
	}
}

func TestRestartOfAHungService(t *testing.T) {
	g := acttest.New(t, "a.service", acttest.Sleeper+"TimeoutStopSec=200ms\n")
	was := g.Up("a.service")
	g.Do("kill", "-s", "STOP", "a.service")
	p, err := g.Runner.Prepare(t.Context(), acttest.Ask(remedy.Restart, "a.service"))
	if err != nil || !p.Disruptive {
		t.Fatalf("plan %+v, %v: a hung service still has a main process", p, err)
	}
	g.Must(acttest.Ask(remedy.Restart, "a.service"))
	if u, _ := g.Watcher.Unit("a.service"); u.Active != "active" || u.InvocationID == was.InvocationID {
		t.Errorf("after the restart: %+v", u)
	}
}

func TestStopAndUndo(t *testing.T) {
	g := acttest.New(t, "a.service", acttest.Sleeper)
	g.Up("a.service")
	a := g.Must(acttest.Ask(remedy.Stop, "a.service"))
	if u := g.Down("a.service"); u.Stopped != systemd.Salve {
		t.Errorf("stopped by %q, want salve", u.Stopped)
	}
	for range 2 { // the second changes nothing
		undone, err := g.Runner.Undo(t.Context(), a.ID)
		if err != nil || undone.Phase != incident.Undone {
			t.Fatalf("undo: %+v, %v", undone, err)
		}
	}
	g.Becomes("a.service", "up again", func(u systemd.Unit) bool { return u.Active == "active" })

	a = g.Must(acttest.Ask(remedy.Stop, "a.service"))
	g.Do("start", "a.service")
	g.Do("stop", "a.service")
	g.Becomes("a.service", "stopped by hand", func(u systemd.Unit) bool { return u.Stopped == systemd.Person })
	_, err := g.Runner.Undo(t.Context(), a.ID)
	if err == nil || !strings.Contains(err.Error(), "by a person meanwhile") {
		t.Errorf("undo against a person: %v", err)
	}
}

// human-wins, also when systemd has forgotten the unit since, as it does with instances that nothing wants.
func TestUndoOfAStopThatIsForgotten(t *testing.T) {
	g := acttest.New(t, "w@.service", acttest.Sleeper)
	g.Watcher = acttest.Watch(t, g.Address, "w@*.service")
	g.Runner = g.NewRunner(acttest.Everything("w@*.service"))
	g.Up("w@1.service")
	a := g.Must(acttest.Ask(remedy.Stop, "w@1.service"))
	g.Up("w@1.service")
	g.Do("stop", "w@1.service")
	g.Heard()
	agenttest.Eventually(t, func() bool { return g.Watcher.StoppedByPerson("w@1.service") }, "it is known to be stopped by a person")
	undone, err := g.Runner.Undo(t.Context(), a.ID)
	if err == nil || !strings.Contains(undone.Stays, "by a person meanwhile") {
		t.Errorf("undo against a person: %s, %q, %v", undone.Phase, undone.Stays, err)
	}
}

// A stop that outlasts its time is taken back only once it is over: a unit on its way down runs for nobody any more.
func TestUndoOfAStopThatGoesOn(t *testing.T) {
	end := filepath.Join(t.TempDir(), "end")
	g := acttest.New(t, "a.service", acttest.Trapping("until [ -e "+end+" ]; do sleep 0.02; done; exit", ""))
	g.Up("a.service")
	q := acttest.Ask(remedy.Stop, "a.service")
	q.Remedy.Timeout = 100 * time.Millisecond
	a, err := g.Run(q)
	if err != nil || a.Error == "" || len(a.Undo) == 0 {
		t.Fatalf("stop: %+v, %v", a, err)
	}
	undone, err := g.Runner.Undo(t.Context(), a.ID)
	var refusal *kind.Refusal
	if !errors.As(err, &refusal) || !refusal.Temporary || undone.Phase != incident.Undoing {
		t.Errorf("undo while it stops: %s, %v", undone.Phase, err)
	}
	if err := os.WriteFile(end, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	g.Down("a.service")
	if undone, err = g.Runner.Undo(t.Context(), a.ID); err != nil || undone.Phase != incident.Undone {
		t.Errorf("undo: %+v, %v", undone, err)
	}
	g.Becomes("a.service", "up again", func(u systemd.Unit) bool { return u.Active == "active" })
}

// What a stop took along comes back with it, but for what a person wants down.
func TestUndoOfAStopWithOthers(t *testing.T) {
	needs := acttest.Sleeper[:len("[Unit]\n")] + "%s" + acttest.Sleeper[len("[Unit]\n"):]
	g := acttest.New(t, "a.service", fmt.Sprintf(needs, "PropagatesStopTo=by-hand.service\n"), "by-hand.service", acttest.Sleeper,
		"part.service", fmt.Sprintf(needs, "PartOf=a.service\n"),
		"needs.service", fmt.Sprintf(needs, "Requires=a.service\nAfter=a.service\n"), "idle.service", fmt.Sprintf(needs, "PartOf=a.service\n"))
	along := []string{"part.service", "by-hand.service", "needs.service"}
	for _, name := range append(along, "a.service") {
		g.Up(name)
	}
	g.Runner.SetAllow(acttest.Everything("*.service"))
	p, err := g.Runner.Prepare(t.Context(), acttest.Ask(remedy.Stop, "a.service"))
	if err != nil || p.Text != "stop a.service, and with it by-hand.service, needs.service, part.service" {
		t.Errorf("%q, %v", p.Text, err)
	}
	a := g.Must(acttest.Ask(remedy.Stop, "a.service"))
	for _, name := range along {
		g.Down(name)
	}
	g.Up("by-hand.service")
	g.Do("stop", "by-hand.service")
	g.Becomes("by-hand.service", "stopped by hand", func(u systemd.Unit) bool { return u.Stopped == systemd.Person })
	undone, err := g.Runner.Undo(t.Context(), a.ID)
	if err == nil || !strings.Contains(undone.Stays, "by-hand.service was started and stopped by a person") {
		t.Errorf("undo: %q, %v", undone.Stays, err)
	}
	for name, want := range map[string]string{"a.service": "active", "part.service": "active", "needs.service": "active",
		"by-hand.service": "inactive", "idle.service": "inactive"} {
		if got, err := g.Property(name, "ActiveState"); err != nil || got != want {
			t.Errorf("%s is %s, want %s (%v)", name, got, want, err)
		}
	}

	g.Runner.SetAllow(acttest.Everything("part.service", "needs.service"))
	a = g.Must(acttest.Ask(remedy.Stop, "a.service"))
	g.Runner.SetAllow(acttest.Everything("needs.service"))
	if undone, err = g.Runner.Undo(t.Context(), a.ID); err == nil || !strings.Contains(undone.Stays, "permits stop on part.service") {
		t.Errorf("undo of what is not allowed any more: %q, %v", undone.Stays, err)
	}
	if got, err := g.Property("needs.service", "ActiveState"); err != nil || got != "active" {
		t.Errorf("needs.service is %s, %v", got, err)
	}
}

func TestReload(t *testing.T) {
	g := acttest.New(t,
		"a.service", acttest.Sleeper+"ExecReload=/bin/sh -c 'echo x > /dev/null'\n",
		"b.service", acttest.Sleeper)
	g.Refused(acttest.Ask(remedy.Reload, "a.service"), "stopped by a person", false)
	was := g.Up("a.service")
	g.Up("b.service")
	g.Must(acttest.Ask(remedy.Reload, "a.service"))
	if u, _ := g.Watcher.Unit("a.service"); u.InvocationID != was.InvocationID {
		t.Error("a reload must not replace the unit")
	}
	g.Refused(acttest.Ask(remedy.Reload, "b.service"), "no ExecReload", false)
}

func TestKill(t *testing.T) {
	g := acttest.New(t, "a.service", acttest.Sleeper, "b.service", acttest.Lasting)
	was := g.Up("a.service")
	a := g.Must(acttest.Ask(remedy.Kill, "a.service"))
	if !strings.Contains(string(a.Before), strconv.Itoa(was.MainPID)) {
		t.Errorf("evidence from before: %s", a.Before)
	}
	if u := g.Down("a.service"); u.Result != "signal" || u.Stopped != systemd.Itself {
		t.Errorf("after the signal: %+v", u)
	}
	g.Refused(acttest.Ask(remedy.Kill, "a.service"), "nothing to send a signal to", false)
	g.Up("b.service") // active without any process: 0 must never become kill(0)
	g.Refused(acttest.Ask(remedy.Kill, "b.service"), "no main process", false)
	g.Up("a.service")
	all := acttest.Ask(remedy.Kill, "a.service", &remedy.KillArgs{Whom: "all", Signal: "SIGTERM"})
	g.Must(all)
	g.Down("a.service")
	g.Up("a.service")
	g.Refused(acttest.Ask(remedy.Kill, "a.service", &remedy.KillArgs{Signal: "SIGNONE"}), "no signal", false)
}

// TestQuitOfJVM: a real one prints what its threads are at, and goes on; so a person has it from kill, where dump has no word for it.
func TestQuitOfJVM(t *testing.T) {
	const jvm = "/usr/bin/rmiregistry" // a program that every Java has, and that waits
	_, err := os.Stat(jvm)
	agenttest.Require(t, "a JVM", err == nil, "Debian's package default-jre-headless")
	said := filepath.Join(t.TempDir(), "said")
	g := acttest.New(t, "a.service", "[Service]\nExecStart="+jvm+" 0\nStandardOutput=append:"+said+"\n")
	was := g.Up("a.service")
	agenttest.Eventually(t, func() bool {
		status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", was.MainPID))
		_, caught, _ := strings.Cut(string(status), "SigCgt:\t")
		mask, err := strconv.ParseUint(strings.SplitN(caught, "\n", 2)[0], 16, 64)
		return err == nil && mask&(1<<(unix.SIGQUIT-1)) != 0
	}, "it catches SIGQUIT")
	g.Must(acttest.Ask(remedy.Kill, "a.service", &remedy.KillArgs{Signal: "SIGQUIT"}))
	agenttest.Eventually(t, func() bool {
		text, _ := os.ReadFile(said)
		return strings.Contains(string(text), "Full thread dump") && strings.Contains(string(text), `"main"`)
	}, "it prints its threads")
	if u, _ := g.Watcher.Unit("a.service"); u.MainPID != was.MainPID || u.Active != "active" {
		t.Errorf("it became %+v", u)
	}
}

func TestHumanWins(t *testing.T) {
	g := acttest.New(t, "a.service", acttest.Sleeper, "b.service",
		acttest.ServiceOf("exit 1", "", "Restart=always\nRestartSec=60"))
	kinds := []remedy.Kind{remedy.Start, remedy.Restart, remedy.Stop, remedy.Reload, remedy.Kill}

	g.Up("a.service")
	g.Do("stop", "a.service")
	g.Down("a.service")
	for _, kind := range kinds {
		g.Refused(acttest.Ask(kind, "a.service"), "was stopped by a person", false)
	}
	byHand := acttest.Ask(remedy.Start, "a.service")
	byHand.ByPerson = true
	g.Must(byHand)

	g.Do("mask", "--runtime", "a.service")
	g.Do("daemon-reload") // on a booted machine mask does that itself
	g.Becomes("a.service", "masked", func(u systemd.Unit) bool { return u.Load == "masked" })
	for _, kind := range kinds {
		masked := acttest.Ask(kind, "a.service")
		masked.ByPerson = true
		g.Refused(masked, "is masked", false)
	}

	g.Do("start", "b.service")
	g.Becomes("b.service", "waiting for its restart", systemd.Unit.AutoRestart)
	g.Refused(acttest.Ask(remedy.Restart, "b.service"), "systemd itself is about to restart", true)
}

func TestJobInTheQueueIsLeftAlone(t *testing.T) {
	g := acttest.New(t, "a.service", acttest.Trapping(acttest.Lingers(80), "")) // longer than a machine stalls
	g.Up("a.service")
	q := acttest.Ask(remedy.Restart, "a.service")
	p, err := g.Runner.Prepare(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	g.Do("--no-block", "stop", "a.service")
	g.Becomes("a.service", "stopping", func(u systemd.Unit) bool { return u.Active == "deactivating" })
	if _, err := g.Runner.Run(t.Context(), p); err == nil || !strings.Contains(err.Error(), "deactivating") {
		t.Errorf("run beside a person's stop: %v", err)
	}
	// Even without a look, systemd itself refuses: mode "fail" replaces nobody's job.
	start := unit.Starter{Units: unit.New(&kind.Host{Systemd: g.Watcher})}
	if err := start.Act(t.Context(), &kind.Step{Request: acttest.Ask(remedy.Start, "a.service"), Target: "a.service"}); err == nil {
		t.Error("a start replaced a person's stop")
	}
	if u := g.Down("a.service"); u.Stopped != systemd.Person {
		t.Errorf("stopped by %q, want person", u.Stopped)
	}
}

func TestUnitFileRemovedWhileHealing(t *testing.T) {
	g := acttest.New(t, "a.service", acttest.Sleeper)
	g.Up("a.service")
	p, err := g.Runner.Prepare(t.Context(), acttest.Ask(remedy.Restart, "a.service"))
	if err != nil {
		t.Fatal(err)
	}
	if err := g.RemoveUnit("a.service"); err != nil {
		t.Fatal(err)
	}
	g.Becomes("a.service", "without a file", func(u systemd.Unit) bool { return u.Load == "not-found" })
	if _, err := g.Runner.Run(t.Context(), p); err == nil || !strings.Contains(err.Error(), "does not exist") {
		t.Errorf("run: %v", err)
	}
	if u, _ := g.Watcher.Unit("a.service"); u.Active != "active" {
		t.Errorf("the service is %s, want untouched", u.Active)
	}
}

func TestDragsNobodyAlong(t *testing.T) {
	dep := func(line string) string {
		return "[Unit]\nStartLimitIntervalSec=0\n" + line + acttest.Sleeper[len("[Unit]\nStartLimitIntervalSec=0\n"):]
	}
	for _, c := range []struct{ name, other, own, want string }{
		{"requires it", "Requires=a.service\n", "", "would take other.service along"},
		{"is bound to it", "BindsTo=a.service\n", "", "would take other.service along"},
		{"is part of it", "PartOf=a.service\n", "", "would take other.service along"},
		{"wants it", "Wants=a.service\n", "", ""},
		{"is required by it and down", "", "Requires=other.service\n", "needs other.service, which is down"},
		{"conflicts with it", "", "Conflicts=other.service\n", "would stop other.service"},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := acttest.New(t, "other.service", dep(c.other), "a.service", dep(c.own))
			g.Up("a.service")
			if c.own == "" {
				g.Up("other.service")
			} else if strings.HasPrefix(c.own, "Requires") {
				g.Do("kill", "-s", "KILL", "other.service")
				g.Down("other.service")
			} else {
				g.Do("start", "--job-mode=ignore-dependencies", "other.service")
				g.Becomes("other.service", "up", func(u systemd.Unit) bool { return u.Active == "active" })
			}
			if c.want != "" {
				g.Refused(acttest.Ask(remedy.Restart, "a.service"), c.want, false)
				g.Runner.SetAllow([]config.Allow{{Units: []string{"*.service"}, Actions: remedy.Names()}})
			}
			g.Must(acttest.Ask(remedy.Restart, "a.service"))
		})
	}
}

func TestNeverStartsWhatAPersonStopped(t *testing.T) {
	g := acttest.New(t, "b.service", acttest.Sleeper, "a.service",
		acttest.ServiceOf("sleep 1000", "Requires=b.service\nAfter=b.service", ""))
	g.Up("a.service")
	g.Do("stop", "b.service")
	if u := g.Down("a.service"); u.Stopped != systemd.Dependency {
		t.Errorf("a.service is stopped by %q, want dependency", u.Stopped)
	}
	// While b.service is on its way down the request is put off, never carried out.
	agenttest.Eventually(t, func() bool {
		_, err := g.Runner.Prepare(t.Context(), acttest.Ask(remedy.Start, "a.service"))
		var refusal *kind.Refusal
		return errors.As(err, &refusal) && !refusal.Temporary
	}, "a refusal for good")
	g.Refused(acttest.Ask(remedy.Start, "a.service"), "needs b.service, which was stopped by a person", false)
}

func TestStartLimitHit(t *testing.T) {
	g := acttest.New(t, "a.service", "[Unit]\nStartLimitIntervalSec=1h\nStartLimitBurst=2\n"+
		"[Service]\nExecStart=/bin/sleep 1000\n")
	crash := func() {
		g.Do("kill", "-s", "KILL", "a.service")
		g.Down("a.service")
	}
	g.Up("a.service")
	crash()
	g.Must(acttest.Ask(remedy.Start, "a.service"))
	crash()
	g.Must(acttest.Ask(remedy.Start, "a.service")) // the third start: it runs into the limit, is reset once, and starts
	crash()

	_, _ = g.Systemctl("start", "a.service")
	crash()
	if _, err := g.Systemctl("start", "a.service"); err == nil {
		t.Fatal("the limit does not hold")
	}
	g.Down("a.service")
	q := acttest.Ask(remedy.Start, "a.service")
	q.ResetFailed = true
	g.Must(q)
}

func TestProtectedUnits(t *testing.T) {
	g := acttest.New(t, "salve-agent.service", acttest.Sleeper, "a.service", acttest.Sleeper)
	g.Runner = g.NewRunner([]config.Allow{{Units: []string{"*"}, Actions: remedy.Names()}})
	g.Up("salve-agent.service")
	for _, name := range []string{"salve-agent.service", "dbus.socket", "init.scope"} {
		g.Refused(acttest.Ask(remedy.Restart, name), "is protected", false)
	}
}
