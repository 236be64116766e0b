package exec

import (
	"context"
	"os"
	osexec "os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/salveops/salve/agent/internal/act/kind"
	"github.com/salveops/salve/agent/internal/act/program"
	"github.com/salveops/salve/pkg/config"
	"github.com/salveops/salve/pkg/incident"
	"github.com/salveops/salve/pkg/remedy"
)

// ungrouped runs programs where no control groups can be made.
func ungrouped() Kind {
	return Kind{Host: &kind.Host{
		Program: func(ctx context.Context, c program.Cmd) (program.Output, error) {
			return program.Run(ctx, c.Argv[0], c)
		},
		MayRun: func([]string) error { return nil },
	}}
}

// TestWithoutGroups: by its environment alone nothing of a program lives on, nor is it there beside what takes it back.
func TestWithoutGroups(t *testing.T) {
	k, a := ungrouped(), incident.Attempt{ID: "ungrouped-1"}
	env := []string{attemptVariable + a.ID}
	if _, err := k.perform(t.Context(), a.ID, work{Command: []string{"/bin/sh", "-c", "setsid sleep 1000 &"}, Env: env}); err != nil || !k.Quiet(&a) {
		t.Errorf("run: %v, quiet %v", err, k.Quiet(&a))
	}
	left := osexec.Command("/bin/sleep", "1000")
	left.Env = env
	if err := left.Start(); err != nil {
		t.Fatal(err)
	}
	a.Undo = kind.Raw(work{Command: []string{"/bin/sh", "-c", `case $(cut -d" " -f3 /proc/$0/stat) in ""|Z) exit 0; esac; exit 9`,
		strconv.Itoa(left.Process.Pid)}, Env: env})
	if err := k.Undo(t.Context(), &a); err != nil {
		t.Errorf("the undo finds what it takes back at work: %v", err)
	}
	_ = left.Process.Kill()
	_ = left.Wait()
}

// TestHalt: what says "not now" is not run again once no further part is to begin.
func TestHalt(t *testing.T) {
	mark := filepath.Join(t.TempDir(), "mark")
	halt := make(chan struct{})
	close(halt)
	s := &kind.Step{Halt: halt, Request: kind.Request{Attempt: incident.Attempt{ID: "halt-1"}, Remedy: &config.Remedy{
		Args: &remedy.ExecArgs{Command: []string{"/bin/sh", "-c", "echo x >> $0; exit 75", mark}, Retry: []int{75}}}}}
	if err := ungrouped().Act(t.Context(), s); err == nil {
		t.Error("it worked")
	}
	if text, _ := os.ReadFile(mark); string(text) != "x\n" {
		t.Errorf("it ran %q", text)
	}
}

// What a program leaves behind is found by its environment; other processes are not taken for it.
func TestLeft(t *testing.T) {
	proc := t.TempDir()
	quiet := func(proc, attempt string) bool {
		pids, err := left(proc, attempt)
		return err == nil && len(pids) == 0
	}
	process := func(pid, env string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Join(proc, pid), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(proc, pid, "environ"), []byte(strings.ReplaceAll(env, ",", "\x00")), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if quiet(proc, "i-1") {
		t.Error("quiet although no process can be seen")
	}
	process("9", "PATH=/bin,X=SALVE_ATTEMPT=i-1,")
	process("2", "SALVE_ATTEMPT=i-12,PATH=/bin,")
	if !quiet(proc, "i-1") {
		t.Error("not quiet because of others")
	}
	process("5", "")
	if !quiet(proc, "i-1") {
		t.Error("not quiet because of one of the kernel's, or of one that has ended")
	}
	if err := os.Symlink("/bin/sh", filepath.Join(proc, "5", "exe")); err != nil {
		t.Fatal(err)
	}
	for where, want := range map[string]bool{" 7 7": true, " 0 0": false, " 7 9": false} { // of its environment: it has none, or not yet
		stat := "5 (a) b) R" + strings.Repeat(" 1", 46) + where + " 0\n"
		if err := os.WriteFile(filepath.Join(proc, "5", "stat"), []byte(stat), 0o600); err != nil {
			t.Fatal(err)
		}
		if quiet(proc, "i-1") != want {
			t.Errorf("beside a process without an environment, which is at%s: quiet is not %v", where, want)
		}
	}
	if err := os.RemoveAll(filepath.Join(proc, "5")); err != nil {
		t.Fatal(err)
	}
	for pid, env := range map[string]string{"3": "SALVE_ATTEMPT=i-1,PATH=/bin,", "4": "PATH=/bin,SALVE_ATTEMPT=i-1,"} {
		process(pid, env)
		if quiet(proc, "i-1") {
			t.Errorf("quiet although %q runs", env)
		}
		if err := os.RemoveAll(filepath.Join(proc, pid)); err != nil {
			t.Fatal(err)
		}
	}
}
