package model

import (
	"errors"
	"slices"
	"time"

	"github.com/salveops/salve/pkg/permit"
	"github.com/salveops/salve/proto/logpb"
)

// Want is an attempt that somebody wants.
type Want struct {
	Service, Rule, Remedy, Incident string

	Digest    []byte
	More      []permit.Target // that it takes away beside its own service
	Host      bool            // a remedy of the host: every service of it
	StartDead bool
	By        string
	Steps     int // at least 1
	Takes     time.Duration
	Lag       time.Duration
	Leaves    Health // of its targets
	Undo      bool   // if it does not help, it is taken back under its own token
	NoUndo    bool   // the undo is asked for later, with a permit of its own
}

// stage is how far an attempt came in one process.
type stage int

const (
	waiting  stage = iota // for the answer
	granted               // its intent is not on disk
	intended              // it is, and nothing has begun
	acting                // a step was called
	verifying
	undoing
	done
)

// attempt is one that this process drives.
type attempt struct {
	id string
	Want
	stage   stage
	step    int
	ended   time.Duration // CLOCK_BOOTTIME of the last step's end
	targets []permit.Target
	held    permit.Held
	revived bool // its process died, and this one found it in the journal
}

// forward brings an attempt one step on.
func (a *Agent) forward(t *attempt) {
	switch t.stage {
	case granted:
		a.intend(t)
	case intended:
		a.act(t)
	case acting:
		a.watch(t)
	case verifying:
		a.verify(t)
	case undoing:
		if !a.m.Active(t.id) && a.landed(t) {
			a.finish(t, permit.Failed, "taken back")
		}
	}
}

func (a *Agent) facts(t *attempt) permit.Facts {
	return permit.Facts{Now: a.m.Boottime(), Claims: a.claims(), Stop: a.stop(t)}
}

// intend writes the intent down, if the permit is still good.
func (a *Agent) intend(t *attempt) {
	if a.locked(t) {
		a.book.Withdraw(t.id, "something else is under way here")
		a.void(t, "something else is under way here")
		return
	}
	held, err := a.book.Begin(t.id, a.facts(t))
	if err != nil {
		a.void(t, coded(err))
		return
	}
	a.write(t, held)
}

// locked reports whether another attempt of this host is at work on one of the targets: with a permit that
// cannot be, without asking it can.
func (a *Agent) locked(t *attempt) bool {
	return slices.ContainsFunc(a.attempts, func(o *attempt) bool {
		return o != t && o.stage >= intended && o.stage < done &&
			slices.ContainsFunc(o.held.Targets, func(x permit.Target) bool { return slices.Contains(t.targets, x) })
	})
}

func (a *Agent) write(t *attempt, held permit.Held) {
	t.held, t.stage = held, intended
	a.d().Intents[t.id] = Intent{Want: t.Want, Restored: permit.Restored{Attempt: t.id, Incident: t.Incident,
		Service: t.Service, Rule: t.Rule, Remedy: t.Remedy, Held: held}}
	a.d().tell(&logpb.Event{What: &logpb.Event_Story{Story: &logpb.Story{Local: t.Incident,
		Event: &logpb.TimelineEvent{Type: "intent", Text: t.Remedy}}}})
}

// act asks one last time and calls the first step. Nothing that this process hears comes in between.
func (a *Agent) act(t *attempt) {
	if err := a.book.Act(t.id, a.facts(t)); err != nil {
		a.d().settled(t.id, permit.Unused)
		a.void(t, coded(err))
		return
	}
	t.stage = acting
	if a.Stall != nil && a.Stall() { // frozen between the check and the act
		a.stalled = append(a.stalled, func() { a.call(t, false) })
		return
	}
	a.call(t, false)
}

func (a *Agent) call(t *attempt, undo bool) {
	t.step++
	j := &Job{Token: t.held.Token, Attempt: t.id, Targets: t.held.Targets, Step: t.step, Alone: t.held.Alone, Undo: undo,
		For: t.Takes, Lag: t.Lag, Leaves: t.Leaves}
	if undo {
		j.Leaves = Well
	}
	a.m.Call(j)
}

// landed reports whether the last call has run and ended; a call in flight has not.
func (a *Agent) landed(t *attempt) bool { _, ok := a.m.Left(t.id); return ok }

// watch waits for the end of a step, which is a safe end, and goes on or not.
func (a *Agent) watch(t *attempt) {
	if t.step == 0 || a.m.Active(t.id) || !a.landed(t) {
		return
	}
	stopped := a.book.Revoked(t.id) || a.book.Overrun(t.id, a.m.Boottime()) || a.stop(t) != ""
	switch {
	case stopped && t.Undo:
		a.undo(t)
	case stopped:
		a.finish(t, permit.Failed, "it was asked to stop")
	case t.step < t.Steps:
		a.call(t, false)
	default:
		t.stage, t.ended = verifying, a.m.Boottime()
	}
}

// undo takes back what was done, under the attempt's own token: no pause, no revocation and no deadline
// stands in its way.
func (a *Agent) undo(t *attempt) {
	t.stage = undoing
	a.call(t, true)
}

// verify looks at samples from after the action.
func (a *Agent) verify(t *attempt) {
	if a.m.Boottime()-t.ended < verifyFor {
		return
	}
	for _, x := range t.held.Targets {
		if x.Host == a.m.ID && (a.m.Serving(x.Service) != logpb.Serving_SERVING_YES || a.m.Health(x.Service) == Sick) {
			if t.Undo {
				a.undo(t)
			} else {
				a.finish(t, permit.Failed, "it did not help")
			}
			return
		}
	}
	a.finish(t, permit.Serving, "it serves")
}

// verifyFor is how long after a step a sample says something.
const verifyFor = 3 * time.Second

// coded is why a permit must not be used, with the code before it.
func coded(err error) string {
	if v := (*permit.Void)(nil); errors.As(err, &v) {
		return v.Code + ": " + v.Text
	}
	return err.Error()
}

// void ends what never began.
func (a *Agent) void(t *attempt, why string) {
	t.stage = done
	a.fates[t.id] = "void: " + why
}

// finish journals the outcome and settles.
func (a *Agent) finish(t *attempt, s permit.Settlement, reason string) {
	t.stage = done
	a.fates[t.id] = string(s)
	a.d().settled(t.id, s)
	a.book.Settle(t.id, s, reason)
}
