package exec_test

import (
	"os"
	osexec "os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/hashicorp/go-hclog"

	"github.com/salveops/salve/agent/internal/act/acttest"
	"github.com/salveops/salve/agent/internal/act/exec"
	"github.com/salveops/salve/agent/internal/act/kind"
	"github.com/salveops/salve/pkg/config"
	"github.com/salveops/salve/pkg/incident"
	"github.com/salveops/salve/pkg/remedy"
)

func command(argv ...string) kind.Request {
	return acttest.Ask(remedy.Exec, "a.service", &remedy.ExecArgs{Command: argv})
}

func TestExec(t *testing.T) {
	mark := filepath.Join(t.TempDir(), "mark")
	program := acttest.Script(t, "#!/bin/sh\necho \"$1 $SALVE_UNIT $SALVE_ATTEMPT $HOME\" > "+mark+
		"\necho said; echo meant >&2\nexit $2\n")
	back := acttest.Script(t, "#!/bin/sh\necho back > "+mark+"\n")
	r := acttest.Alone(t, filepath.Dir(program), "exec")
	r.SetAllow([]config.Allow{{Exec: []string{program, back}, Actions: []string{"exec"}}})

	q := command(program, "word", "0")
	q.Remedy.Args.(*remedy.ExecArgs).Undo = []string{back}
	p, err := r.Prepare(t.Context(), q)
	if err != nil || p.Target != program || !p.Disruptive {
		t.Fatalf("plan %+v, %v", p, err)
	}
	a, err := r.Run(t.Context(), p)
	if err != nil || a.Error != "" || !strings.Contains(string(a.After), `"stdout":"said\n"`) {
		t.Fatalf("run: %+v, %v", a, err)
	}
	want := "word a.service " + a.ID + " \n" // and no HOME: the environment is clean
	if got, _ := os.ReadFile(mark); string(got) != want {
		t.Errorf("the program saw %q, want %q", got, want)
	}
	if undone, err := r.Undo(t.Context(), a.ID); err != nil || undone.Phase != incident.Undone {
		t.Fatalf("undo: %+v, %v", undone, err)
	}
	if got, _ := os.ReadFile(mark); string(got) != "back\n" {
		t.Errorf("after the undo the mark says %q", got)
	}

	p, err = r.Prepare(t.Context(), command(program, "word", "3"))
	if err != nil {
		t.Fatal(err)
	}
	a, err = r.Run(t.Context(), p)
	if err != nil || !strings.Contains(a.Error, "ended with status 3: meant") {
		t.Errorf("a failing program: %+v, %v", a, err)
	}
	if _, err := r.Undo(t.Context(), a.ID); err == nil {
		t.Error("a program without an undo was taken back")
	}
}

// TestProgramIsLookedAtAgain: what was sound when it was prepared may have been changed since.
func TestProgramIsLookedAtAgain(t *testing.T) {
	program := acttest.Script(t, "#!/bin/sh\n")
	r := acttest.Alone(t, filepath.Dir(program), "exec")
	p, err := r.Prepare(t.Context(), command(program))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(program, 0o777); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Run(t.Context(), p); err == nil || !strings.Contains(err.Error(), "can be changed by others") {
		t.Errorf("run: %v", err)
	}
}

// TestOutlivesTheAgent: what a program of a dead agent left is not quiet, and settling ends it: nobody waits for it.
func TestOutlivesTheAgent(t *testing.T) {
	a := incident.Attempt{ID: "outlives-1", Kind: string(remedy.Exec), Target: "/x", Phase: incident.Intended}
	k := exec.New(&kind.Host{Log: hclog.NewNullLogger()})
	left := osexec.Command("/bin/sleep", "1000")
	left.Env = []string{"SALVE_ATTEMPT=" + a.ID}
	other := osexec.Command("/bin/sleep", "1000")
	other.Env = []string{"SALVE_ATTEMPT=" + a.ID + "0"}
	for _, cmd := range []*osexec.Cmd{left, other} {
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
	}
	reaped := make(chan struct{})
	go func() { defer close(reaped); _ = left.Wait() }()
	if k.Quiet(&a) {
		t.Error("quiet although a process of it runs")
	}
	if phase, why := k.Settle(t.Context(), &a); phase != incident.Unknown || !strings.Contains(why, "the agent died") {
		t.Errorf("settled as %s: %s", phase, why)
	}
	<-reaped
	if !k.Quiet(&a) {
		t.Error("not quiet although nothing of it runs")
	}
	if err := other.Process.Signal(syscall.Signal(0)); err != nil {
		t.Errorf("the process of another attempt: %v", err)
	}
	_ = other.Process.Kill()
	_ = other.Wait()
}
