package act

import (
	"context"
	"errors"
	"fmt"

	"github.com/salveops/salve/agent/internal/act/kind"
	"github.com/salveops/salve/pkg/clock"
	"github.com/salveops/salve/pkg/defaults"
	"github.com/salveops/salve/pkg/incident"
	"github.com/salveops/salve/pkg/remedy"
)

// Undo takes an attempt back and journals that, before and after. Taking back what is taken back
// already changes nothing. It stands above budgets and pauses, not above the allow blocks. A *kind.Refusal that is not
// Temporary is the last word: the attempt is then as it was before, Stays says why, and its kind is not asked again. After
// any other error it is Undoing, if that had begun, and may be tried again. ErrStopping says that it had not begun.
func (r *Runner) Undo(ctx context.Context, id string) (incident.Attempt, error) {
	a, _, err := r.takeBack(ctx, id)
	return a, err
}

// takeBack is Undo. done is true when it was this call that took the attempt back, or found out that it stays for good.
func (r *Runner) takeBack(ctx context.Context, id string) (_ incident.Attempt, done bool, err error) {
	a, err := r.o.Journal.Attempt(id)
	if err != nil {
		return incident.Attempt{}, false, fmt.Errorf("undo %s: %w", id, err)
	}
	free, err := r.queue.await(ctx, a, locksOf(a))
	if err != nil {
		return *a, false, err
	}
	defer free()
	if a, err = r.o.Journal.Attempt(id); err != nil { // as it is now that the target is ours
		return incident.Attempt{}, false, fmt.Errorf("undo %s: %w", id, err)
	}
	k := r.kinds[remedy.Kind(a.Kind)]
	switch {
	case a.Phase == incident.Undone:
		return *a, false, nil
	case a.Stays != "":
		return *a, false, kind.Refuse("%s", a.Stays)
	case k == nil || len(a.Undo) == 0:
		return *a, false, kind.Refuse("%s cannot be taken back", a.Remedy)
	}
	if err := r.allowed(remedy.Kind(a.Kind), a.Target); err != nil {
		return *a, false, err
	}
	err = r.undo(ctx, k, a)
	return *a, a.Phase != incident.Undoing, err
}

// undo takes back what is to be taken back.
func (r *Runner) undo(ctx context.Context, k kind.Kind, a *incident.Attempt) error {
	was := a.Phase
	a.Phase = incident.Undoing
	if err := r.o.Journal.PutAttempt(a); err != nil {
		return fmt.Errorf("write intent of undo, nothing was done: %w", err)
	}
	r.o.Log.Info("undoing", "attempt", a.ID, "kind", a.Kind, "target", a.Target)
	inner, cancel := bounded(ctx, defaults.ActionTimeout)
	defer cancel()
	err := k.Undo(inner, a)
	var refusal *kind.Refusal
	switch {
	case err == nil:
		a.Phase, a.Undone = incident.Undone, clock.Now(r.o.Clock)
	case errors.As(err, &refusal) && !refusal.Temporary:
		a.Phase, a.Stays = before(a, was), err.Error()
	}
	if err != nil {
		err = fmt.Errorf("undo %s on %s: %w", a.Remedy, a.Target, err)
	}
	if a.Phase == incident.Undoing { // as the journal has it
		return err
	}
	if failed := r.o.Journal.PutAttempt(a); failed != nil {
		r.o.Log.Error("end of undo is not on disk", "attempt", a.ID, "error", failed)
	}
	return err
}

// before is the phase of an attempt without its undo, which began or was to begin when it was in phase was.
func before(a *incident.Attempt, was incident.Phase) incident.Phase {
	switch {
	case was != incident.Undoing:
		return was
	case a.Outcome != "":
		return incident.Judged
	}
	return incident.Unknown
}
