package act

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/salveops/salve/agent/internal/act/kind"
	"github.com/salveops/salve/agent/internal/journal"
	"github.com/salveops/salve/pkg/clock"
	"github.com/salveops/salve/pkg/defaults"
	"github.com/salveops/salve/pkg/incident"
)

// Run carries out a plan: everything is checked once more, the intent goes to disk, then the action
// runs, then its result goes to disk. An error means that nothing was done: a *kind.Refusal, or an intent
// that could not be written. An action that failed is an attempt with its Error set; if nobody can
// tell whether it worked, its Phase is Unknown too.
func (r *Runner) Run(ctx context.Context, p Plan) (incident.Attempt, error) {
	q := p.request
	if q.Attempt.ID == "" {
		return incident.Attempt{}, kind.Refuse("the attempt has no ID, so that it could run twice")
	}
	free, err := r.occupy(p.Target)
	if err != nil {
		return incident.Attempt{}, err
	}
	defer free()
	if err := r.first(q.Attempt.ID); err != nil {
		return incident.Attempt{}, err
	}
	s, k, err := r.check(ctx, q)
	if err != nil {
		return incident.Attempt{}, err
	}
	if s.Target != p.Target {
		return incident.Attempt{}, kind.Postpone("%s has become %s since it was checked", p.Target, s.Target)
	}
	a := s.Intent(clock.Now(r.o.Clock))
	a.Permit = p.Permit
	if err := r.o.Journal.PutAttempt(&a); err != nil {
		return incident.Attempt{}, fmt.Errorf("write intent, nothing was done: %w", err)
	}
	if err := r.gate(p, &a); err != nil {
		return incident.Attempt{}, err
	}
	r.do(ctx, k, s, &a)
	return a, nil
}

// gate asks whether the action may still begin now that its intent is on disk: the disk may have taken its time.
func (r *Runner) gate(p Plan, a *incident.Attempt) error {
	if p.Gate == nil {
		return nil
	}
	err := p.Gate()
	if err == nil {
		return nil
	}
	a.Phase, a.Reason = incident.Refused, err.Error()
	if err := r.o.Journal.PutAttempt(a); err != nil { // the next start finds by evidence that it had not begun
		r.o.Log.Error("that an attempt was refused is not on disk", "attempt", a.ID, "error", err)
	}
	return err
}

// first refuses an attempt that ran before, in this process or in an earlier one.
func (r *Runner) first(id string) error {
	old, err := r.o.Journal.Attempt(id)
	switch {
	case err == nil:
		return kind.Refuse("attempt %s ran already and is %s; an attempt runs once", id, old.Phase)
	case errors.Is(err, journal.ErrNotFound):
		return nil
	}
	return fmt.Errorf("look up attempt, nothing was done: %w", err)
}

func (r *Runner) do(ctx context.Context, k kind.Kind, s *kind.Step, a *incident.Attempt) {
	r.o.Log.Info("acting", "attempt", a.ID, "kind", a.Kind, "target", a.Target, "by", a.By)
	inner, cancel := bounded(ctx, cmp.Or(s.Remedy.Timeout, defaults.ActionTimeout))
	defer cancel()
	a.Phase, s.Halt = incident.Acted, ctx.Done()
	if err := k.Act(inner, s); err != nil {
		a.Error = err.Error()
		if errors.Is(err, kind.ErrLost) {
			a.Phase = incident.Unknown // it may have worked: never repeated, but verified
		}
	}
	a.After, a.Acted = kind.Raw(s.After), clock.Now(r.o.Clock)
	a.Undo, a.For = kind.Raw(s.Undo), s.For
	if err := r.o.Journal.PutAttempt(a); err != nil {
		// It is done and cannot be taken back by not saying so. After a crash the open intent is
		// settled by evidence.
		r.o.Log.Error("result of action is not on disk", "attempt", a.ID, "error", err)
	}
	r.o.Log.Info("acted", "attempt", a.ID, "target", a.Target, "took", a.Intended.Age(a.Acted), "error", a.Error)
	if a.For > 0 {
		r.expect(limit{attempt: a.ID, due: a.Intended.Boot + a.For})
	}
}

// occupy takes the target for one action; one at a time touches it.
func (r *Runner) occupy(target string) (free func(), err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.targets[target] != nil {
		return nil, kind.Postpone("another remedy is at work on %s", target)
	}
	done := make(chan struct{})
	r.targets[target] = done
	return func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.targets, target)
		close(done)
	}, nil
}

// await takes the target when it is free.
func (r *Runner) await(ctx context.Context, target string) (free func(), err error) {
	for {
		if free, err := r.occupy(target); err == nil {
			return free, nil
		}
		r.mu.Lock()
		busy := r.targets[target]
		r.mu.Unlock()
		if busy == nil {
			continue
		}
		select {
		case <-busy:
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for %s: %w", target, ctx.Err())
		}
	}
}
