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
// tell whether it worked, its Phase is Unknown too. One that goes on and ends this process is still Intended.
func (r *Runner) Run(ctx context.Context, p Plan) (incident.Attempt, error) {
	q := p.request
	if q.Attempt.ID == "" {
		return incident.Attempt{}, kind.Refuse("the attempt has no ID, so that it could run twice")
	}
	if p.Kind.OnHost() && (p.Permit == nil || p.Permit.Alone || p.Gate == nil) {
		return incident.Attempt{}, kind.Refuse("%s takes the whole host, and runs with a controller's permit only", p.Kind)
	}
	free, err := r.queue.try(&q.Attempt, p.Locks)
	if err != nil {
		return incident.Attempt{}, err
	}
	defer func() { free() }()
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
	a.Permit, a.Locks = p.Permit, p.Locks
	if err := r.o.Journal.PutAttempt(&a); err != nil {
		return incident.Attempt{}, fmt.Errorf("write intent, nothing was done: %w", err)
	}
	if err := r.gate(p, &a); err != nil {
		return incident.Attempt{}, err
	}
	s.Halt = p.Halt
	if r.do(ctx, k, s, &a); a.Phase == incident.Intended {
		free = func() {} // it ends this process, in which nobody has his turn after it
	}
	return a, nil
}

// gate asks whether the action may still begin now that its intent is on disk: the disk may have taken its time.
func (r *Runner) gate(p Plan, a *incident.Attempt) error {
	var err error
	select {
	case <-p.Halt:
		err = kind.Postpone("it was told to stop before it began")
	default:
		if p.Gate != nil {
			err = p.Gate()
		}
	}
	if err == nil {
		return nil
	}
	a.Phase, a.Reason = incident.Refused, err.Error()
	if err := r.o.Journal.PutAttempt(a); err != nil { // who asked for it writes it later
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
	if a.Phase = incident.Acted; s.Halt == nil {
		s.Halt = ctx.Done()
	}
	if err := k.Act(inner, s); errors.Is(err, kind.ErrUnderWay) {
		a.Phase = incident.Intended
		r.o.Log.Info("the next process settles it", "attempt", a.ID)
		return
	} else if err != nil {
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
		r.limited.add(limit{attempt: a.ID, due: a.Intended.Boot + a.For})
	}
}
