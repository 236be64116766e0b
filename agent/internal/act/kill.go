package act

import (
	"cmp"
	"context"
	"fmt"

	"github.com/salveops/salve/agent/internal/order"
	"github.com/salveops/salve/pkg/defaults"
	"github.com/salveops/salve/pkg/incident"
)

// killer sends a signal to the processes of a unit, through systemd, which knows them better than
// anybody: a process ID may long belong to another process.
type killer struct{ onUnit }

func (k killer) describe(s *step) string {
	if killWhom(s) == "all" {
		return fmt.Sprintf("send %s to every process of %s", killSignal(s), s.target)
	}
	return fmt.Sprintf("send %s to the main process of %s", killSignal(s), s.target)
}

func killSignal(s *step) string { return cmp.Or(s.args().Signal, defaults.KillSignal) }
func killWhom(s *step) string   { return cmp.Or(s.args().Whom, defaults.KillWhom) }

func killOrder(s *step) order.Order {
	return order.Order{Verb: order.Kill, Unit: s.target, Signal: killSignal(s), Whom: killWhom(s)}
}

// killEvidence adds to the unit's what was sent to it.
type killEvidence struct {
	unitEvidence
	Signal string `json:"signal"`
}

func (k killer) precheck(ctx context.Context, s *step) error {
	u, err := k.ready(ctx, s)
	if err != nil {
		return err
	}
	s.before = killEvidence{evidenceOf(u), killSignal(s)}
	if err := killOrder(s).Check(); err != nil {
		return refuse("%v", err)
	}
	if u.Down() {
		return refuse("%s is %s: there is nothing to send a signal to", u.Name, u.Active)
	}
	// 0 would be our own process group, 1 the init process.
	if killWhom(s) == "main" && u.MainPID <= 1 {
		return refuse("%s has no main process", u.Name)
	}
	return nil
}

func (k killer) act(ctx context.Context, s *step) error {
	defer k.after(ctx, s)
	_, err := k.give(ctx, killOrder(s))
	return err
}

func (k killer) settle(ctx context.Context, a *incident.Attempt) (incident.Phase, string) {
	was, now, err := k.settled(ctx, a)
	same := now.InvocationID == was.InvocationID && now.MainPID == was.MainPID && now.ExecMainStart == was.Started
	switch {
	case err != nil:
		return incident.Unknown, err.Error()
	case !same:
		return incident.Acted, fmt.Sprintf("main process %d of %s is gone", was.MainPID, a.Target)
	}
	return incident.Unknown, fmt.Sprintf("main process %d of %s still runs; whether the signal came cannot be told",
		was.MainPID, a.Target)
}
