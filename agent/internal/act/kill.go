package act

import (
	"cmp"
	"context"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/salveops/salve/agent/internal/systemd"
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
	if _, known := whom[killWhom(s)]; !known || unix.SignalNum(killSignal(s)) == 0 {
		return refuse("there is no signal %q to %q", killSignal(s), killWhom(s))
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
	return k.call(ctx, func(c *systemd.Calls) error {
		return c.KillUnitWithTarget(ctx, s.target, whom[killWhom(s)], int32(unix.SignalNum(killSignal(s))))
	})
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
