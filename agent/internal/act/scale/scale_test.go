package scale_test

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/salveops/salve/agent/agenttest"
	"github.com/salveops/salve/agent/internal/act/acttest"
	"github.com/salveops/salve/agent/internal/act/kind"
	"github.com/salveops/salve/agent/internal/act/scale"
	"github.com/salveops/salve/agent/internal/act/unit"
	"github.com/salveops/salve/agent/internal/systemd"
	"github.com/salveops/salve/pkg/config"
	"github.com/salveops/salve/pkg/incident"
	"github.com/salveops/salve/pkg/remedy"
)

// wait is how long systemd may take to tell something.
const wait = acttest.Patience

// fleet is a template of workers on a manager of its own, with the instances that run at first.
type fleet struct {
	*acttest.Rig
	args *remedy.ScaleArgs
}

func newFleet(t *testing.T, text string, running ...int) *fleet {
	t.Helper()
	g := acttest.New(t, "worker@.service", text, "other.service", acttest.Sleeper)
	g.Watcher.Watch([]string{"worker@*.service", "other.service"})
	f := &fleet{g, &remedy.ScaleArgs{Unit: "worker@.service", Count: remedy.Count{Min: 1, Max: 5}}}
	for _, n := range running {
		f.Up(f.args.Instance(n))
	}
	return f
}

// kind is one without a runner, which may do everything.
func (f *fleet) kind() scale.Kind {
	host := &kind.Host{Systemd: f.Watcher, Allowed: func(remedy.Kind, string) bool { return true }}
	return scale.New(host, unit.New(host))
}

func (f *fleet) by(n int) kind.Request {
	args := *f.args
	args.By = n
	return acttest.Ask(remedy.Scale, "", &args)
}

func (f *fleet) to(n int) kind.Request {
	args := *f.args
	args.To = n
	return acttest.Ask(remedy.Scale, "", &args)
}

// run checks which instances run, also of other names.
func (f *fleet) run(want ...string) {
	f.T.Helper()
	out, err := f.Systemctl("list-units", "--no-legend", "--plain", "--state=active", "worker@*.service")
	if err != nil {
		f.T.Fatal(err)
	}
	var got []string
	for line := range strings.Lines(out) {
		name, _, _ := strings.Cut(line, " ")
		got = append(got, strings.TrimSuffix(strings.TrimPrefix(name, "worker@"), ".service"))
	}
	if slices.Sort(got); !slices.Equal(got, want) {
		f.T.Errorf("running are %v, want %v", got, want)
	}
}

// invocations of units tell whether they were touched.
func (f *fleet) invocations(units ...string) string {
	f.T.Helper()
	var all []string
	for _, u := range units {
		id, err := f.Property(u, "InvocationID")
		if err != nil || id == "" {
			f.T.Fatalf("%s: %q, %v", u, id, err)
		}
		all = append(all, id)
	}
	return strings.Join(all, " ")
}

func (f *fleet) undo(a incident.Attempt) {
	f.T.Helper()
	for range 2 { // what is taken back is taken back
		if undone, err := f.Runner.Undo(f.T.Context(), a.ID); err != nil || undone.Phase != incident.Undone {
			f.T.Fatalf("undo: %s, %v", undone.Phase, err)
		}
	}
}

// stopped waits until a stop by hand is known.
func (f *fleet) stopped(unit string) {
	f.T.Helper()
	f.Do("stop", unit)
	f.Heard()
	agenttest.Eventually(f.T, func() bool { return f.Watcher.StoppedByPerson(unit) }, unit+" is known to be stopped")
}

func TestUp(t *testing.T) {
	t.Parallel()
	f := newFleet(t, acttest.Sleeper, 1, 3)
	f.Up("worker@01.service")
	f.Up("worker@mail.service")
	f.Up("other.service")
	before := f.invocations("worker@1.service", "worker@3.service", "worker@mail.service", "other.service")
	p, err := f.Runner.Prepare(t.Context(), f.by(2))
	if err != nil || p.Disruptive || p.Target != "worker@.service" ||
		p.Text != "start worker@2.service, worker@4.service (2 of at most 5 run)" || len(p.Detail) != 2 {
		t.Fatalf("plan %+v, %v", p, err)
	}
	f.run("01", "1", "3", "mail") // a plan changes nothing
	a := f.Must(f.by(2))
	f.run("01", "1", "2", "3", "4", "mail")
	if string(a.Before) != `{"running":[1,3]}` || string(a.After) != `{"running":[1,2,3,4]}` {
		t.Errorf("evidence %s, %s", a.Before, a.After)
	}
	f.undo(a)
	f.run("01", "1", "3", "mail")
	if after := f.invocations("worker@1.service", "worker@3.service", "worker@mail.service", "other.service"); after != before {
		t.Error("others were touched")
	}
}

func TestDown(t *testing.T) {
	t.Parallel()
	f := newFleet(t, acttest.Sleeper, 1, 2, 3, 5)
	before := f.invocations("worker@1.service", "worker@2.service")
	p, err := f.Runner.Prepare(t.Context(), f.by(-2))
	if err != nil || !p.Disruptive || p.Text != "stop worker@5.service, worker@3.service (4 of at most 5 run)" {
		t.Fatalf("plan %+v, %v", p, err)
	}
	a := f.Must(f.by(-2))
	f.run("1", "2")
	f.Up("worker@4.service") // by a person, meanwhile
	f.undo(a)
	f.run("1", "2", "3", "4", "5") // the set that ran, and what a person did; no count
	if after := f.invocations("worker@1.service", "worker@2.service"); after != before {
		t.Error("others were touched")
	}
}

func TestBounds(t *testing.T) {
	t.Parallel()
	f := newFleet(t, acttest.Sleeper, 1, 2)
	f.args.Max = 3
	f.Must(f.by(7))
	f.run("1", "2", "3")
	f.Refused(f.by(1), "3 instances of worker@.service run, and at most 3 may", false)
	f.args.Max = 2 // meanwhile more run than may: nobody asked to stop them
	f.Refused(f.by(1), "at most 2 may", false)
	f.run("1", "2", "3")
	f.args.Max, f.args.Min = 5, 2
	f.Must(f.by(-7))
	f.run("1", "2")
	f.Refused(f.by(-1), "at least 2 must", false)
	f.Must(f.to(4))
	f.Refused(f.to(4), "4 instances of worker@.service run already", false)
	f.Must(f.to(3))
	f.run("1", "2", "3")
}

// Who is told to stop begins with no further instance, and what was begun can be taken back.
func TestHalt(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	pre := "[Service]\nExecStartPre=/bin/sh -c 'touch " + dir + "/began-%i; until [ -e " + dir + "/go -o %i = 1 ]; do sleep 0.02; done'\n"
	f := newFleet(t, strings.Replace(acttest.Sleeper, "[Service]\n", pre, 1), 1)
	p, err := f.Runner.Prepare(t.Context(), f.by(3))
	if err != nil {
		t.Fatal(err)
	}
	halt := make(chan struct{})
	p.Halt = halt
	go func() {
		defer func() {
			close(halt)
			if err := os.WriteFile(dir+"/go", nil, 0o600); err != nil {
				t.Error(err)
			}
		}()
		agenttest.Eventually(t, func() bool { _, err := os.Stat(dir + "/began-2"); return err == nil }, "the first begins")
	}()
	a, err := f.Runner.Run(t.Context(), p)
	if err != nil || !strings.Contains(a.Error, "after 1 of 3: it was told to stop: no further part began") {
		t.Fatalf("%q, %v", a.Error, err)
	}
	f.undo(a)
	f.run("1")
}

// human-wins: what a person stopped or masked is not missing, also when systemd has forgotten the instance.
func TestPeopleWin(t *testing.T) {
	t.Parallel()
	f := newFleet(t, acttest.Sleeper, 1, 2, 3)
	f.stopped("worker@2.service")
	agenttest.Eventually(t, func() bool {
		_, known := f.Watcher.Unit("worker@2.service")
		return !known
	}, "systemd has forgotten it")
	f.Do("mask", "--runtime", "worker@4.service")
	f.Do("daemon-reload")
	a := f.Must(f.by(1))
	f.run("1", "3", "5")
	f.stopped("worker@5.service")
	f.undo(a)
	f.run("1", "3")
	f.Refused(f.by(1), "those that are down are masked, or were stopped by a person", false)

	f.Up("worker@2.service") // and started it again: it is one like the others
	down := f.Must(f.by(-1))
	f.run("1", "2")
	f.Must(f.to(3))
	f.run("1", "2", "3")
	f.stopped("worker@3.service")
	f.undo(down)
	f.run("1", "2")
}

// While one is on its way nobody knows how many there are.
func TestOnTheWay(t *testing.T) {
	t.Parallel()
	f := newFleet(t, acttest.Trapping(acttest.Lingers(80), ""), 1, 2)
	f.Do("--no-block", "stop", "worker@2.service")
	f.Becomes("worker@2.service", "stopping", func(u systemd.Unit) bool { return u.Active == "deactivating" })
	f.Refused(f.by(1), "worker@2.service is starting or stopping", true)
	f.Do("kill", "-s", "KILL", "worker@1.service", "worker@2.service") // they would hold up the end
}

// What an instance needs is not started against a person's will either, nor without leave.
func TestDragsNobodyAlong(t *testing.T) {
	t.Parallel()
	f := newFleet(t, strings.Replace(acttest.Sleeper, "[Unit]\n", "[Unit]\nRequires=other.service\nAfter=other.service\n", 1), 1)
	f.Do("kill", "-s", "KILL", "other.service")
	f.Down("other.service")
	f.Refused(f.by(1), "other.service, which is down", false)
	f.Runner.SetAllow(acttest.Everything("other.service"))
	f.Up("other.service")
	f.Do("stop", "other.service")
	f.Down("other.service")
	f.Refused(f.by(1), "other.service, which was stopped by a person", false)
}

func TestAllowedOneByOne(t *testing.T) {
	t.Parallel()
	f := newFleet(t, acttest.Sleeper, 1)
	f.Runner.SetAllow([]config.Allow{{Units: []string{"worker@.service", "worker@[1-2].service"}, Actions: []string{"scale"}}})
	f.Refused(f.by(2), "permits scale on worker@3.service", false)
	f.run("1")
	f.Runner.SetAllow([]config.Allow{{Units: []string{"worker@*.service"}, Actions: []string{"start"}}})
	f.Refused(f.by(1), "permits scale on worker@.service", false)
}

// An instance that does not come up ends it; those before it are taken back by name.
func TestHalfDone(t *testing.T) {
	t.Parallel()
	f := newFleet(t, acttest.ServiceOf("[ %i != 3 ] && systemd-notify --ready && sleep 1000", "", "Type=notify\nNotifyAccess=all"), 1)
	q := f.by(3)
	a, err := f.Run(q)
	if err != nil || !strings.Contains(a.Error, "start worker@3.service, after 1 of 3") {
		t.Fatalf("%+v, %v", a, err)
	}
	f.run("1", "2")
	f.Up("worker@4.service")                                                             // by a person: it was not begun
	if _, err := f.Run(q); err == nil || !strings.Contains(err.Error(), "ran already") { // double-run
		t.Errorf("a second run: %v", err)
	}
	f.undo(a)
	f.run("1", "4")
}

// What ended as soon as it was started is not up, whatever systemd says of the job.
func TestShortLife(t *testing.T) {
	t.Parallel()
	f := newFleet(t, "[Service]\nType=oneshot\nExecStart=/bin/true\n")
	a, err := f.Run(f.to(2))
	if err != nil || !strings.Contains(a.Error, "worker@1.service, after 0 of 2: it was started, and is inactive") {
		t.Errorf("%+v, %v", a, err)
	}
}

// dies-in-the-middle: the recorded instances tell what became of it, and are taken back by name.
func TestSettle(t *testing.T) {
	t.Parallel()
	f := newFleet(t, acttest.Sleeper, 1, 2)
	k := f.kind()
	settles := func(of *incident.Attempt, want incident.Phase, text string) (undo string) {
		t.Helper()
		a := *of
		agenttest.Eventually(t, func() bool { return k.Quiet(&a) }, "it is quiet")
		if phase, why := k.Settle(t.Context(), &a); phase != want || why != text {
			t.Errorf("%s, %s; want %s, %s", phase, why, want, text)
		}
		return string(a.Undo)
	}
	_, up := acttest.Stage(t, k, f.by(3))
	settles(up, incident.NotDone, "start: done for 0 of 3 instances")
	f.Up("worker@3.service")
	undo := settles(up, incident.Acted, "start: done for 1 of 3 instances")
	if !strings.Contains(undo, "worker@3.service") || strings.Contains(undo, "worker@4.service") {
		t.Errorf("to be taken back is %s", undo) // also what was not begun, and may be a person's later
	}
	f.Up("worker@5.service")
	settles(up, incident.Acted, "start: done for 2 of 3 instances")
	if err := k.Undo(t.Context(), up); err != nil {
		t.Error(err)
	}
	f.run("1", "2")
	_, down := acttest.Stage(t, k, f.by(-1))
	settles(down, incident.NotDone, "stop: done for 0 of 1 instances")
	f.stopped("worker@2.service")
	settles(down, incident.Acted, "stop: done for 1 of 1 instances")
	s, _ := acttest.Stage(t, k, f.by(2))
	f.Up("worker@3.service")
	f.stopped("worker@3.service") // after it was chosen
	if err := k.Act(t.Context(), s); err == nil || !strings.Contains(err.Error(), "start worker@3.service, after 0 of 2: a person stopped it") {
		t.Errorf("against a person: %v", err)
	}
	down.Undo = nil
	if phase, why := k.Settle(t.Context(), down); phase != incident.Unknown || k.Quiet(down) {
		t.Errorf("without a record: %s, %s", phase, why)
	}
}

// The next agent takes back a stop that is on record also where systemd keeps the instance in memory, as it does while another
// unit wants it: who stopped that the agent has not seen.
func TestNextAgentTakesBackAStop(t *testing.T) {
	t.Parallel()
	f := newFleet(t, acttest.Sleeper, 1)
	if err := f.WriteUnit("all.service", strings.Replace(acttest.Sleeper, "[Unit]\n", "[Unit]\nWants=worker@2.service\n", 1)); err != nil {
		t.Fatal(err)
	}
	f.Do("daemon-reload")
	f.Do("start", "all.service")
	f.Up("worker@2.service")
	a := f.Must(f.by(-1))
	f.run("1")
	f.Watcher = acttest.Watch(t, f.Address, "worker@*.service", "worker@2.service")
	f.Runner = f.NewRunner(acttest.Everything())
	f.Becomes("worker@2.service", "down", func(u systemd.Unit) bool { return u.Down() && u.InvocationID != "" })
	f.args.Max = 2
	f.Refused(f.by(1), "or before the agent started", false)
	f.undo(a)
	f.run("1", "2")

	a = f.Must(f.by(-1))
	f.Up("worker@2.service")
	f.stopped("worker@2.service") // by a person, in another life
	f.undo(a)
	f.run("1")
}

// empty-means-all: a template that is none is nothing.
func TestNothingNamed(t *testing.T) {
	t.Parallel()
	f := newFleet(t, acttest.Sleeper, 1)
	for _, name := range []string{"", "worker@*.service", "worker@1.service", "@.service", "*"} {
		f.args.Unit = name
		f.Refused(f.by(1), "is no template", false)
	}
	f.args.Unit = "nobody@.service"
	f.Runner.SetAllow(acttest.Everything("nobody@*.service"))
	f.Refused(f.by(1), "nobody@1.service does not exist", false)
	f.run("1")
}
