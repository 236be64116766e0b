package isolate_test

import (
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/salveops/salve/agent/agenttest"
	"github.com/salveops/salve/agent/internal/act/acttest"
	"github.com/salveops/salve/pkg/incident"
)

// dying is set in the process that is killed, to the folder of its journal.
const dying = "SALVE_TEST_DYING"

// length is for how long a dependency is cut off that the kernel lets go: enough to see before that it is.
const length = 6 * time.Second

// TestDyingAgent is that process: it dies between its action and its result.
func TestDyingAgent(t *testing.T) {
	dir := os.Getenv(dying)
	if dir == "" {
		return
	}
	r := newRig(t)
	s, a := acttest.Stage(t, r.kind, r.request())
	s.For, a.For = length, length
	if err := acttest.OpenJournal(t, dir).PutAttempt(a); err != nil {
		t.Fatal(err)
	}
	if err := r.kind.Act(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	_ = unix.Kill(os.Getpid(), unix.SIGKILL)
}

// TestKilled is dies-in-the-middle: the dependency stays cut off, the next agent knows of it, and the kernel lets it go in time
// whatever that agent does.
func TestKilled(t *testing.T) {
	r := newRig(t)
	r.listen(service, payments[0])
	dir := t.TempDir()
	c := exec.Command("/proc/self/exe", "-test.run=^TestDyingAgent$")
	c.Env = append(os.Environ(), dying+"="+dir)
	c.SysProcAttr = &syscall.SysProcAttr{AmbientCaps: []uintptr{unix.CAP_NET_ADMIN}}
	out, _ := c.CombinedOutput()
	if status := c.ProcessState.Sys().(syscall.WaitStatus); status.Signal() != syscall.SIGKILL {
		t.Fatalf("the agent ended as %v: %s", c.ProcessState, out)
	}
	r.reaches(service, payments[0], false)
	r.journal = acttest.OpenJournal(t, dir)
	r.Runner = r.runner()
	settled := r.Settle(t.Context())
	if len(settled) != 1 || settled[0].Phase != incident.Acted || settled[0].For != length {
		t.Fatalf("settled as %+v", settled)
	}
	r.reaches(service, payments[0], false)
	agenttest.Eventually(t, func() bool { return !strings.Contains(r.ruleset(), "elements") },
		"the kernel lets it go")
	r.reaches(service, payments[0], true)
	if a, err := r.Undo(t.Context(), settled[0].ID); err != nil || a.Phase != incident.Undone {
		t.Errorf("undo of what has ended: %s, %v", a.Phase, err)
	}
}
