// Package unit holds the kinds of remedies that act on a systemd unit, and what others of them need for theirs: jobs and
// signals, through systemd or the helper, that touch nothing but what is allowed.
package unit

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/salveops/salve/agent/internal/act/kind"
	"github.com/salveops/salve/agent/internal/order"
	"github.com/salveops/salve/agent/internal/systemd"
	"github.com/salveops/salve/pkg/incident"
	"github.com/salveops/salve/pkg/remedy"
)

// Units is what all kinds have in common that act on a systemd unit.
type Units struct {
	*kind.Host
	kind.NoUndo
	self *self
}

// New prepares the kinds that act on units of the host.
func New(h *kind.Host) Units { return Units{Host: h, self: &self{group: GroupOf("self")}} }

// unitEvidence is what identifies one life of a unit, for telling later whether it was replaced.
type unitEvidence struct {
	Active       string        `json:"active"`
	Sub          string        `json:"sub"`
	Result       string        `json:"result,omitempty"`
	InvocationID string        `json:"invocation_id,omitempty"`
	MainPID      int           `json:"main_pid,omitempty"`
	Started      time.Duration `json:"started,omitempty"` // CLOCK_BOOTTIME of the main process
}

func evidenceOf(u systemd.Unit) unitEvidence {
	return unitEvidence{Active: u.Active, Sub: u.Sub, Result: u.Result, InvocationID: u.InvocationID,
		MainPID: u.MainPID, Started: u.ExecMainStart}
}

// Target resolves aliases: allow blocks, polkit and locks know a unit by its primary name only.
func (k Units) Target(ctx context.Context, q kind.Request) (string, error) {
	name := cmp.Or(q.Remedy.Args.Names(), q.Unit)
	if wrong := remedy.CheckUnitName(name, false); wrong != "" {
		return "", kind.Refuse("%s", wrong)
	}
	u, err := k.look(ctx, name)
	return u.Name, err
}

// Part is the step for one unit of a remedy that has several parts. The unit must be allowed by its primary name, whatever
// the remedy calls it.
func (k Units) Part(ctx context.Context, s *kind.Step, does remedy.Kind, name string) (*kind.Step, error) {
	part := s.Part(does, name, &remedy.UnitArgs{Unit: name})
	var err error
	if part.Target, err = k.Target(ctx, part.Request); err != nil {
		return nil, err
	}
	if !k.Allowed(does, part.Target) {
		return nil, kind.Refuse("no allow block of this host permits %s on %s", does, part.Target)
	}
	return part, nil
}

// look is the unit as it is now: from the watcher's memory if it is watched, which costs nothing.
func (k Units) look(ctx context.Context, name string) (systemd.Unit, error) {
	if u, ok := k.Systemd.Unit(name); ok {
		return u, nil
	}
	u, err := k.Systemd.Read(ctx, name)
	if err != nil {
		return u, kind.Unknown("the state of "+name, err)
	}
	return u, nil
}

// ready looks at the step's unit and refuses when people, systemd or Salve's own needs forbid to touch
// it: what a person did by hand wins, and what systemd is doing is left to end first.
func (k Units) ready(ctx context.Context, s *kind.Step) (systemd.Unit, error) {
	u, err := k.look(ctx, s.Target)
	if err != nil {
		return u, err
	}
	s.Before = evidenceOf(u)
	switch {
	case u.Load == "masked":
		return u, kind.Refuse("%s is masked: a person wants it not to run", u.Name)
	case u.Load == "not-found":
		return u, kind.Refuse("%s does not exist: its unit file is gone", u.Name)
	case u.Load != "loaded":
		return u, kind.Refuse("systemd could not load %s (%s)", u.Name, u.Load)
	}
	if err := k.Unprotected(ctx, u); err != nil {
		return u, err
	}
	switch {
	case k.Systemd.SystemState() == "stopping":
		return u, kind.Refuse("the system is shutting down")
	case u.Stopped == systemd.Person && u.Down() && !s.ByPerson && !s.Idle:
		return u, kind.Refuse("%s was stopped by a person and stays stopped", u.Name)
	case u.AutoRestart():
		return u, kind.Postpone("systemd itself is about to restart %s", u.Name)
	case u.Active != "active" && !u.Down():
		return u, kind.Postpone("%s is %s", u.Name, u.Active)
	case u.Job != 0:
		return u, kind.Postpone("systemd has a job for %s in its queue", u.Name)
	}
	return u, nil
}

// after is the evidence from after an action. It costs nothing for a watched unit, whose signals all
// came before the end of its job.
func (k Units) after(ctx context.Context, s *kind.Step) {
	if u, err := k.look(ctx, s.Target); err == nil {
		s.After = evidenceOf(u)
	}
}

// settled reads the unit when systemd answers again and has no job for it left, with the evidence from
// before.
func (k Units) settled(ctx context.Context, a *incident.Attempt) (was unitEvidence, now systemd.Unit, err error) {
	if err := json.Unmarshal(a.Before, &was); err != nil {
		return was, now, fmt.Errorf("there is no evidence from before: %w", err)
	}
	idle := kind.Eventually(ctx, 20*time.Millisecond, func() bool {
		now, err = k.Systemd.Read(ctx, a.Target)
		return err == nil && now.Job == 0
	})
	switch {
	case err != nil:
		return was, now, err
	case !idle:
		return was, now, fmt.Errorf("systemd still has a job for %s", a.Target)
	}
	return was, now, nil
}

// Repeatable: undoing on a unit puts it into a state, however often.
func (Units) Repeatable() bool { return true }

// Quiet reports whether systemd has no job for the unit.
func (k Units) Quiet(a *incident.Attempt) bool {
	u, ok := k.Systemd.Unit(a.Target)
	return ok && u.Job == 0
}

// give has one order carried out that changes a unit, by the helper if there is one and else by systemd, which asks
// polkit. Not one after the other: what is refused here would be refused there. The job that it became is queued and
// not over; its end is a signal of systemd's in both cases, so that without a connection to it nothing is begun.
func (k Units) give(ctx context.Context, o order.Order) (job int, err error) {
	c, err := k.Systemd.Conn()
	if err != nil {
		return 0, fmt.Errorf("nothing was done: %w", err)
	}
	if k.Helper.Present() {
		return k.Helper.Ask(ctx, o)
	}
	return order.Do(ctx, c, o)
}

// ReloadManager has systemd read all unit files and drop-ins again, because those of this unit have changed.
func (k Units) ReloadManager(ctx context.Context, unit string) error {
	_, err := k.give(ctx, order.Order{Verb: order.ReloadManager, Unit: unit})
	return err
}

// job queues one job and waits for its end.
func (k Units) job(ctx context.Context, unit, verb string) error {
	e := k.Systemd.Expect(unit)
	defer e.Close()
	id, err := k.give(ctx, order.Order{Verb: verb, Unit: unit})
	e.Job(uint32(id))
	if err != nil {
		return err
	}
	result, err := e.Wait(ctx)
	switch {
	case errors.Is(err, systemd.ErrDisconnected):
		return kind.ErrLost
	case err != nil:
		return err
	case result != "done":
		return jobError{unit, result}
	}
	return nil
}

// jobError is a job that ended otherwise than done.
type jobError struct{ unit, result string }

func (e jobError) Error() string {
	return fmt.Sprintf("systemd's job for %s ended as %q", e.unit, e.result)
}
