package act

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/salveops/salve/agent/internal/act/kind"
	"github.com/salveops/salve/pkg/clock"
	"github.com/salveops/salve/pkg/incident"
	"github.com/salveops/salve/pkg/remedy"
)

// limit is an attempt that is to be taken back at a time.
type limit struct {
	attempt string
	due     time.Duration // CLOCK_BOOTTIME
}

// limits are those that Serve has not taken over yet.
type limits struct {
	mu   sync.Mutex
	list []limit
	more chan struct{} // capacity 1: there are some
}

func (l *limits) add(list ...limit) {
	l.mu.Lock()
	l.list = append(l.list, list...)
	l.mu.Unlock()
	select {
	case l.more <- struct{}{}:
	default: // it was said already
	}
}

func (l *limits) take() []limit {
	l.mu.Lock()
	defer l.mu.Unlock()
	list := l.list
	l.list = nil
	return list
}

// retryExpiry is how long a limit stays that could not be taken back, until that is tried again.
const retryExpiry = 10 * time.Second

// clockCheck is how soon a limit's keeper notices that the host slept, when timers stand still.
const clockCheck = time.Minute

// Serve takes limits back whose time is over, those of earlier processes too, until ctx ends. Each has a goroutine of its
// own, so that one that has to wait, or hangs, delays no other. As its ctx ends, the agent stops: who waits for its turn
// then has none any more.
func (r *Runner) Serve(ctx context.Context) error {
	earlier, err := r.unexpired()
	if err != nil {
		return err
	}
	r.limited.add(earlier...)
	var keepers sync.WaitGroup
	defer keepers.Wait()
	defer r.queue.close()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-r.limited.more:
			for _, l := range r.limited.take() {
				keepers.Go(func() { r.keep(ctx, l) })
			}
		}
	}
}

// keep takes a limit back when its time is over.
func (r *Runner) keep(ctx context.Context, l limit) {
	for r.await(ctx, l.due) && !r.expire(ctx, l.attempt) {
		l.due = r.o.Clock.Now().Boot + retryExpiry
	}
}

// await reports whether due came before ctx ended.
func (r *Runner) await(ctx context.Context, due time.Duration) bool {
	for ctx.Err() == nil {
		left := due - r.o.Clock.Now().Boot
		if left <= 0 {
			return true
		}
		timer := time.NewTimer(min(left, clockCheck))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
		}
	}
	return false
}

// expire reports whether nothing more is to be done about a limit.
func (r *Runner) expire(ctx context.Context, attempt string) bool {
	a, done, err := r.takeBack(ctx, attempt)
	var refusal *kind.Refusal
	switch {
	case !done && (err == nil || a.Stays != ""): // somebody did it before, or found that out and said so
		return true
	case err == nil:
		r.o.Log.Info("limit was taken back, its time is over", "attempt", attempt)
	case errors.As(err, &refusal) && !refusal.Temporary:
		r.o.Log.Error("limit stays", "attempt", attempt, "error", err)
	case ctx.Err() != nil:
		return true
	default:
		r.o.Log.Warn("limit could not be taken back yet", "attempt", attempt, "error", err)
		return false
	}
	r.o.Expired(a, err)
	return true
}

// unexpired finds the limits of earlier processes that are still in force.
func (r *Runner) unexpired() ([]limit, error) {
	attempts, err := r.o.Journal.AttemptsWithin(kind.LongestLimit)
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
		return a.For > 0 && a.Stays == ""
	}
	return false
}

// inForce reports whether an attempt of that kind on the target lasts.
func (r *Runner) inForce(k remedy.Kind, target string) (bool, error) {
	attempts, err := r.o.Journal.AttemptsWithin(kind.LongestLimit)
	if err != nil {
		return false, fmt.Errorf("find what lasts: %w", err)
	}
	return slices.ContainsFunc(attempts, func(a *incident.Attempt) bool {
		return a.Kind == string(k) && a.Target == target && lasts(a)
	}), nil
}
