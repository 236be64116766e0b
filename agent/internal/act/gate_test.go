package act

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/salveops/salve/agent/agenttest"
	"github.com/salveops/salve/pkg/incident"
	"github.com/salveops/salve/pkg/permit"
	"github.com/salveops/salve/pkg/remedy"
)

// agent-frozen-between-check-and-act: the last question comes when the intent, with its permit, is on disk. A no
// means that nothing is done, also by the next life of the agent.
func TestGate(t *testing.T) {
	g := newRig(t, "a.service", sleeper)
	was := g.up("a.service")
	held := &permit.Held{Token: permit.Token{Generation: "g1", N: 7}, Epoch: 3, Targets: []permit.Target{{Service: "a"}}}
	frozen := errors.New("permit 7@g1 was for an attempt that begins sooner")
	q := ask(remedy.Restart, "a.service")
	p, err := g.runner.Prepare(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	p.Permit, p.Gate = held, func() error {
		a, err := g.journal.Attempt(q.Attempt.ID)
		if err != nil || a.Phase != incident.Intended {
			t.Errorf("the gate is asked before the intent is on disk: %v", err)
			return nil
		}
		if diff := cmp.Diff(held, a.Permit); diff != "" {
			t.Errorf("the permit on disk (-want +got):\n%s", diff)
		}
		return frozen
	}
	if _, err := g.runner.Run(t.Context(), p); !errors.Is(err, frozen) {
		t.Errorf("run: %v", err)
	}
	if u, _ := g.watcher.Unit("a.service"); u.InvocationID != was.InvocationID {
		t.Error("it was restarted")
	}
	a, err := g.journal.Attempt(q.Attempt.ID)
	if err != nil || a.Phase != incident.Refused || a.Reason != frozen.Error() {
		t.Errorf("on disk is %+v, %v", a, err)
	}
	if open := g.newRunner(everything()).Settle(t.Context()); len(open) != 0 {
		t.Errorf("the next life finds %+v", open)
	}

	p, err = g.runner.Prepare(t.Context(), ask(remedy.Restart, "a.service"))
	if err != nil {
		t.Fatal(err)
	}
	asked := 0
	p.Gate = func() error { asked++; return nil }
	if a, err := g.runner.Run(t.Context(), p); err != nil || a.Error != "" || asked != 1 {
		t.Errorf("run: %+v, %v, asked %d times", a, err, asked)
	}
}

// What a program leaves behind is found by its environment; other processes are not taken for it.
func TestQuiet(t *testing.T) {
	proc := t.TempDir()
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
	process("1", "PATH=/bin,X=SALVE_ATTEMPT=i-1,")
	process("2", "SALVE_ATTEMPT=i-12,PATH=/bin,")
	if !quiet(proc, "i-1") {
		t.Error("not quiet because of others")
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

func TestQuietProgram(t *testing.T) {
	pids := filepath.Join(t.TempDir(), "pid")
	// What it leaves behind has left its process group, so that nothing kills it with the program.
	program := script(t, "#!/bin/sh\nsetsid sleep 1000 </dev/null >/dev/null 2>&1 &\necho $! > "+pids+"\n")
	r := alone(t, filepath.Dir(program), "exec")
	p, err := r.Prepare(t.Context(), command(program))
	if err != nil {
		t.Fatal(err)
	}
	a, err := r.Run(t.Context(), p)
	if err != nil || a.Error != "" {
		t.Fatalf("%+v, %v", a, err)
	}
	if r.Quiet(&a) {
		t.Error("quiet although the program left a process")
	}
	text, err := os.ReadFile(pids)
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	agenttest.Eventually(t, 30*time.Second, func() bool { return r.Quiet(&a) }, "nothing of it runs")
}

func TestQuietUnit(t *testing.T) {
	g := newRig(t, "a.service", sleeper)
	g.up("a.service")
	unit := incident.Attempt{Kind: string(remedy.Restart), Target: "a.service"}
	if !g.runner.Quiet(&unit) {
		t.Error("a unit without a job is not quiet")
	}
	unit.Target = "nobody.service"
	if g.runner.Quiet(&unit) {
		t.Error("a unit that is not known is quiet")
	}
}
