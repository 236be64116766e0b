package main

import (
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/salveops/salve/agent/agenttest"
	"github.com/salveops/salve/packaging/lab/rig"
	"github.com/salveops/salve/packaging/lab/rig/rigtest"
)

// open sets the stage on a private manager, but for the agent: every fault must break its service for
// good when nobody heals it, and every check from outside must say so.
func open(t *testing.T) *stage {
	t.Helper()
	s := &stage{
		ground:   ground{dir: t.TempDir(), opts: Options{Service: rigtest.Service(t)}},
		manager:  agenttest.Manager(t),
		patients: map[string]*rig.Patient{},
	}
	if err := s.admit(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestUnhealedStoriesFail(t *testing.T) {
	s := open(t)
	defer keepAsking(s.patients[payment], 5*time.Millisecond)()
	agenttest.Eventually(t, func() bool {
		a, err := s.patients[payment].Get(t.Context(), "/errors")
		return err == nil && a.Status == http.StatusOK
	}, "enough requests")

	for _, st := range s.stories() {
		if st.service == shipping || st.service == search {
			continue // escalation needs an agent; a hang is a wait without end
		}
		p := s.patients[st.service]
		before, err := p.AwaitAny(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := st.inflict(t.Context(), p, before.PID); err != nil {
			t.Fatal(err)
		}
		if st.service == checkout { // dead: it answers nobody, so that the check would wait
			agenttest.Eventually(t, func() bool {
				state, err := s.manager.Property(p.Unit(), "ActiveState")
				return err == nil && state == "failed"
			}, "the crash")
			continue
		}
		if seen, err := st.check(t.Context(), p, before.PID); err == nil {
			t.Errorf("%s: nobody healed it, and the check from outside is content: %s", st.title, seen)
		}
	}
}

// The unit that cannot be fixed really cannot be started.
func TestBeyondRepair(t *testing.T) {
	s := open(t)
	p := s.patients[shipping]
	a, err := p.AwaitAny(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.breakConfig(t.Context(), p, a.PID); err != nil {
		t.Fatal(err)
	}
	agenttest.Eventually(t, func() bool {
		state, err := s.manager.Property(p.Unit(), "ActiveState")
		return err == nil && state == "failed"
	}, "the crash")
	if _, err := s.manager.Systemctl("start", p.Unit()); err == nil {
		t.Error("it started with a broken configuration")
	}
	if status, _ := s.manager.Property(p.Unit(), "ExecMainStatus"); status != "78" {
		t.Errorf("it ended with %s, want 78", status)
	}
}

// A quota that the kernel enforces is what makes the check content.
func TestNeighbourHeld(t *testing.T) {
	s := open(t)
	p := s.patients[reports]
	a, err := p.AwaitAny(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	agenttest.Require(t, "the CPU controller", s.quota, "units do not sit in a cgroup of it")
	if err := p.Fault(t.Context(), "burn?cpus=1"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.manager.Systemctl("set-property", "--runtime", p.Unit(), "CPUQuota=20%"); err != nil {
		t.Fatal(err)
	}
	if _, err := cpuShare(t.Context(), a.PID, 200*time.Millisecond); err != nil { // the period before it took hold
		t.Fatal(err)
	}
	seen, err := held(t.Context(), p, a.PID)
	if err != nil || !strings.Contains(seen, "goes on with 0.") {
		t.Errorf("held: %q, %v", seen, err)
	}
}

func TestPrefer(t *testing.T) {
	m := agenttest.Manager(t)
	dir := managerCgroup(m.PID())
	agenttest.Require(t, "the CPU controller", dir != "", "a private manager has no cgroup of it")
	prefer(m.PID())
	if got := contents(dir, "cpu.shares") + contents(dir, "cpu.weight"); got != "65536" && got != "6400" {
		t.Errorf("the weight of %s is %q", dir, got)
	}
	if got := managerCgroup(-1); got != "" {
		t.Errorf("a process that cannot be has the cgroup %s", got)
	}
}

func TestHasCPUController(t *testing.T) {
	if hasCPUController(os.Getpid(), "no-such.service") {
		t.Error("a process that is no unit has a unit's cgroup")
	}
}

func TestCloseGoesBackwards(t *testing.T) {
	var order []string
	s := &stage{}
	for _, name := range []string{"a", "b", "c"} {
		s.onClose(func() error { order = append(order, name); return nil })
	}
	if err := s.close(); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(order, ""); got != "cba" {
		t.Errorf("closed in the order %s", got)
	}
}
