package exec_test

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/salveops/salve/agent/agenttest"
	"github.com/salveops/salve/agent/internal/act"
	"github.com/salveops/salve/agent/internal/act/acttest"
	"github.com/salveops/salve/agent/internal/act/kind"
	"github.com/salveops/salve/agent/internal/act/program"
	"github.com/salveops/salve/pkg/incident"
	"github.com/salveops/salve/pkg/remedy"
)

// ran runs a request that must be let run.
func ran(t *testing.T, r *act.Runner, q kind.Request) incident.Attempt {
	t.Helper()
	p, err := r.Prepare(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	a, err := r.Run(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// TestNothingOfItStays: whatever a program does to live on, nothing of it runs when the attempt is over, and what is kept of
// its output is bounded. Each writes the processes that it knows of into the file that it is given.
func TestNothingOfItStays(t *testing.T) {
	const begins = 4 * time.Second // enough for a program to have begun
	_, noGroups := program.Home()
	for name, c := range map[string]struct {
		script, wrong, says string
		within              time.Duration // all of which it takes; 0: it ends by itself
		grouped             bool          // found by its control group alone
	}{
		"daemon":           {script: "setsid sleep 1000 >/dev/null 2>&1 & echo $! >> $1", says: `"code":0`},
		"without its mark": {script: "env -i setsid sleep 1000 >/dev/null 2>&1 & echo $! >> $1", says: `"code":0`, grouped: true},
		"holds outputs":    {script: "setsid sleep 1000 & echo $! >> $1; echo said", says: `"stdout":"said\n"`},
		"flood":            {script: "yes | head -c 3000000; exit 5", wrong: "status 5", says: `"truncated":true`},
		"closes outputs":   {script: "exec >&- 2>&-; exit 6", wrong: "status 6: it said nothing", says: `"code":6`},
		"ignores SIGTERM": {script: "trap '' TERM; sleep 1000 & echo $! $$ >> $1; echo begun; while :; do sleep 1; done",
			wrong: "longer than its time-out", says: `"stdout":"begun\n"`, within: begins},
		"ends when asked": {script: "trap 'echo asked; exit 0' TERM; sleep 1000 & echo $! >> $1; wait",
			wrong: "longer than its time-out", says: `"stdout":"asked\n"`, within: begins},
		"forks for ever": {script: "while :; do setsid sleep 1000 & echo $! >> $1; done", wrong: "longer than its time-out",
			within: 400 * time.Millisecond},
		"gains nothing": {script: "grep NoNewPrivs /proc/self/status", says: `NoNewPrivs:\t1`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if c.grouped {
				agenttest.Require(t, "a host where control groups can be made", noGroups == nil, "")
			}
			pids := filepath.Join(t.TempDir(), "pids")
			path := acttest.Script(t, "#!/bin/sh\n"+c.script+"\n")
			r := acttest.Alone(t, filepath.Dir(path), "exec")
			q := command(path, pids)
			if c.within > 0 {
				q.Remedy.Timeout = c.within
			}
			a := ran(t, r, q)
			if (c.wrong == "") != (a.Error == "") || !strings.Contains(a.Error, c.wrong) {
				t.Errorf("the attempt says %q, want %q", a.Error, c.wrong)
			}
			if !strings.Contains(string(a.After), c.says) || len(a.After) > 10_000 {
				t.Errorf("%d bytes are kept: %.300s, want %s", len(a.After), a.After, c.says)
			}
			if took := a.Intended.Age(a.Acted); took > acttest.Patience {
				t.Errorf("it took %s", took)
			}
			text, _ := os.ReadFile(pids)
			for _, pid := range strings.Fields(string(text)) {
				agenttest.Eventually(t, func() bool { return gone(pid) }, "process "+pid+" is gone")
			}
			if !r.Quiet(&a) {
				t.Error("it is not quiet")
			}
		})
	}
}

// gone reports whether the process is dead, or only waits to be reaped.
func gone(pid string) bool {
	stat, err := os.ReadFile(filepath.Join("/proc", pid, "stat"))
	return err != nil || strings.Contains(string(stat), ") Z ")
}

// TestExitCodes: what a program says by its exit code, and what then is left to be taken back.
func TestExitCodes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := acttest.Script(t, "#!/bin/sh\necho run >> "+dir+"/$1; [ $(wc -l < "+dir+"/$1) -ge $2 ] && exit $3; echo why; exit $1\n")
	r := acttest.Alone(t, filepath.Dir(path), "exec")
	for _, c := range []struct {
		code, enough, then int // it ends with code, and from that many runs on with then
		wrong              string
		undo               bool
		runs               int
	}{
		{0, 99, 0, "", true, 1},
		{1, 99, 0, "ended with status 1: why", true, 1},
		{3, 99, 0, "", false, 1},
		{4, 99, 0, "would not do it (status 4): why", false, 1},
		{75, 2, 0, "", true, 2},
		{76, 99, 0, "still says that it cannot do it now (status 76): why", false, 3},
	} {
		q := command(path, strconv.Itoa(c.code), strconv.Itoa(c.enough), strconv.Itoa(c.then))
		x := q.Remedy.Args.(*remedy.ExecArgs)
		x.Undo, x.Unneeded, x.Refused, x.Retry = []string{path, "9", "99", "0"}, []int{3}, []int{4}, []int{75, 76}
		q.Remedy.Timeout = 6900 * time.Millisecond // after the second pause, 1 s and 2 s, and within the third, 4 s
		a := ran(t, r, q)
		if (a.Error == "") != (c.wrong == "") || !strings.Contains(a.Error, c.wrong) || (len(a.Undo) > 0) != c.undo {
			t.Errorf("exit code %d: %q, undo %s; want %q, undo %v", c.code, a.Error, a.Undo, c.wrong, c.undo)
		}
		if text, _ := os.ReadFile(filepath.Join(dir, strconv.Itoa(c.code))); strings.Count(string(text), "run") != c.runs {
			t.Errorf("exit code %d: it ran %q, want %d runs", c.code, text, c.runs)
		}
	}
}

// TestUndoRunsOnce: what takes a program back is run again only when it says that it did nothing.
func TestUndoRunsOnce(t *testing.T) {
	mark := filepath.Join(t.TempDir(), "mark")
	back := acttest.Script(t, "#!/bin/sh\necho x >> "+mark+"\nexit $1\n")
	r := acttest.Alone(t, filepath.Dir(back), "exec")
	for code, again := range map[string]bool{"1": false, "75": true} {
		q := command(back, "0")
		x := q.Remedy.Args.(*remedy.ExecArgs)
		x.Undo, x.Retry = []string{back, code}, []int{75}
		a := ran(t, r, q)
		if err := os.Remove(mark); err != nil {
			t.Fatal(err)
		}
		var refusal *kind.Refusal
		if _, err := r.Undo(t.Context(), a.ID); err == nil || errors.As(err, &refusal) == again {
			t.Errorf("an undo that ends with %s: %v; may be tried again: %v", code, err, again)
		}
		if text, _ := os.ReadFile(mark); string(text) != "x\n" {
			t.Errorf("it ran %q", text)
		}
	}
}

// TestFacts: a fact gets into its own argument and stays there, also of what takes it back; what could be an option, or
// nothing, refuses the remedy.
func TestFacts(t *testing.T) {
	path := acttest.Script(t, "#!/bin/sh\nfor w; do echo \"[$w]\"; done\n")
	r := acttest.Alone(t, filepath.Dir(path), "exec")
	ask := func(unit string) kind.Request {
		q, v := command(path, "--unit=${unit}", "${value}", "a ${instance} $${unit}"), 0.25
		q.Remedy.Args.(*remedy.ExecArgs).Undo = []string{path, "${unit}"}
		q.Unit, q.Attempt.Instance, q.Value = unit, "$(id); 'x' *", &v
		return q
	}
	a := ran(t, r, ask("a.service"))
	if want := `"stdout":"[--unit=a.service]\n[0.25]\n[a $(id); 'x' * ${unit}]\n"`; !strings.Contains(string(a.After), want) {
		t.Errorf("it was run with %s, want %s", a.After, want)
	}
	if !strings.Contains(string(a.Undo), `"a.service"]`) {
		t.Errorf("undo: %s", a.Undo)
	}
	for unit, want := range map[string]string{
		"": "is not known", "-.mount": "undo: the fact unit is \"-.mount\", which would be an option", "a\nb": "no line of text",
	} {
		var refusal *kind.Refusal
		if _, err := r.Prepare(t.Context(), ask(unit)); !errors.As(err, &refusal) || !strings.Contains(refusal.Reason, want) {
			t.Errorf("the unit %q: %v, want %q", unit, err, want)
		}
	}
	look := ask("a.service")
	look.Attempt.ID, look.Value = "", nil // as who only looks at what it would do
	if p, err := r.Prepare(t.Context(), look); err != nil || !strings.Contains(p.Text, "--unit=a.service ${value}") {
		t.Errorf("a dry run: %+v, %v", p, err)
	}
}

// TestSecretsAreHidden: neither the record nor the sentence for people has what looks like a secret.
func TestSecretsAreHidden(t *testing.T) {
	path := acttest.Script(t, "#!/bin/sh\nhead -c 4080 /dev/zero | tr '\\0' x\necho ' password=hunter2hunter2hunter2'\n"+
		"printf '\\033[31mtoken: hunter2\\n' >&2\nexit 1\n")
	a := ran(t, acttest.Alone(t, filepath.Dir(path), "exec"), command(path))
	if all := a.Error + string(a.After); strings.Contains(all, "hunter") || strings.Contains(all, "\x1b") || strings.Contains(all, "u001b") ||
		!strings.Contains(a.Error, "?[31mtoken: [hidden]") {
		t.Errorf("kept is %s, %s", a.Error, a.After)
	}
}

// TestLimitsThatWouldNotHold: a limit that nothing holds is no limit.
func TestLimitsThatWouldNotHold(t *testing.T) {
	home, _ := program.Home()
	limits := program.Limits{Tasks: 5}
	path := acttest.Script(t, "#!/bin/sh\n")
	q := command(path)
	q.Remedy.Args.(*remedy.ExecArgs).Tasks = limits.Tasks
	_, err := acttest.Alone(t, filepath.Dir(path), "exec").Prepare(t.Context(), q)
	if holds := limits.Holds(home) == nil; holds != (err == nil) || !holds && !strings.Contains(err.Error(), "would not hold") {
		t.Errorf("limits hold: %v; %v", holds, err)
	}
}
