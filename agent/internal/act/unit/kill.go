package unit

import (
	"cmp"
	"context"
	"fmt"

	"github.com/salveops/salve/agent/internal/act/kind"
	"github.com/salveops/salve/agent/internal/order"
	"github.com/salveops/salve/pkg/defaults"
	"github.com/salveops/salve/pkg/incident"
	"github.com/salveops/salve/pkg/remedy"
)

// Killer sends a signal to the processes of a unit, through systemd, which knows them better than
// anybody: a process ID may long belong to another process.
type Killer struct{ Units }

func (k Killer) Describe(s *kind.Step) string {
	if killWhom(s) == "all" {
		return fmt.Sprintf("send %s to every process of %s", killSignal(s), s.Target)
	}
	return fmt.Sprintf("send %s to the main process of %s", killSignal(s), s.Target)
}

func killArgs(s *kind.Step) *remedy.KillArgs { return s.Remedy.Args.(*remedy.KillArgs) }

func killSignal(s *kind.Step) string { return cmp.Or(killArgs(s).Signal, defaults.KillSignal) }
func killWhom(s *kind.Step) string   { return cmp.Or(killArgs(s).Whom, defaults.KillWhom) }

func killOrder(s *kind.Step) order.Order {
	return order.Order{Verb: order.Kill, Unit: s.Target, Signal: killSignal(s), Whom: killWhom(s)}
}

// killEvidence adds to the unit's what was sent to it.
type killEvidence struct {
	unitEvidence
	Signal string `json:"signal"`
}

func (k Killer) Precheck(ctx context.Context, s *kind.Step) error {
	u, err := k.ready(ctx, s)
	if err != nil {
		return err
	}
	s.Before = killEvidence{evidenceOf(u), killSignal(s)}
	if err := killOrder(s).Check(); err != nil {
		return kind.Refuse("%v", err)
	}
	if u.Down() {
		return kind.Refuse("%s is %s: there is nothing to send a signal to", u.Name, u.Active)
	}
	// 0 would be our own process group, 1 the init process.
	if killWhom(s) == "main" && u.MainPID <= 1 {
		return kind.Refuse("%s has no main process", u.Name)
	}
	return nil
}

func (k Killer) Act(ctx context.Context, s *kind.Step) error {
	defer k.after(ctx, s)
	_, err := k.give(ctx, killOrder(s))
	return err
}

func (k Killer) Settle(ctx context.Context, a *incident.Attempt) (incident.Phase, string) {
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
