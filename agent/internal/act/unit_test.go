package act

import (
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/salveops/salve/agent/agenttest"
	"github.com/salveops/salve/agent/internal/order"
	"github.com/salveops/salve/agent/internal/systemd"
	"github.com/salveops/salve/pkg/config"
	"github.com/salveops/salve/pkg/incident"
	"github.com/salveops/salve/pkg/remedy"
)

func TestStartAfterCrash(t *testing.T) {
	g := newRig(t, "a.service", sleeper)
	was := g.up("a.service")
	g.do("kill", "-s", "KILL", "a.service")
	g.down("a.service")
	p, err := g.runner.Prepare(t.Context(), ask(remedy.Start, "a.service"))
	if err != nil {
		t.Fatal(err)
	}
	if p.Disruptive || p.Target != "a.service" || p.Text != "start a.service" {
		t.Errorf("plan %+v: starting a dead unit takes nothing away", p)
	}
	a := g.must(ask(remedy.Start, "a.service"))
	var before, after unitEvidence
	if json.Unmarshal(a.Before, &before) != nil || json.Unmarshal(a.After, &after) != nil {
		t.Fatalf("evidence: %s, %s", a.Before, a.After)
	}
	if before.InvocationID != was.InvocationID || before.Active != "failed" {
		t.Errorf("evidence from before: %+v", before)
	}
	if after.InvocationID == was.InvocationID || after.Active != "active" || after.MainPID <= 1 || after.Started == 0 {
		t.Errorf("evidence from after: %+v", after)
	}
	g.refused(ask(remedy.Start, "a.service"), "is active already", false)
	var needless *Refusal
	if _, err := g.runner.Prepare(t.Context(), ask(remedy.Start, "a.service")); !errors.As(err, &needless) || !needless.Needless {
		t.Errorf("nothing but the state stands in the way: %v", err)
	}
}

func TestRestartOfAHungService(t *testing.T) {
	g := newRig(t, "a.service", sleeper+"TimeoutStopSec=200ms\n")
	was := g.up("a.service")
	g.do("kill", "-s", "STOP", "a.service")
	p, err := g.runner.Prepare(t.Context(), ask(remedy.Restart, "a.service"))
	if err != nil || !p.Disruptive {
		t.Fatalf("plan %+v, %v: a hung service still has a main process", p, err)
	}
	g.must(ask(remedy.Restart, "a.service"))
	if u, _ := g.watcher.Unit("a.service"); u.Active != "active" || u.InvocationID == was.InvocationID {
		t.Errorf("after the restart: %+v", u)
	}
}

func TestStopAndUndo(t *testing.T) {
	g := newRig(t, "a.service", sleeper)
	g.up("a.service")
	a := g.must(ask(remedy.Stop, "a.service"))
	if u := g.down("a.service"); u.Stopped != systemd.Salve {
		t.Errorf("stopped by %q, want salve", u.Stopped)
	}
	for range 2 { // the second changes nothing
		undone, err := g.runner.Undo(t.Context(), a.ID)
		if err != nil || undone.Phase != incident.Undone {
			t.Fatalf("undo: %+v, %v", undone, err)
		}
	}
	g.becomes("a.service", "up again", func(u systemd.Unit) bool { return u.Active == "active" })

	a = g.must(ask(remedy.Stop, "a.service"))
	g.do("start", "a.service")
	g.do("stop", "a.service")
	g.becomes("a.service", "stopped by hand", func(u systemd.Unit) bool { return u.Stopped == systemd.Person })
	_, err := g.runner.Undo(t.Context(), a.ID)
	if err == nil || !strings.Contains(err.Error(), "by a person meanwhile") {
		t.Errorf("undo against a person: %v", err)
	}
}

func TestReload(t *testing.T) {
	g := newRig(t,
		"a.service", sleeper+"ExecReload=/bin/sh -c 'echo x > /dev/null'\n",
		"b.service", sleeper)
	g.refused(ask(remedy.Reload, "a.service"), "stopped by a person", false)
	was := g.up("a.service")
	g.up("b.service")
	g.must(ask(remedy.Reload, "a.service"))
	if u, _ := g.watcher.Unit("a.service"); u.InvocationID != was.InvocationID {
		t.Error("a reload must not replace the unit")
	}
	g.refused(ask(remedy.Reload, "b.service"), "no ExecReload", false)
}

func TestKill(t *testing.T) {
	g := newRig(t, "a.service", sleeper, "b.service", lasting)
	was := g.up("a.service")
	a := g.must(ask(remedy.Kill, "a.service"))
	if !strings.Contains(string(a.Before), strconv.Itoa(was.MainPID)) {
		t.Errorf("evidence from before: %s", a.Before)
	}
	if u := g.down("a.service"); u.Result != "signal" || u.Stopped != systemd.Itself {
		t.Errorf("after the signal: %+v", u)
	}
	g.refused(ask(remedy.Kill, "a.service"), "nothing to send a signal to", false)
	g.up("b.service") // active without any process: 0 must never become kill(0)
	g.refused(ask(remedy.Kill, "b.service"), "no main process", false)
	g.up("a.service")
	all := ask(remedy.Kill, "a.service", func(a *remedy.Args) { a.Whom, a.Signal = "all", "SIGTERM" })
	g.must(all)
	g.down("a.service")
	g.up("a.service")
	g.refused(ask(remedy.Kill, "a.service", func(a *remedy.Args) { a.Signal = "SIGNONE" }), "no signal", false)
}

func TestHumanWins(t *testing.T) {
	g := newRig(t, "a.service", sleeper, "b.service",
		serviceOf("exit 1", "", "Restart=always\nRestartSec=60"))
	kinds := []remedy.Kind{remedy.Start, remedy.Restart, remedy.Stop, remedy.Reload, remedy.Kill}

	g.up("a.service")
	g.do("stop", "a.service")
	g.down("a.service")
	for _, kind := range kinds {
		g.refused(ask(kind, "a.service"), "was stopped by a person", false)
	}
	byHand := ask(remedy.Start, "a.service")
	byHand.ByPerson = true
	g.must(byHand)

	g.do("mask", "--runtime", "a.service")
	g.do("daemon-reload") // on a booted machine mask does that itself
	g.becomes("a.service", "masked", func(u systemd.Unit) bool { return u.Load == "masked" })
	for _, kind := range kinds {
		masked := ask(kind, "a.service")
		masked.ByPerson = true
		g.refused(masked, "is masked", false)
	}

	g.do("start", "b.service")
	g.becomes("b.service", "waiting for its restart", systemd.Unit.AutoRestart)
	g.refused(ask(remedy.Restart, "b.service"), "systemd itself is about to restart", true)
}

func TestJobInTheQueueIsLeftAlone(t *testing.T) {
	g := newRig(t, "a.service", trapping(lingers(80), "")) // longer than a machine stalls
	g.up("a.service")
	q := ask(remedy.Restart, "a.service")
	p, err := g.runner.Prepare(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	g.do("--no-block", "stop", "a.service")
	g.becomes("a.service", "stopping", func(u systemd.Unit) bool { return u.Active == "deactivating" })
	if _, err := g.runner.Run(t.Context(), p); err == nil || !strings.Contains(err.Error(), "deactivating") {
		t.Errorf("run beside a person's stop: %v", err)
	}
	// Even without a look, systemd itself refuses: mode "fail" replaces nobody's job.
	if err := g.runner.job(t.Context(), "a.service", order.Start); err == nil {
		t.Error("a start replaced a person's stop")
	}
	if u := g.down("a.service"); u.Stopped != systemd.Person {
		t.Errorf("stopped by %q, want person", u.Stopped)
	}
}

func TestUnitFileRemovedWhileHealing(t *testing.T) {
	g := newRig(t, "a.service", sleeper)
	g.up("a.service")
	p, err := g.runner.Prepare(t.Context(), ask(remedy.Restart, "a.service"))
	if err != nil {
		t.Fatal(err)
	}
	if err := g.RemoveUnit("a.service"); err != nil {
		t.Fatal(err)
	}
	g.becomes("a.service", "without a file", func(u systemd.Unit) bool { return u.Load == "not-found" })
	if _, err := g.runner.Run(t.Context(), p); err == nil || !strings.Contains(err.Error(), "does not exist") {
		t.Errorf("run: %v", err)
	}
	if u, _ := g.watcher.Unit("a.service"); u.Active != "active" {
		t.Errorf("the service is %s, want untouched", u.Active)
	}
}

func TestDragsNobodyAlong(t *testing.T) {
	dep := func(line string) string {
		return "[Unit]\nStartLimitIntervalSec=0\n" + line + sleeper[len("[Unit]\nStartLimitIntervalSec=0\n"):]
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
			g := newRig(t, "other.service", dep(c.other), "a.service", dep(c.own))
			g.up("a.service")
			if c.own == "" {
				g.up("other.service")
			} else if strings.HasPrefix(c.own, "Requires") {
				g.do("kill", "-s", "KILL", "other.service")
				g.down("other.service")
			} else {
				g.do("start", "--job-mode=ignore-dependencies", "other.service")
				g.becomes("other.service", "up", func(u systemd.Unit) bool { return u.Active == "active" })
			}
			if c.want != "" {
				g.refused(ask(remedy.Restart, "a.service"), c.want, false)
				g.runner.SetAllow([]config.Allow{{Units: []string{"*.service"}, Actions: remedy.Names()}})
			}
			g.must(ask(remedy.Restart, "a.service"))
		})
	}
}

func TestNeverStartsWhatAPersonStopped(t *testing.T) {
	g := newRig(t, "b.service", sleeper, "a.service",
		serviceOf("sleep 1000", "Requires=b.service\nAfter=b.service", ""))
	g.up("a.service")
	g.do("stop", "b.service")
	if u := g.down("a.service"); u.Stopped != systemd.Dependency {
		t.Errorf("a.service is stopped by %q, want dependency", u.Stopped)
	}
	// While b.service is on its way down the request is put off, never carried out.
	agenttest.Eventually(t, 5*time.Second, func() bool {
		_, err := g.runner.Prepare(t.Context(), ask(remedy.Start, "a.service"))
		var refusal *Refusal
		return errors.As(err, &refusal) && !refusal.Temporary
	}, "a refusal for good")
	g.refused(ask(remedy.Start, "a.service"), "needs b.service, which was stopped by a person", false)
}

func TestStartLimitHit(t *testing.T) {
	g := newRig(t, "a.service", "[Unit]\nStartLimitIntervalSec=1h\nStartLimitBurst=2\n"+
		"[Service]\nExecStart=/bin/sleep 1000\n")
	crash := func() {
		g.do("kill", "-s", "KILL", "a.service")
		g.down("a.service")
	}
	g.up("a.service")
	crash()
	g.must(ask(remedy.Start, "a.service"))
	crash()
	g.must(ask(remedy.Start, "a.service")) // the third start: it runs into the limit, is reset once, and starts
	crash()

	_, _ = g.Systemctl("start", "a.service")
	crash()
	if _, err := g.Systemctl("start", "a.service"); err == nil {
		t.Fatal("the limit does not hold")
	}
	g.down("a.service")
	q := ask(remedy.Start, "a.service")
	q.ResetFailed = true
	g.must(q)
}

func TestProtectedUnits(t *testing.T) {
	g := newRig(t, "salve-agent.service", sleeper, "a.service", sleeper)
	g.runner = g.newRunner([]config.Allow{{Units: []string{"*"}, Actions: remedy.Names()}})
	g.up("salve-agent.service")
	for _, name := range []string{"salve-agent.service", "dbus.socket", "init.scope"} {
		g.refused(ask(remedy.Restart, name), "is protected", false)
	}
	g.up("a.service")
	u := g.becomes("a.service", "in a control group", func(u systemd.Unit) bool { return u.ControlGroup != "" })
	g.runner.own = u.ControlGroup // as if this process ran in it
	g.refused(ask(remedy.Restart, "a.service"), "this agent runs in it", false)
	slice := u.ControlGroup[:strings.LastIndex(u.ControlGroup, "/")]
	if !inside(u.ControlGroup, slice) || inside(slice, u.ControlGroup) || inside("/x", "") || inside("/ab", "/a") {
		t.Error("inside is wrong about groups")
	}
}
