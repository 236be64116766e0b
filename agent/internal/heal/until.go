package heal

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/salveops/salve/agent/internal/act/kind"
	"github.com/salveops/salve/pkg/clock"
	"github.com/salveops/salve/pkg/expr"
	"github.com/salveops/salve/pkg/incident"
	"github.com/salveops/salve/pkg/rule"
)

// inForce is an attempt that ends by itself, and earlier if its remedy's until holds. Nothing here can make it longer: act, and
// for some kinds the kernel, end it in time whatever is seen, or not seen, here.
type inForce struct {
	attempt incident.Attempt
	until   *expr.Bound   // nil: to be bound to the configuration as it is
	since   time.Duration // samples count that are later
	next    time.Duration // it is not tried before; 0: it was not tried yet
}

// watchEnd begins to watch an attempt, if it was judged and left in force for a time.
func (e *Engine) watchEnd(a *incident.Attempt) {
	if a.Phase != incident.Judged || a.For <= 0 {
		return
	}
	w := &inForce{attempt: *a, since: e.started.Boot}
	if a.Acted.BootID == e.o.Clock.BootID() {
		w.since = max(w.since, a.Acted.Boot)
	}
	e.inForce[a.ID] = w
}

// early takes back what need not last as long as it may.
func (e *Engine) early(ctx context.Context, now clock.Instant) {
	for id, w := range e.inForce {
		a := &w.attempt
		if a.Intended.Age(e.stamp()) >= a.For || w.until == nil && !e.bind(w) {
			delete(e.inForce, id)
			continue
		}
		if holds := w.until.EvalSince(now, w.since) == expr.True; !holds || now.Boot < w.next {
			continue
		}
		delete(e.inForce, id)
		e.work.Go(func() {
			undone, err := e.o.Act.Undo(ctx, id)
			e.post(func() { e.released(w, undone, err) })
		})
	}
}

// bind reports whether the remedy of the attempt says anything of an earlier end.
func (e *Engine) bind(w *inForce) bool {
	rem := e.remedyOf(w.attempt.Service, w.attempt.Remedy)
	if rem == nil || rem.Until == nil || string(rem.Kind) != w.attempt.Kind {
		return false
	}
	about := rule.Subject{Service: rem.Service, Unit: w.attempt.Instance}
	if rem.Service != nil {
		if units := e.unitsOf(rem.Service); len(units) == 1 {
			about.Unit = units[0]
		}
	}
	w.until = e.rules.Bind(about, rem.Until)
	return true
}

// released takes over what became of an attempt that was taken back early. Whoever ends it in time may have come first.
func (e *Engine) released(w *inForce, a incident.Attempt, err error) {
	condition := w.until.Program().Text()
	text := fmt.Sprintf("%s was taken back before its time, since %s", a.Remedy, condition)
	var refusal *kind.Refusal
	switch {
	case err == nil:
		e.past.Put(&a)
		e.log.Info("taken back before its time", "attempt", a.ID, "until", condition)
	case errors.As(err, &refusal) && !refusal.Temporary:
		text = fmt.Sprintf("%s lasts its time, although %s: %v", w.attempt.Remedy, condition, err)
		e.log.Error("cannot be taken back before its time", "attempt", w.attempt.ID, "error", err)
	default:
		e.log.Warn("cannot take an attempt back yet", "attempt", w.attempt.ID, "error", err)
		w.until, w.next = nil, e.o.Clock.Now().Boot+undoPause
		e.inForce[w.attempt.ID] = w
		return
	}
	if s := e.stories[w.attempt.Incident]; s != nil {
		e.note(s, incident.EvUndo, text, map[string]string{"attempt": w.attempt.ID})
	}
}
