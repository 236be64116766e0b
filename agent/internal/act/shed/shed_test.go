package shed_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/salveops/salve/agent/agenttest"
	"github.com/salveops/salve/agent/internal/act/acttest"
	"github.com/salveops/salve/agent/internal/act/kind"
	"github.com/salveops/salve/agent/internal/act/shed"
	"github.com/salveops/salve/agent/internal/act/unit"
	"github.com/salveops/salve/agent/internal/systemd"
	"github.com/salveops/salve/pkg/config"
	"github.com/salveops/salve/pkg/incident"
	"github.com/salveops/salve/pkg/remedy"
)

// host has services that hold so many MiB each.
type host struct {
	*acttest.Rig
	args remedy.ShedArgs
	hog  string
}

func newHost(t *testing.T) *host {
	t.Helper()
	return hostOn(t, agenttest.Manager(t))
}

func hostOn(t *testing.T, m *agenttest.Systemd) *host {
	t.Helper()
	h := &host{hog: acttest.Script(t, "#!/bin/sh\nx=$(head -c $(($1 * 1048576)) /dev/zero | tr '\\0' x)\nsystemd-notify --ready\n"+
		"while :; do sleep 1000; done\n"), args: remedy.ShedArgs{
		Victims: []string{"report.service", "backup*.service"}, By: remedy.ByMemory, How: remedy.HowStop, For: 10 * time.Minute,
	}}
	h.Rig = acttest.NewOn(t, m, "")
	h.Runner.SetAllow(acttest.Everything("report.service", "backup*.service"))
	return h
}

// holds starts a service that holds so many MiB, with these lines in its [Unit] section.
func (h *host) holds(name string, mib int, lines string) {
	h.T.Helper()
	text := fmt.Sprintf("[Unit]\n%s\n[Service]\nType=notify\nNotifyAccess=all\nExecStart=%s %d\n", lines, h.hog, mib)
	if err := h.WriteUnit(name, text); err != nil {
		h.T.Fatal(err)
	}
	h.Do("start", name)
	h.Heard()
	agenttest.Eventually(h.T, func() bool {
		u, err := h.Watcher.Read(h.T.Context(), name)
		return err == nil && u.Active == "active" && u.ControlGroup != "" && h.Watcher.Active(name) == "active" && !h.Watcher.Queued(name)
	}, name+" runs")
}

// env is a host for the kind alone, on which all is allowed and nothing was done so far.
func (h *host) env() *kind.Host {
	return &kind.Host{Systemd: h.Watcher, Clock: acttest.Clock(h.T), Allowed: func(remedy.Kind, string) bool { return true },
		InForce: func(remedy.Kind, string) (bool, error) { return false, nil }}
}

func (h *host) shed() kind.Request {
	args := h.args
	return acttest.Ask(remedy.Shed, "", &args)
}

// active checks in which state each of "NAME STATE" is.
func (h *host) active(want ...string) {
	h.T.Helper()
	for _, w := range want {
		name, state, _ := strings.Cut(w, " ")
		if got, err := h.Property(name, "ActiveState"); err != nil || got != state {
			h.T.Errorf("%s is %s, want %s (%v)", name, got, state, err)
		}
	}
}

// Of the declared ones, the one that holds most is stopped, and only that; it comes back when its time is over, also if
// the agent that stopped it is dead then.
func TestMostMemory(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.holds("report.service", 4, "")
	h.holds("backup-a.service", 16, "")
	h.holds("shop.service", 32, "") // nobody declared it
	h.args.For = time.Second
	p, err := h.Runner.Prepare(t.Context(), h.shed())
	if err != nil || p.Target != "backup-a.service" || !p.Disruptive || len(p.Detail) != 2 ||
		!strings.HasPrefix(p.Text, "stop backup-a.service for 1s, since backup-a.service holds 1") ||
		!strings.Contains(p.Text, " MiB, report.service ") {
		t.Fatalf("plan %q, %v, %v", p.Text, p.Detail, err)
	}
	h.active("backup-a.service active") // a plan changes nothing
	q := h.shed()
	a := h.Must(q)
	h.active("backup-a.service inactive", "report.service active", "shop.service active")
	if !strings.Contains(string(a.Before), "backup-a.service holds 1") || a.For != time.Second {
		t.Errorf("evidence %s, for %s", a.Before, a.For)
	}
	if _, err := h.Run(q); err == nil { // double-run: it would be the next one's turn
		t.Error("it ran twice")
	}
	h.active("report.service active")

	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- h.NewRunner(acttest.Everything("backup*.service")).Serve(ctx) }()
	agenttest.Eventually(t, func() bool {
		a, err := h.Journal.Attempt(a.ID)
		return err == nil && a.Phase == incident.Undone
	}, "it is taken back")
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	h.active("backup-a.service active", "report.service active", "shop.service active")
}

// By the CPU that is taken now; and what became of it meanwhile is asked again before it is done.
func TestMostCPU(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.args.By = remedy.ByCPU
	if err := h.WriteUnit("backup.service", acttest.ServiceOf("while :; do :; done", "", "")); err != nil {
		t.Fatal(err)
	}
	h.holds("report.service", 16, "")
	h.Refused(h.shed(), "no cpu is known to be used by any victim: report.service  0 % of a CPU", false)
	h.Do("start", "backup.service")
	agenttest.Eventually(t, func() bool {
		p, err := h.Runner.Prepare(t.Context(), h.shed())
		return err == nil && strings.HasPrefix(p.Text, "stop backup.service for 10m0s, since backup.service takes ") &&
			strings.HasSuffix(p.Text, " of a CPU, report.service 0 % of a CPU")
	}, "the one that is busy is chosen")
	p, err := h.Runner.Prepare(t.Context(), h.shed())
	if err != nil {
		t.Fatal(err)
	}
	h.Do("stop", "backup.service")
	if a, err := h.Runner.Run(t.Context(), p); err == nil {
		t.Errorf("it ran on %s", a.Target)
	}
	h.active("report.service active")
}

// A throttle is a limit of set_property, and is taken back as one.
func TestThrottle(t *testing.T) {
	t.Parallel()
	g, _ := acttest.Running(t, acttest.ServiceOf("while :; do :; done", "", ""))
	g.RequireLimit(map[string]string{"CPUQuota": "50%"})
	a := g.Must(acttest.Ask(remedy.Shed, "", &remedy.ShedArgs{Victims: []string{"b.service", "a.service"}, By: remedy.ByCPU,
		How: remedy.HowThrottle, Limit: "10%", For: time.Minute}))
	if got, _ := g.Property("a.service", "CPUQuotaPerSecUSec"); got != "100ms" || a.For != time.Minute {
		t.Errorf("the quota is %s, for %s", got, a.For)
	}
	// What another remedy set now would go with the throttle, and its own undo would make the throttle last.
	q := acttest.SetProperty("a.service", map[string]string{"CPUQuota": "50%"})
	g.Refused(q, "is shed for a time", false)
	if _, err := g.Runner.Undo(t.Context(), a.ID); err != nil {
		t.Error(err)
	}
	a = g.Must(q)
	if _, err := g.Runner.Undo(t.Context(), a.ID); err != nil {
		t.Error(err)
	}
	if got, _ := g.Property("a.service", "CPUQuotaPerSecUSec"); got != "infinity" {
		t.Errorf("the quota after the undo is %s", got)
	}
}

// One that is frozen keeps what it holds, so that it is still the one that holds most: the next time it is another's turn.
// Each goes on when its time is over, also if the agent is dead then, and not because a person thawed one.
func TestFreeze(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat("/sys/fs/cgroup/cgroup.controllers"); err != nil { // this host has both versions
		h := newHost(t)
		h.args.How = remedy.HowFreeze
		h.holds("report.service", 4, "")
		h.Refused(h.shed(), "version 1 of control groups", false)
	}
	h := hostOn(t, agenttest.ManagerOf(t, agenttest.Options{Unified: true}))
	h.args.How, h.args.For = remedy.HowFreeze, time.Minute
	h.holds("report.service", 4, "")
	h.holds("backup-a.service", 16, "")
	is := func(want ...string) {
		t.Helper()
		for i, unit := range []string{"backup-a.service", "report.service"} {
			if got, err := h.Property(unit, "FreezerState"); err != nil || got != want[i] {
				t.Errorf("%s is %s, want %s (%v)", unit, got, want[i], err)
			}
		}
	}
	env := h.env()
	k := shed.New(env, unit.New(env))
	_, staged := acttest.Stage(t, k, h.shed())
	settles := func(want incident.Phase) {
		t.Helper()
		if phase, why := k.Settle(t.Context(), staged); phase != want {
			t.Errorf("%s, %s; want %s", phase, why, want)
		}
	}
	settles(incident.NotDone)
	first := h.Must(h.shed())
	is("frozen", "running")
	settles(incident.Acted)
	second := h.Must(h.shed())
	is("frozen", "frozen")
	if first.Target != "backup-a.service" || second.Target != "report.service" || first.For != time.Minute {
		t.Errorf("%+v, then %+v", first, second)
	}
	h.Refused(h.shed(), "has suffered already", true)

	h.Do("thaw", "report.service") // by a person, who starts it anew and freezes that
	h.Do("restart", "report.service")
	h.Do("freeze", "report.service")
	for _, a := range []incident.Attempt{first, second} {
		for range 2 {
			if undone, err := h.NewRunner(acttest.Everything("report.service", "backup*.service")).Undo(t.Context(), a.ID); err != nil ||
				undone.Phase != incident.Undone {
				t.Errorf("%+v, %v", undone, err)
			}
		}
	}
	is("running", "frozen")
	h.args.Victims = []string{"report.service"}
	h.Refused(h.shed(), "report.service is frozen already", false)
	h.Do("thaw", "report.service")
	h.Do("stop", "report.service")
	h.holds("report.service", 4, "[Service]\nWatchdogSec=1h")
	h.Refused(h.shed(), "has a watchdog", false)
}

// Who is spared: the alert's own unit and service, what is not allowed or protected, and what others need.
func TestSpared(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.holds("report.service", 1, "")
	h.holds("backup-a.service", 8, "")
	chosen := func(why string, q kind.Request, want string) {
		t.Helper()
		p, err := h.Runner.Prepare(t.Context(), q)
		if err != nil || p.Target != want {
			t.Errorf("%s: %q, %v", why, p.Target, err)
		}
	}
	chosen("nobody", h.shed(), "backup-a.service")
	q := h.shed()
	q.Unit = "backup-a.service"
	chosen("the alert's unit", q, "report.service")
	q = h.shed()
	q.Remedy.Service = &config.Service{Name: "backup", Unit: "backup-*.service"}
	chosen("the own service", q, "report.service")

	env := h.env()
	k := shed.New(env, unit.New(env))
	first, err := k.Target(t.Context(), h.shed())
	if err != nil {
		t.Fatal(err)
	}
	if other, err := k.Target(t.Context(), q); err != nil || other == first { // comes in between
		t.Errorf("%s, %v", other, err)
	}
	step := &kind.Step{Request: h.shed(), Target: first}
	if err := k.Precheck(t.Context(), step); err != nil || !strings.Contains(k.Describe(step), "since backup-a.service holds") {
		t.Errorf("%v, %s", err, k.Describe(step))
	}

	h.Runner.SetAllow(acttest.Everything("report.service"))
	chosen("not allowed", h.shed(), "report.service")
	h.Runner.SetAllow([]config.Allow{{Units: []string{"backup-a.service", "report.service"}, Actions: []string{"stop"}}})
	h.Refused(h.shed(), "that an allow block permits shed on", false)

	h.Runner.SetAllow(acttest.Everything("*.service"))
	h.args.Victims = append(h.args.Victims, "salve-agent.service")
	h.holds("salve-agent.service", 16, "")
	chosen("protected", h.shed(), "backup-a.service")

	h.Runner.SetAllow(acttest.Everything("report.service", "backup*.service"))
	h.holds("shop.service", 1, "Requires=backup-a.service")
	chosen("needed", h.shed(), "report.service")
	p, err := h.Runner.Prepare(t.Context(), h.shed())
	if err != nil || !strings.Contains(strings.Join(p.Detail, "\n"), "MiB, but stop on backup-a.service would take shop.service along") {
		t.Errorf("detail %q, %v", p.Detail, err)
	}
	h.args.Victims = []string{"backup*.service"}
	h.Refused(h.shed(), "would take shop.service along", false)
}

// The plan of a shed tells what a stop takes along.
func TestPlanOfAStop(t *testing.T) {
	t.Parallel()
	g := acttest.New(t, "a.service", acttest.Sleeper, "part.service", strings.Replace(acttest.Sleeper, "[Unit]\n", "[Unit]\nPartOf=a.service\n", 1))
	g.Up("a.service")
	g.Up("part.service")
	g.Runner.SetAllow(acttest.Everything("*.service"))
	p, err := g.Runner.Prepare(t.Context(), acttest.Ask(remedy.Shed, "", &remedy.ShedArgs{Victims: []string{"a.service"},
		By: remedy.ByMemory, How: remedy.HowStop, For: time.Hour}))
	if err != nil || !strings.HasPrefix(p.Text, "stop a.service, and with it part.service for 1h0m0s, since a.service holds ") {
		t.Errorf("%q, %v", p.Text, err)
	}
}

// What is not taken back for good, because a person had his hand in it, is no reason to spare the unit.
func TestStaysIsOver(t *testing.T) {
	t.Parallel()
	g := acttest.New(t, "a.service", acttest.Sleeper)
	shed := func() kind.Request {
		return acttest.Ask(remedy.Shed, "", &remedy.ShedArgs{Victims: []string{"a.service"}, By: remedy.ByMemory, How: remedy.HowStop,
			For: time.Hour})
	}
	g.Up("a.service")
	a := g.Must(shed())
	g.Up("a.service")
	g.Refused(shed(), "has suffered already", true)
	g.Do("stop", "a.service")
	g.Becomes("a.service", "stopped by hand", func(u systemd.Unit) bool { return u.Stopped == systemd.Person })
	if undone, err := g.Runner.Undo(t.Context(), a.ID); err == nil || !strings.Contains(undone.Stays, "by a person meanwhile") {
		t.Fatalf("undo: %q, %v", undone.Stays, err)
	}
	g.Up("a.service")
	g.Must(shed())
}

// empty-means-all: no victim is nobody.
func TestNothingNamed(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.holds("report.service", 1, "")
	for _, victims := range [][]string{nil, {""}, {"nobody*.service"}} {
		h.args.Victims = victims
		h.Refused(h.shed(), "runs that an allow block permits shed on", false)
	}
	h.active("report.service active")
}

// dies-in-the-middle.
func TestSettle(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.holds("report.service", 1, "")
	env := h.env()
	k := shed.New(env, unit.New(env))
	_, a := acttest.Stage(t, k, h.shed())
	if phase, why := k.Settle(t.Context(), a); phase != incident.NotDone {
		t.Errorf("before: %s, %s", phase, why)
	}
	h.Do("stop", "report.service")
	if phase, why := k.Settle(t.Context(), a); phase != incident.Acted {
		t.Errorf("after: %s, %s", phase, why)
	}
	if err := k.Undo(t.Context(), a); err != nil {
		t.Error(err)
	}
	h.active("report.service active")
	for _, undo := range []string{"", "{}"} {
		a.Undo = []byte(undo)
		if phase, why := k.Settle(t.Context(), a); phase != incident.Unknown || k.Undo(t.Context(), a) == nil {
			t.Errorf("without a record: %s, %s", phase, why)
		}
	}
}
