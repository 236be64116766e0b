package act

import (
	"context"
	"fmt"
	"time"

	"github.com/salveops/salve/pkg/clock"
	"github.com/salveops/salve/pkg/incident"
	"github.com/salveops/salve/pkg/remedy"
)

// settleWait is how long Settle waits for systemd, without which it can settle nothing about units.
const settleWait = 10 * time.Second

// Settle says of every attempt during which an earlier agent died what became of it, by evidence, and
// writes that down. What evidence cannot tell is Unknown; nothing is ever done again by Settle. It is
// called once, when the agent starts, and returns all attempts that were open.
func (r *Runner) Settle(ctx context.Context) []incident.Attempt {
	open, err := r.o.Journal.OpenAttempts()
	if err != nil {
		r.o.Log.Error("cannot read open attempts", "error", err)
		return nil
	}
	if len(open) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, settleWait)
	defer cancel()
	settled := make([]incident.Attempt, 0, len(open))
	for _, a := range open {
		was := a.Phase
		r.settle(ctx, a)
		settled = append(settled, *a)
		if a.Phase == was {
			continue
		}
		r.o.Log.Warn("settled an attempt of an earlier agent", "attempt", a.ID, "target", a.Target,
			"phase", a.Phase, "reason", a.Reason)
		if err := r.o.Journal.PutAttempt(a); err != nil {
			r.o.Log.Error("settlement is not on disk", "attempt", a.ID, "error", err)
		}
	}
	return settled
}

func (r *Runner) settle(ctx context.Context, a *incident.Attempt) {
	k := r.kinds[remedy.Kind(a.Kind)]
	switch {
	case k == nil:
		a.Phase, a.Reason = incident.Unknown, fmt.Sprintf("this agent has no remedy of the kind %q", a.Kind)
	case a.Phase == incident.Intended:
		a.Phase, a.Reason = k.Settle(ctx, a)
		if a.Phase == incident.Acted {
			a.Acted = clock.Now(r.o.Clock)
		}
	case a.Phase == incident.Undoing && !k.Repeatable():
		a.Phase, a.Reason = incident.Unknown, "the agent died while it was taken back, which must not run twice"
	}
}

// Quiet reports whether nothing of the attempt runs any more: no job of systemd for its unit, no process that its program
// left. What cannot be known is not quiet.
func (r *Runner) Quiet(a *incident.Attempt) bool {
	k := r.kinds[remedy.Kind(a.Kind)]
	return k != nil && k.Quiet(a)
}
