package act

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/salveops/salve/agent/internal/act/kind"
	"github.com/salveops/salve/pkg/clock"
	"github.com/salveops/salve/pkg/defaults"
	"github.com/salveops/salve/pkg/incident"
	"github.com/salveops/salve/pkg/remedy"
)

// Undo takes an attempt back and journals that, before and after. Taking back what is taken back
// already changes nothing. It stands above budgets and pauses, not above the allow blocks.
func (r *Runner) Undo(ctx context.Context, id string) (incident.Attempt, error) {
	a, err := r.o.Journal.Attempt(id)
	if err != nil {
		return incident.Attempt{}, fmt.Errorf("undo %s: %w", id, err)
	}
	free, err := r.queue.await(ctx, a, locksOf(a))
	if err != nil {
		return *a, err
	}
	defer free()
	if a, err = r.o.Journal.Attempt(id); err != nil { // as it is now that the target is ours
		return incident.Attempt{}, fmt.Errorf("undo %s: %w", id, err)
	}
	k := r.kinds[remedy.Kind(a.Kind)]
	switch {
	case a.Phase == incident.Undone:
		return *a, nil
	case k == nil || len(a.Undo) == 0:
		return *a, kind.Refuse("%s cannot be taken back", a.Remedy)
	}
	if err := r.allowed(remedy.Kind(a.Kind), a.Target); err != nil {
		return *a, err
	}
	a.Phase = incident.Undoing
	if err := r.o.Journal.PutAttempt(a); err != nil {
		return *a, fmt.Errorf("write intent of undo, nothing was done: %w", err)
	}
	r.o.Log.Info("undoing", "attempt", a.ID, "kind", a.Kind, "target", a.Target)
	inner, cancel := bounded(ctx, defaults.ActionTimeout)
	defer cancel()
	if err := k.Undo(inner, a); err != nil {
		return *a, fmt.Errorf("undo %s on %s: %w", a.Remedy, a.Target, err)
	}
	a.Phase, a.Undone = incident.Undone, clock.Now(r.o.Clock)
	if err := r.o.Journal.PutAttempt(a); err != nil {
		r.o.Log.Error("undo is not on disk", "attempt", a.ID, "error", err)
	}
	return *a, nil
}

// limit is an attempt that is to be taken back at a time.
type limit struct {
	attempt string
	due     time.Duration // CLOCK_BOOTTIME
}

func (r *Runner) expect(l limit) {
	select {
	case r.limited <- l:
	default: // nobody serves, or too many at once: the journal still has it for the next start
		r.o.Log.Warn("limit has no keeper until the agent starts again", "attempt", l.attempt)
	}
}

// longest is how long a limit can last, with room for an agent that was away; its argument is bounded.
const longest = 25 * time.Hour

// retryExpiry is how long a limit stays that could not be taken back, until that is tried again.
const retryExpiry = 10 * time.Second

// Serve takes limits back whose time is over, those of earlier processes too, until ctx ends.
func (r *Runner) Serve(ctx context.Context) error {
	pending, err := r.unexpired()
	if err != nil {
		return err
	}
	for {
		var ring <-chan time.Time
		next := -1
		for i, l := range pending {
			if next < 0 || l.due < pending[next].due {
				next = i
			}
		}
		if next >= 0 {
			ring = time.After(max(0, pending[next].due-r.o.Clock.Now().Boot))
		}
		select {
		case <-ctx.Done():
			return nil
		case l := <-r.limited:
			pending = append(pending, l)
		case <-ring:
			l := pending[next]
			pending = append(pending[:next], pending[next+1:]...)
			if r.expire(ctx, l) {
				continue
			}
			l.due = r.o.Clock.Now().Boot + retryExpiry
			pending = append(pending, l)
		}
	}
}

// expire reports whether nothing more is to be done about l.
func (r *Runner) expire(ctx context.Context, l limit) bool {
	_, err := r.Undo(ctx, l.attempt)
	var refusal *kind.Refusal
	switch {
	case err == nil:
		r.o.Log.Info("limit was taken back, its time is over", "attempt", l.attempt)
		return true
	case errors.As(err, &refusal) && !refusal.Temporary:
		r.o.Log.Error("limit stays", "attempt", l.attempt, "error", err)
		return true
	case ctx.Err() == nil:
		r.o.Log.Warn("limit could not be taken back yet", "attempt", l.attempt, "error", err)
	}
	return ctx.Err() != nil
}

// unexpired finds the limits of earlier processes that are still in force.
func (r *Runner) unexpired() ([]limit, error) {
	attempts, err := r.o.Journal.AttemptsWithin(longest)
	if err != nil {
		return nil, fmt.Errorf("find limits that end: %w", err)
	}
	now := clock.Now(r.o.Clock)
	var found []limit
	for _, a := range attempts {
		if lasts(a) {
			found = append(found, limit{attempt: a.ID, due: now.Boot + a.For - a.Intended.Age(now)})
		}
	}
	return found, nil
}

// lasts reports whether what the attempt did may be in force, and is to be taken back when its time is over.
func lasts(a *incident.Attempt) bool {
	switch a.Phase {
	case incident.Acted, incident.Judged, incident.Undoing, incident.Unknown:
		return a.For > 0
	}
	return false
}

// inForce reports whether an attempt of that kind on the target lasts.
func (r *Runner) inForce(k remedy.Kind, target string) (bool, error) {
	attempts, err := r.o.Journal.AttemptsWithin(longest)
	if err != nil {
		return false, fmt.Errorf("find what lasts: %w", err)
	}
	return slices.ContainsFunc(attempts, func(a *incident.Attempt) bool {
		return a.Kind == string(k) && a.Target == target && lasts(a)
	}), nil
}
