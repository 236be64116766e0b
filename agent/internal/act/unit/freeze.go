package unit

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/salveops/salve/agent/internal/act/kind"
	"github.com/salveops/salve/agent/internal/order"
	"github.com/salveops/salve/agent/internal/systemd"
	"github.com/salveops/salve/pkg/incident"
)

// Freezer lets a unit's processes wait where they are, in memory and with their connections open; undo lets them go on.
type Freezer struct{ Units }

// thawed is systemd's word for a unit that is neither frozen nor on its way there or back.
const thawed = "running"

func (Freezer) Describe(s *kind.Step) string { return "freeze " + s.Target }

func (k Freezer) Precheck(ctx context.Context, s *kind.Step) error {
	u, err := k.ready(ctx, s)
	switch {
	case err != nil:
		return err
	case u.Down():
		return kind.Refuse("%s is %s: there is nothing to freeze", u.Name, u.Active)
	}
	if err := k.freezable(u); err != nil {
		return err
	}
	state, watchdog, err := k.freezer(ctx, u.Name)
	switch {
	case err != nil:
		return kind.Unknown("whether "+u.Name+" is frozen", err)
	case state != thawed:
		return kind.Refuse("%s is %s already", u.Name, state)
	case watchdog:
		return kind.Refuse("%s has a watchdog, which would end it while it is frozen", u.Name)
	}
	s.Undo = frozenUndo{Thaw: u.Name}
	return nil
}

// frozenUndo is what taking it back needs.
type frozenUndo struct {
	Thaw string `json:"thaw"`
}

// freezable refuses where systemd does not freeze, of which its CanFreeze says nothing: it uses the freezer of version 2 of
// control groups, and only if it keeps its units in no other.
func (k Freezer) freezable(u systemd.Unit) error {
	l, err := limitsOf(u.Name, u.ControlGroup, k.Systemd.ControlGroup())
	if err != nil {
		return err
	}
	if at, err := l.sits("name=systemd"); err == nil && Inside(at, l.group) {
		return kind.Refuse("systemd keeps %s in version 1 of control groups, which it cannot freeze", u.Name)
	}
	if _, err := os.Stat(filepath.Join(l.trees[""].folder(l.group), "cgroup.freeze")); err != nil {
		return kind.Refuse("the kernel cannot freeze %s: %v", u.Name, err)
	}
	return nil
}

// freezer is what systemd says of a service: whether it is frozen, and whether it must give signs of life.
func (k Freezer) freezer(ctx context.Context, unit string) (state string, watchdog bool, err error) {
	c, err := k.Systemd.Conn()
	if err != nil {
		return "", false, err
	}
	p, err := c.GetUnitPropertyContext(ctx, unit, "FreezerState")
	if err != nil {
		return "", false, fmt.Errorf("read FreezerState of %s: %w", unit, err)
	}
	w, err := c.GetUnitTypePropertyContext(ctx, unit, "Service", "WatchdogUSec")
	if err != nil {
		return "", false, fmt.Errorf("read WatchdogUSec of %s: %w", unit, err)
	}
	state, _ = p.Value.Value().(string)
	every, _ := w.Value.Value().(uint64)
	return state, every > 0, nil
}

func (k Freezer) Act(ctx context.Context, s *kind.Step) error {
	defer k.after(ctx, s)
	_, err := k.give(ctx, order.Order{Verb: order.Freeze, Unit: s.Target})
	return err
}

// Undo thaws the life of the unit that was frozen. A later one is thawed, unless a person froze it.
func (k Freezer) Undo(ctx context.Context, a *incident.Attempt) error {
	var was unitEvidence
	if err := json.Unmarshal(a.Before, &was); err != nil {
		return fmt.Errorf("there is no evidence from before: %w", err)
	}
	u, err := k.look(ctx, a.Target)
	if err != nil || u.Down() || u.InvocationID != was.InvocationID {
		return err
	}
	if state, _, err := k.freezer(ctx, u.Name); err != nil || state == thawed {
		return err
	}
	_, err = k.give(ctx, order.Order{Verb: order.Thaw, Unit: u.Name})
	return err
}

func (k Freezer) Settle(ctx context.Context, a *incident.Attempt) (incident.Phase, string) {
	was, now, err := k.settled(ctx, a)
	if err != nil {
		return incident.Unknown, err.Error()
	}
	state, _, err := k.freezer(ctx, a.Target)
	switch {
	case err != nil:
		return incident.Unknown, err.Error()
	case now.InvocationID != was.InvocationID:
		return incident.Unknown, fmt.Sprintf("%s was started anew; whether it was frozen before cannot be told", a.Target)
	case state == thawed:
		return incident.NotDone, a.Target + " is not frozen"
	}
	return incident.Acted, fmt.Sprintf("%s is %s", a.Target, state)
}
