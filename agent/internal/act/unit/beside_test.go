package unit_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/salveops/salve/agent/internal/act/acttest"
	"github.com/salveops/salve/agent/internal/act/kind"
	"github.com/salveops/salve/agent/internal/systemd"
	"github.com/salveops/salve/pkg/remedy"
)

// Whatever is done to one unit, and done once more, and taken back: no other one notices, nor does a unit file.
func TestNothingBeside(t *testing.T) {
	t.Parallel()
	const reloads = acttest.Sleeper + "ExecReload=/bin/true\n"
	g := acttest.New(t, "a.service", reloads, "b.service", reloads, "worker@1.service", acttest.Sleeper)
	g.Up("a.service")
	g.RequireLimit(map[string]string{"TasksMax": "1000"})
	g.Up("b.service")
	g.Up("worker@1.service")
	// others is what systemd says of every other unit.
	others := func() map[string]string {
		t.Helper()
		text, err := g.Systemctl("show", "*", "-p", "Id,ActiveState,SubState,InvocationID,MainPID,NRestarts,TasksMax,DropInPaths,FragmentPath")
		if err != nil {
			t.Fatal(err)
		}
		all := map[string]string{}
		for one := range strings.SplitSeq(text, "\n\n") {
			for line := range strings.Lines(one + "\n") {
				if name, ok := strings.CutPrefix(strings.TrimSpace(line), "Id="); ok {
					all[name] = one
				}
			}
		}
		delete(all, "a.service")
		return all
	}
	settled := func(up bool) {
		g.Becomes("a.service", "settled", func(u systemd.Unit) bool { return u.Job == 0 && u.Down() != up && (u.ControlGroup != "" || !up) })
	}
	before := others()
	if !strings.Contains(before["b.service"], "ActiveState=active") || !strings.Contains(before["worker@1.service"], "MainPID=") {
		t.Fatalf("systemd knows of %q", before)
	}
	for _, ask := range []func() kind.Request{
		func() kind.Request { return acttest.Ask(remedy.Restart, "a.service") },
		func() kind.Request { return acttest.Ask(remedy.Reload, "a.service") },
		func() kind.Request { return acttest.Ask(remedy.Stop, "a.service") },
		func() kind.Request { return acttest.Ask(remedy.Kill, "a.service") },
		func() kind.Request {
			return acttest.Ask(remedy.Kill, "a.service", &remedy.KillArgs{Whom: "all", Signal: "SIGTERM"})
		},
		func() kind.Request { return acttest.SetProperty("a.service", map[string]string{"TasksMax": "33"}) },
	} {
		for range 2 {
			q := ask()
			a := g.Must(q)
			down := q.Remedy.Kind == remedy.Stop || q.Remedy.Kind == remedy.Kill
			settled(!down)
			if len(a.Undo) > 0 {
				if _, err := g.Runner.Undo(t.Context(), a.ID); err != nil {
					t.Error(err)
				}
			} else if down {
				g.Must(acttest.Ask(remedy.Start, "a.service"))
			}
			settled(true)
		}
		if diff := cmp.Diff(before, others()); diff != "" {
			t.Errorf("%s: %s", ask().Remedy.Kind, diff)
		}
	}
}
