package unit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/salveops/salve/agent/internal/act/kind"
	"github.com/salveops/salve/agent/internal/order"
	"github.com/salveops/salve/pkg/incident"
	"github.com/salveops/salve/pkg/remedy"
)

// Stopper stops a unit; undo starts it again, and what went along with it.
type Stopper struct{ Units }

func (Stopper) Describe(s *kind.Step) string {
	text := "stop " + s.Target
	if u, _ := s.Undo.(unitUndo); len(u.Along) > 0 {
		text += ", and with it " + strings.Join(slices.Sorted(maps.Keys(u.Along)), ", ")
	}
	return text
}

func (k Stopper) Precheck(ctx context.Context, s *kind.Step) error {
	u, err := k.ready(ctx, s)
	if err != nil {
		return err
	}
	along, err := k.along(ctx, s, u, remedy.Stop)
	if err != nil {
		return err
	}
	if u.Down() {
		return kind.Needless("%s is %s already", u.Name, u.Active)
	}
	s.Undo = unitUndo{Start: u.Name, Along: along}
	return nil
}

func (k Stopper) Act(ctx context.Context, s *kind.Step) error {
	defer k.after(ctx, s)
	return k.job(ctx, s.Target, order.Stop)
}

// unitUndo is what taking a stop back needs.
type unitUndo struct {
	Start string            `json:"start"`
	Along map[string]string `json:"along,omitempty"` // units that the stop takes along, with the invocation ID of each
}

// ByPerson reports whether a person was seen to stop the unit after the attempt did.
func (k Stopper) ByPerson(a *incident.Attempt) bool {
	var was unitEvidence
	_ = json.Unmarshal(a.Before, &was) // without evidence it is another life
	return k.stoppedSince(a.Target, was.InvocationID)
}

// stoppedSince reports whether a person was seen to stop the unit in another life than the one of that invocation ID, which
// is the one that was stopped. What is down since that one is so by the stop on record, whatever an agent takes it for that
// was started since.
func (k Stopper) stoppedSince(unit, invocation string) bool {
	u, _ := k.Systemd.Unit(unit) // one that systemd has forgotten has no life that it knows
	return k.Systemd.StoppedByPerson(unit) && u.InvocationID != invocation
}

// Undo starts the unit again, and then what went along with it. What people want down of the latter keeps the rest from nothing.
func (k Stopper) Undo(ctx context.Context, a *incident.Attempt) error {
	var was unitEvidence
	if err := json.Unmarshal(a.Before, &was); err != nil {
		return fmt.Errorf("there is no evidence from before: %w", err)
	}
	var kept unitUndo
	if err := json.Unmarshal(a.Undo, &kept); err != nil {
		return fmt.Errorf("read what went along: %w", err)
	}
	if err := k.back(ctx, a.Target, was.InvocationID); err != nil {
		return err
	}
	var stay []error
	for _, name := range slices.Sorted(maps.Keys(kept.Along)) {
		err := k.backAlong(ctx, name, kept.Along[name])
		var refusal *kind.Refusal
		if err != nil && (!errors.As(err, &refusal) || refusal.Temporary) {
			return err
		}
		stay = append(stay, err)
	}
	return errors.Join(stay...)
}

// backAlong is back for a unit that went along, if the allow blocks still let it be stopped, and so started again.
func (k Stopper) backAlong(ctx context.Context, unit, invocation string) error {
	if !k.Allowed(remedy.Stop, unit) {
		return kind.Refuse("no allow block of this host permits %s on %s", remedy.Stop, unit)
	}
	return k.back(ctx, unit, invocation)
}

// back starts a unit again that was stopped in the life of that invocation ID, unless somebody else started it or wants it
// down.
func (k Stopper) back(ctx context.Context, unit, invocation string) error {
	u, err := k.look(ctx, unit)
	switch {
	case err != nil:
		return err
	case u.Active == "deactivating": // a stop that outlasted its time
		return kind.Postpone("%s is still stopping", u.Name)
	case !u.Down():
		return nil
	case u.Load == "masked":
		return kind.Refuse("%s was masked meanwhile", u.Name)
	case k.stoppedSince(unit, invocation):
		return kind.Refuse("%s was started and stopped by a person meanwhile", u.Name)
	}
	return k.job(ctx, unit, order.Start)
}

func (k Stopper) Settle(ctx context.Context, a *incident.Attempt) (incident.Phase, string) {
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

// Reloader asks a unit to read its configuration again.
type Reloader struct{ Units }

func (Reloader) Describe(s *kind.Step) string { return "reload " + s.Target }

func (k Reloader) Precheck(ctx context.Context, s *kind.Step) error {
	u, err := k.ready(ctx, s)
	switch {
	case err != nil:
		return err
	case u.Down():
		return kind.Refuse("%s is %s; only a running unit can be reloaded", u.Name, u.Active)
	case !u.CanReload:
		return kind.Refuse("%s has no ExecReload=: it cannot be reloaded", u.Name)
	}
	return k.alone(ctx, s, u, remedy.Reload)
}

func (k Reloader) Act(ctx context.Context, s *kind.Step) error {
	defer k.after(ctx, s)
	return k.job(ctx, s.Target, order.Reload)
}

// settle: a reload leaves no trace.
func (k Reloader) Settle(context.Context, *incident.Attempt) (incident.Phase, string) {
	return incident.Unknown, "a reload leaves nothing behind by which it could be told"
}
