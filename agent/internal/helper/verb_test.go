package helper

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	sd "github.com/coreos/go-systemd/v22/dbus"

	"github.com/salveops/salve/agent/internal/order"
	"github.com/salveops/salve/agent/internal/systemd"
)

// startTransient makes a transient service that sleeps.
func startTransient(t *testing.T, bus, name string) error {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	c, err := systemd.Dial(ctx, bus)
	if err != nil {
		return err
	}
	defer c.Close()
	_, err = c.StartTransientUnitContext(ctx, name, "fail", []sd.Property{
		sd.PropExecStart([]string{"/bin/sleep", "1000"}, false)}, nil)
	return err
}

// TestVerbs: each of them on a real systemd, which says what became of it.
func TestVerbs(t *testing.T) {
	g := newRig(t, "a.service", sleeper)
	of := func(verb string) order.Order { return order.Order{Verb: verb, Unit: "a.service"} }
	job := func(verb, state string) {
		t.Helper()
		id, err := g.Ask(t.Context(), of(verb))
		if err != nil || id == 0 {
			t.Fatalf("%s is job %d, %v", verb, id, err)
		}
		g.becomes("a.service", "ActiveState", state)
		g.becomes("a.service", "Job", "")
	}
	job(order.Start, "active")
	first, _ := g.Property("a.service", "InvocationID")
	job(order.Reload, "active")
	job(order.Restart, "active")
	if second, _ := g.Property("a.service", "InvocationID"); second == first {
		t.Error("restart did not start it anew")
	}
	g.must(order.Order{Verb: order.Kill, Unit: "a.service", Signal: "SIGKILL", Whom: "main"})
	g.becomes("a.service", "ActiveState", "failed")
	g.must(of(order.ResetFailed))
	g.becomes("a.service", "ActiveState", "inactive")
	job(order.Start, "active")
	g.must(tasksMax("a.service", 33, 0))
	g.becomes("a.service", "TasksMax", "33")
	job(order.Stop, "inactive")
	log := g.log.String()
	if strings.Count(log, "request: user=") != 8 || !strings.Contains(log, "verb=kill unit=a.service") {
		t.Errorf("the log says\n%s", log)
	}
}

// TestReloadManager: systemd reads a drop-in for the sake of a unit of which the list permits that, and of no other.
func TestReloadManager(t *testing.T) {
	g := newRig(t, "a.service", sleeper)
	g.do("start", "a.service")
	path, err := g.Property("a.service", "FragmentPath")
	dropIn := strings.TrimSpace(path) + ".d"
	if err := errors.Join(err, os.Mkdir(dropIn, 0o755), os.WriteFile(dropIn+"/a.conf", []byte("[Service]\nEnvironment=A=1\n"), 0o644)); err != nil {
		t.Fatal(err)
	}
	ask := order.Order{Verb: order.ReloadManager, Unit: "a.service"}
	g.refused(ask, "permits no reload-daemon")
	g.becomes("a.service", "Environment", "")
	g.write(List{May: []Entry{{"a.service", []string{order.ReloadManager}}}}.Text())
	g.refused(order.Order{Verb: order.ReloadManager, Unit: "b.service"}, "permits no reload-daemon")
	g.refused(order.Order{Verb: order.Restart, Unit: "a.service"}, "permits no restart")
	g.must(ask)
	g.becomes("a.service", "Environment", "A=1")
}

// TestVerbsOfTheList: a verb that the unit has not got is refused, whatever else it has.
func TestVerbsOfTheList(t *testing.T) {
	g := newRig(t, "a.service", sleeper)
	g.write(List{May: []Entry{{"a.*", []string{order.Restart}}}}.Text())
	g.refused(order.Order{Verb: order.Start, Unit: "a.service"}, "permits no start")
	g.refused(tasksMax("a.service", 9, time.Second), "permits no set-property")
	g.refused(order.Order{Verb: order.Lift, Unit: "a.service"}, "permits no set-property")
	g.must(order.Order{Verb: order.Restart, Unit: "a.service"})
}

// TestJobsOfOthersStay: a job that is queued already, which may be a person's, is not replaced.
func TestJobsOfOthersStay(t *testing.T) {
	end := filepath.Join(t.TempDir(), "end")
	g := newRig(t, "a.service", "[Service]\nType=notify\nNotifyAccess=all\nExecStart=/bin/sh -c 'trap "+
		"\"while [ ! -e "+end+" ]; do sleep 0.02; done; exit 0\" TERM; systemd-notify --ready; while :; do sleep 0.02; done'\n")
	g.do("start", "a.service")
	g.do("--no-block", "stop", "a.service")
	g.becomes("a.service", "ActiveState", "deactivating")
	g.refused(order.Order{Verb: order.Start, Unit: "a.service"}, "systemd refused")
	if err := os.WriteFile(end, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	g.becomes("a.service", "ActiveState", "inactive")
}

// TestNobodyThere: without a helper nothing was done, and that is certain.
func TestNobodyThere(t *testing.T) {
	for _, c := range []Client{{}, {"/nonexistent/socket"}} {
		_, err := c.Ask(t.Context(), order.Order{Verb: order.Start, Unit: "a.service"})
		if c.Present() || err == nil || !strings.Contains(err.Error(), "nothing was done") {
			t.Errorf("%+v: %v", c, err)
		}
	}
	g := serve(t, "unix:path=/nonexistent/private", Options{})
	g.refused(order.Order{Verb: order.Start, Unit: "a.service"}, "connect to systemd")
}
