package act_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/salveops/salve/agent/internal/act/acttest"
	"github.com/salveops/salve/pkg/incident"
	"github.com/salveops/salve/pkg/permit"
	"github.com/salveops/salve/pkg/remedy"
)

// agent-frozen-between-check-and-act: the last question comes when the intent, with its permit, is on disk. A no
// means that nothing is done, also by the next life of the agent.
func TestGate(t *testing.T) {
	g := acttest.New(t, "a.service", acttest.Sleeper)
	was := g.Up("a.service")
	held := &permit.Held{Token: permit.Token{Generation: "g1", N: 7}, Epoch: 3, Targets: []permit.Target{{Service: "a"}}}
	frozen := errors.New("permit 7@g1 was for an attempt that begins sooner")
	q := acttest.Ask(remedy.Restart, "a.service")
	p, err := g.Runner.Prepare(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	p.Permit, p.Gate = held, func() error {
		a, err := g.Journal.Attempt(q.Attempt.ID)
		if err != nil || a.Phase != incident.Intended {
			t.Errorf("the gate is asked before the intent is on disk: %v", err)
			return nil
		}
		if diff := cmp.Diff(held, a.Permit); diff != "" {
			t.Errorf("the permit on disk (-want +got):\n%s", diff)
		}
		return frozen
	}
	if _, err := g.Runner.Run(t.Context(), p); !errors.Is(err, frozen) {
		t.Errorf("run: %v", err)
	}
	if u, _ := g.Watcher.Unit("a.service"); u.InvocationID != was.InvocationID {
		t.Error("it was restarted")
	}
	a, err := g.Journal.Attempt(q.Attempt.ID)
	if err != nil || a.Phase != incident.Refused || a.Reason != frozen.Error() {
		t.Errorf("on disk is %+v, %v", a, err)
	}
	if open := g.NewRunner(acttest.Everything()).Settle(t.Context()); len(open) != 0 {
		t.Errorf("the next life finds %+v", open)
	}

	p, err = g.Runner.Prepare(t.Context(), acttest.Ask(remedy.Restart, "a.service"))
	if err != nil {
		t.Fatal(err)
	}
	asked := 0
	p.Gate = func() error { asked++; return nil }
	if a, err := g.Runner.Run(t.Context(), p); err != nil || a.Error != "" || asked != 1 {
		t.Errorf("run: %+v, %v, asked %d times", a, err, asked)
	}
}

func TestQuietUnit(t *testing.T) {
	g := acttest.New(t, "a.service", acttest.Sleeper)
	g.Up("a.service")
	unit := incident.Attempt{Kind: string(remedy.Restart), Target: "a.service"}
	if !g.Runner.Quiet(&unit) {
		t.Error("a unit without a job is not quiet")
	}
	unit.Target = "nobody.service"
	if g.Runner.Quiet(&unit) {
		t.Error("a unit that is not known is quiet")
	}
}
