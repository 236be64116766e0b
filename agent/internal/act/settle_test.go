package act_test

import (
	"bufio"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/salveops/salve/agent/agenttest"
	"github.com/salveops/salve/agent/internal/act/acttest"
	"github.com/salveops/salve/agent/internal/systemd"
	"github.com/salveops/salve/pkg/incident"
	"github.com/salveops/salve/pkg/remedy"
)

// doomed is an agent that is killed while it acts: what it does, and at which point it stands still.
type doomed struct {
	Bus, Journal string
	Kind         remedy.Kind
	Properties   map[string]string
	Command      []string
	At           string // "before intent", "after intent", "before result", "after result", "" never
}

const doomedEnv = "ACT_TEST_DOOMED"

// TestDoomed is no test: it is the process that TestDiesInTheMiddle kills.
func TestDoomed(t *testing.T) {
	var d doomed
	text := os.Getenv(doomedEnv)
	if text == "" {
		return
	}
	if err := json.Unmarshal([]byte(text), &d); err != nil {
		t.Fatal(err)
	}
	g := &acttest.Rig{T: t, Watcher: acttest.Watch(t, d.Bus, "a.service"), Journal: acttest.OpenJournal(t, d.Journal)}
	g.Runner = g.NewRunner(acttest.Everything())
	stand := func(word string) func(*incident.Attempt) error {
		return func(a *incident.Attempt) error {
			at := map[incident.Phase]string{incident.Intended: "intent", incident.Acted: "result"}[a.Phase]
			if d.At == word+" "+at {
				os.Stdout.WriteString("HERE\n")
				select {}
			}
			return nil
		}
	}
	g.Journal.Before, g.Journal.After = stand("before"), stand("after")
	q := acttest.Ask(d.Kind, "a.service")
	switch d.Kind {
	case remedy.SetProperty:
		q.Remedy.Args = &remedy.PropertyArgs{Properties: d.Properties, Runtime: true}
	case remedy.Exec:
		q.Remedy.Args = &remedy.ExecArgs{Command: d.Command}
	}
	if _, err := g.Run(q); err != nil {
		t.Fatal(err)
	}
	os.Stdout.WriteString("HERE\n")
	select {}
}

// dies runs d in a process of its own and kills that with SIGKILL when it stands still, or when
// ready says so.
func (d doomed) dies(t *testing.T, ready func()) {
	t.Helper()
	text, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestDoomed$")
	cmd.Env = append(os.Environ(), doomedEnv+"="+string(text))
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if ready != nil {
		ready()
	} else {
		lines := bufio.NewScanner(out)
		for lines.Scan() && lines.Text() != "HERE" {
			t.Log(lines.Text())
		}
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
}

// TestDiesInTheMiddle has the name of what happened elsewhere: the executor died, and the action stayed
// "running" for ever. Here the agent is killed at every step of an attempt, and the next one must say
// what became of it by what it finds, without ever doing it again.
func TestDiesInTheMiddle(t *testing.T) {
	for _, kind := range []remedy.Kind{remedy.Start, remedy.Restart, remedy.Stop, remedy.Kill, remedy.Reload,
		remedy.SetProperty, remedy.Exec} {
		for _, at := range []string{"before intent", "after intent", "before result", "after result"} {
			t.Run(string(kind)+" "+at, func(t *testing.T) { diesAt(t, kind, at) })
		}
	}
}

func diesAt(t *testing.T, kind remedy.Kind, at string) {
	g, u := acttest.Running(t, acttest.Sleeper+"ExecReload=/bin/true\n")
	g.RequireLimit(map[string]string{"TasksMax": "1000"})
	if kind == remedy.Start {
		if err := syscall.Kill(u.MainPID, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		u = g.Becomes("a.service", "down", systemd.Unit.Down)
	}
	mark := acttest.Script(t, "#!/bin/sh\n: > \"$0.ran\"\n")
	d := doomed{Bus: g.Address, Journal: t.TempDir(), Kind: kind, At: at,
		Properties: map[string]string{"TasksMax": "31"}, Command: []string{mark}}
	d.dies(t, nil)

	g.Journal = acttest.OpenJournal(t, d.Journal)
	settled := g.NewRunner(acttest.Everything()).Settle(t.Context())
	if at == "before intent" {
		if now, _ := g.Watcher.Unit("a.service"); len(settled) != 0 || now.InvocationID != u.InvocationID {
			t.Errorf("without an intent: %+v, and the unit is %+v", settled, now)
		}
		return
	}
	// What evidence can tell, it must tell; what leaves no trace must not be guessed.
	var want incident.Phase
	switch {
	case at == "after result":
		want = incident.Acted
	case kind == remedy.Reload || kind == remedy.Exec || kind == remedy.Kill && at == "after intent":
		want = incident.Unknown
	case at == "after intent":
		want = incident.NotDone
	default:
		want = incident.Acted
	}
	if len(settled) != 1 || settled[0].Phase != want || at != "after result" && settled[0].Reason == "" {
		t.Fatalf("settled as %+v, want %s with a reason", settled, want)
	}
	if onDisk, err := g.Journal.Attempt(settled[0].ID); err != nil || onDisk.Phase != want {
		t.Errorf("on disk: %+v, %v", onDisk, err)
	}
	if at == "after intent" { // it never began, and settling is not doing
		now, _ := g.Watcher.Unit("a.service")
		tasks, _ := g.Property("a.service", "TasksMax")
		_, err := os.Stat(mark + ".ran")
		if now.InvocationID != u.InvocationID || now.MainPID != u.MainPID || tasks == "31" || err == nil {
			t.Errorf("settling did what was left undone: %+v, TasksMax %s, program ran %v", now, tasks, err == nil)
		}
	}
}

// TestDiesDuringTheJob: systemd goes on with a job whose asker is dead; the next agent waits for its end.
func TestDiesDuringTheJob(t *testing.T) {
	killed := filepath.Join(t.TempDir(), "killed")
	g, u := acttest.Running(t, acttest.Trapping("until [ -e "+killed+" ]; do sleep 0.1; done; "+acttest.Lingers(5), ""))
	d := doomed{Bus: g.Address, Journal: t.TempDir(), Kind: remedy.Restart}
	d.dies(t, func() {
		g.Becomes("a.service", "on its way down", func(u systemd.Unit) bool { return u.Active == "deactivating" })
	})
	if err := os.WriteFile(killed, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	g.Journal = acttest.OpenJournal(t, d.Journal)
	settled := g.NewRunner(acttest.Everything()).Settle(t.Context())
	if len(settled) != 1 || settled[0].Phase != incident.Acted ||
		!strings.Contains(settled[0].Reason, "was started since") {
		t.Errorf("settled as %+v", settled)
	}
	g.Becomes("a.service", "up again", func(n systemd.Unit) bool {
		return n.Active == "active" && n.InvocationID != u.InvocationID
	})
}

// TestDiesDuringTheProgram: a program dies with the agent that started it, and what it left behind when the next one starts.
func TestDiesDuringTheProgram(t *testing.T) {
	g := acttest.New(t, "a.service", acttest.Sleeper)
	pids := filepath.Join(t.TempDir(), "pids")
	d := doomed{Bus: g.Address, Journal: t.TempDir(), Kind: remedy.Exec, Command: []string{
		acttest.Script(t, "#!/bin/sh\nsetsid sleep 1000 & echo $! $$ > $1.new; mv $1.new $1; wait\n"), pids}}
	d.dies(t, func() {
		agenttest.Eventually(t, func() bool { _, err := os.Stat(pids); return err == nil }, "the program runs")
	})
	text, err := os.ReadFile(pids)
	if err != nil {
		t.Fatal(err)
	}
	program, err := strconv.Atoi(strings.Fields(string(text))[1])
	if err != nil {
		t.Fatal(err)
	}
	agenttest.Eventually(t, func() bool { return dead(program) }, "the program is gone")
	g.Journal = acttest.OpenJournal(t, d.Journal)
	settled := g.NewRunner(acttest.Everything()).Settle(t.Context())
	if len(settled) != 1 || settled[0].Phase != incident.Unknown {
		t.Errorf("settled as %+v", settled)
	}
	nobodyLeft(t, pids)
}

func TestSettleOfUndo(t *testing.T) {
	g, _ := acttest.Running(t, acttest.Sleeper)
	g.RequireLimit(map[string]string{"TasksMax": "1000"})
	a := g.Must(acttest.SetProperty("a.service", map[string]string{"TasksMax": "33"}))
	a.Phase = incident.Undoing
	if err := g.Journal.PutAttempt(&a); err != nil {
		t.Fatal(err)
	}
	hook := incident.Attempt{ID: "hook", Kind: string(remedy.Exec), Phase: incident.Undoing, Undo: []byte(`{}`)}
	if err := g.Journal.PutAttempt(&hook); err != nil {
		t.Fatal(err)
	}
	r := g.NewRunner(acttest.Everything())
	phases := map[string]incident.Phase{}
	for _, s := range r.Settle(t.Context()) {
		phases[s.ID] = s.Phase
	}
	if phases[a.ID] != incident.Undoing || phases["hook"] != incident.Unknown {
		t.Errorf("settled as %v: old limits may be put back twice, a program must not run twice", phases)
	}
	if undone, err := r.Undo(t.Context(), a.ID); err != nil || undone.Phase != incident.Undone {
		t.Errorf("undo goes on: %+v, %v", undone, err)
	}
}

func TestSettleWithoutSystemd(t *testing.T) {
	m := agenttest.Manager(t)
	proxy := agenttest.NewProxy(t, m.Address)
	g := acttest.NewOn(t, m, proxy.Address(), "a.service", acttest.Sleeper)
	g.Up("a.service")
	lost := incident.Attempt{ID: "lost", Kind: string(remedy.Restart), Target: "a.service", Phase: incident.Intended,
		Before: []byte(`{"active":"active"}`)}
	odd := incident.Attempt{ID: "odd", Kind: "nonsense", Phase: incident.Intended}
	for _, a := range []*incident.Attempt{&lost, &odd} {
		if err := g.Journal.PutAttempt(a); err != nil {
			t.Fatal(err)
		}
	}
	proxy.Cut()
	agenttest.Eventually(t, func() bool { return !g.Watcher.Connected() }, "disconnected")
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	for _, a := range g.Runner.Settle(ctx) {
		if a.Phase != incident.Unknown || a.Reason == "" {
			t.Errorf("%s is %s because %q, want unknown", a.ID, a.Phase, a.Reason)
		}
	}
}
