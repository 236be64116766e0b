package act

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/salveops/salve/agent/internal/order"
	"github.com/salveops/salve/agent/internal/systemd"
	"github.com/salveops/salve/pkg/incident"
	"github.com/salveops/salve/pkg/remedy"
)

// stopper stops a unit; undo starts it again.
type stopper struct{ onUnit }

func (stopper) describe(s *step) string { return "stop " + s.target }

func (k stopper) precheck(ctx context.Context, s *step) error {
	u, err := k.ready(ctx, s)
	if err != nil {
		return err
	}
	if err := k.alone(ctx, s, u, remedy.Stop); err != nil {
		return err
	}
	if u.Down() {
		return needless("%s is %s already", u.Name, u.Active)
	}
	s.undo = unitUndo{Start: u.Name}
	return nil
}

func (k stopper) act(ctx context.Context, s *step) error {
	defer k.after(ctx, s)
	return k.job(ctx, s.target, order.Stop)
}

// unitUndo is what taking a stop back needs.
type unitUndo struct {
	Start string `json:"start"`
}

// undo starts the unit again, unless somebody else started it or wants it down. An agent that was
// started since finds the unit down and cannot know who stopped it: then it is still Salve's stop, on
// record here, unless the invocation ID tells of another life in between.
func (k stopper) undo(ctx context.Context, a *incident.Attempt) error {
	var was unitEvidence
	if err := json.Unmarshal(a.Before, &was); err != nil {
		return fmt.Errorf("there is no evidence from before: %w", err)
	}
	u, err := k.look(ctx, a.Target)
	switch {
	case err != nil:
		return err
	case !u.Down():
		return nil
	case u.Load == "masked":
		return refuse("%s was masked meanwhile", u.Name)
	case u.Stopped == systemd.Person && u.InvocationID != was.InvocationID && u.InvocationID != "":
		return refuse("%s was started and stopped by a person meanwhile", u.Name)
	}
	return k.job(ctx, a.Target, order.Start)
}

func (k stopper) settle(ctx context.Context, a *incident.Attempt) (incident.Phase, string) {
	was, now, err := k.settled(ctx, a)
	switch {
	case err != nil:
		return incident.Unknown, err.Error()
	case now.InvocationID != was.InvocationID && now.InvocationID != "": // "" once systemd has unloaded it
		return incident.Unknown, fmt.Sprintf("%s was started since; whether it was stopped before cannot be told", a.Target)
	case now.Down():
		return incident.Acted, fmt.Sprintf("%s is %s", a.Target, now.Active)
	case now.Active == was.Active:
		return incident.NotDone, fmt.Sprintf("%s still runs (invocation %s)", a.Target, now.InvocationID)
	}
	return incident.Unknown, fmt.Sprintf("%s was %s and is %s", a.Target, was.Active, now.Active)
}

// reloader asks a unit to read its configuration again.
type reloader struct{ onUnit }

func (reloader) describe(s *step) string { return "reload " + s.target }

func (k reloader) precheck(ctx context.Context, s *step) error {
	u, err := k.ready(ctx, s)
	switch {
	case err != nil:
		return err
	case u.Down():
		return refuse("%s is %s; only a running unit can be reloaded", u.Name, u.Active)
	case !u.CanReload:
		return refuse("%s has no ExecReload=: it cannot be reloaded", u.Name)
	}
	return k.alone(ctx, s, u, remedy.Reload)
}

func (k reloader) act(ctx context.Context, s *step) error {
	defer k.after(ctx, s)
	return k.job(ctx, s.target, order.Reload)
}

// settle: a reload leaves no trace.
func (k reloader) settle(context.Context, *incident.Attempt) (incident.Phase, string) {
	return incident.Unknown, "a reload leaves nothing behind by which it could be told"
}
