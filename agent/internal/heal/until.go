package heal

import (
	"cmp"
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

// released takes over what became of an attempt that was taken back early.
func (e *Engine) released(w *inForce, a incident.Attempt, err error) {
	condition := w.until.Program().Text()
	var refusal *kind.Refusal
	switch {
	case err == nil:
		e.log.Info("taken back before its time", "attempt", a.ID, "until", condition)
		e.ended(&a, "before its time, since "+condition)
	case a.Stays != "":
		e.stays(&a, fmt.Sprintf("%s stays on %s, although %s: %v", a.Remedy, a.Target, condition, err))
	case errors.As(err, &refusal) && !refusal.Temporary:
		e.log.Error("cannot be taken back before its time", "attempt", a.ID, "error", err)
		e.noteIn(a.Incident, fmt.Sprintf("%s lasts its time, although %s: %v", a.Remedy, condition, err), a.ID)
	default:
		e.log.Warn("cannot take an attempt back yet", "attempt", w.attempt.ID, "error", err)
		w.until, w.next = nil, e.o.Clock.Now().Boot+undoPause
		e.inForce[w.attempt.ID] = w
	}
}

// Expired takes over what became of an attempt whose time was over, as act.Options has it.
func (e *Engine) Expired(a incident.Attempt, err error) {
	e.post(func() {
		delete(e.inForce, a.ID)
		if err == nil {
			e.ended(&a, "its time is over")
			return
		}
		a.Stays = cmp.Or(a.Stays, err.Error())
		e.stays(&a, fmt.Sprintf("%s stays on %s, although its time is over: %v", a.Remedy, a.Target, err))
	})
}

// ended says that an attempt was taken back, and why, unless whoever came first has.
func (e *Engine) ended(a *incident.Attempt, why string) {
	if last := e.past.ByID(a.ID); last != nil && last.Phase == incident.Undone {
		return
	}
	if a.Intended.Age(a.Undone) >= a.For {
		why = "its time is over"
	}
	e.learn(a)
	e.noteIn(a.Incident, fmt.Sprintf("%s: %s was taken back", why, a.Remedy), a.ID)
}

// stays gives to people what was not taken back and never will be, also when its incident has ended.
func (e *Engine) stays(a *incident.Attempt, text string) {
	e.learn(a)
	s := e.stories[a.Incident]
	if s == nil {
		s = e.orphan(a, fmt.Sprintf("%s stays on %s", a.Remedy, a.Target))
		s.Attempts = append(s.Attempts, a.ID)
	}
	e.noteIn(s.ID, text, a.ID)
	e.handOver(s, text)
}

// learn remembers an attempt as it is on disk, where it is written once more: who took it back may not have been able to. One
// that is under way is its run's, which finds that there when it ends.
func (e *Engine) learn(a *incident.Attempt) {
	if s := e.stories[a.Incident]; s == nil || s.run == nil || s.run.attempt.ID != a.ID {
		e.past.Put(a)
		e.owed = append(e.owed, a.ID)
	}
}

// noteIn says in an incident, if it is open, what became of the undo of an attempt.
func (e *Engine) noteIn(id, text, attempt string) {
	if s := e.stories[id]; s != nil {
		e.note(s, incident.EvUndo, text, map[string]string{"attempt": attempt})
	}
}
