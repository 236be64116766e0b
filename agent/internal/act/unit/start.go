package unit

import (
	"context"
	"errors"
	"fmt"

	"github.com/salveops/salve/agent/internal/act/kind"
	"github.com/salveops/salve/agent/internal/order"
	"github.com/salveops/salve/agent/internal/systemd"
	"github.com/salveops/salve/pkg/incident"
	"github.com/salveops/salve/pkg/remedy"
)

// limitHit is systemd's word for a unit that was started too often in a short time. It starts again only
// after a reset.
const limitHit = "start-limit-hit"

// Starter starts a unit that is down. That takes nothing away, so it is never disruptive.
type Starter struct{ Units }

func (Starter) Describe(s *kind.Step) string { return "start " + s.Target }

func (k Starter) Precheck(ctx context.Context, s *kind.Step) error {
	u, err := k.ready(ctx, s)
	if err != nil {
		return err
	}
	if err := k.alone(ctx, s, u, remedy.Start); err != nil {
		return err
	}
	if !u.Down() {
		return kind.Needless("%s is %s already", u.Name, u.Active)
	}
	return nil
}

func (k Starter) Act(ctx context.Context, s *kind.Step) error {
	return k.up(ctx, s, order.Start)
}

func (k Starter) Settle(ctx context.Context, a *incident.Attempt) (incident.Phase, string) {
	return k.replaced(ctx, a)
}

// Restarter stops and starts a unit in one job.
type Restarter struct{ Units }

func (Restarter) Describe(s *kind.Step) string { return "restart " + s.Target }

func (k Restarter) Precheck(ctx context.Context, s *kind.Step) error {
	u, err := k.ready(ctx, s)
	if err != nil {
		return err
	}
	s.Disruptive = !u.Down()
	return k.alone(ctx, s, u, remedy.Restart)
}

func (k Restarter) Act(ctx context.Context, s *kind.Step) error {
	return k.up(ctx, s, order.Restart)
}

func (k Restarter) Settle(ctx context.Context, a *incident.Attempt) (incident.Phase, string) {
	return k.replaced(ctx, a)
}

// up runs a job that brings the unit up, and deals with systemd's start limit: it is reset once, either
// before, when it is known to be hit, or when this very start ran into it. Salve's own budget is what
// keeps a unit from being started for ever.
func (k Units) up(ctx context.Context, s *kind.Step, verb string) error {
	defer k.after(ctx, s)
	u, err := k.look(ctx, s.Target)
	if err != nil {
		return err
	}
	was, reset := u.InvocationID, s.ResetFailed || u.Result == limitHit
	if reset {
		if err := k.reset(ctx, s.Target); err != nil {
			return err
		}
	}
	err = k.job(ctx, s.Target, verb)
	var failed jobError
	if reset || !errors.As(err, &failed) {
		return err
	}
	u, readErr := k.Systemd.Read(ctx, s.Target)
	if readErr != nil || !limited(u, was) {
		return err
	}
	if err := k.reset(ctx, s.Target); err != nil {
		return err
	}
	return k.job(ctx, s.Target, verb)
}

// limited reports whether a start that failed ran into the start limit. systemd keeps the Result of the
// failure before, if there was one; but a start that the limit stops never gets an invocation ID.
func limited(u systemd.Unit, was string) bool {
	return u.Result == limitHit || u.Active == "failed" && u.InvocationID == was
}

func (k Units) reset(ctx context.Context, unit string) error {
	if _, err := k.give(ctx, order.Order{Verb: order.ResetFailed, Unit: unit}); err != nil {
		return fmt.Errorf("reset start limit of %s: %w", unit, err)
	}
	return nil
}

// replaced settles a start or restart: each start of a unit has an invocation ID of its own.
func (k Units) replaced(ctx context.Context, a *incident.Attempt) (incident.Phase, string) {
	was, now, err := k.settled(ctx, a)
	switch {
	case err != nil:
		return incident.Unknown, err.Error()
	case now.InvocationID != was.InvocationID && now.InvocationID != "": // "" once systemd has unloaded it
		return incident.Acted, fmt.Sprintf("%s was started since (invocation %s)", a.Target, now.InvocationID)
	case now.Active == was.Active && now.MainPID == was.MainPID:
		return incident.NotDone, fmt.Sprintf("%s is the same as before (invocation %s)", a.Target, now.InvocationID)
	}
	return incident.Unknown, fmt.Sprintf("%s was %s and is %s, but was not started", a.Target, was.Active, now.Active)
}
