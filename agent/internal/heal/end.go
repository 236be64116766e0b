package heal

import (
	"slices"

	"github.com/salveops/salve/pkg/incident"
)

// end writes down how an attempt ended, and makes a what is on disk then: its time may have been over meanwhile. If the journal
// does not take it, it is written later: an attempt that stays open on disk would be taken up again at the next start.
func (e *Engine) end(a *incident.Attempt) {
	if err := e.o.Journal.PutAttempt(a); err != nil {
		e.log.Error("cannot journal how an attempt ended, trying on", "attempt", a.ID, "error", err)
		id := a.ID
		e.post(func() { e.owed = append(e.owed, id) })
	}
}

// unbegun says of an attempt that did not begin that it was refused, if the disk has its intent and did not take that. Evidence
// could not tell at the next start: the attempt after it may have acted.
func (e *Engine) unbegun(id string, why error) {
	a, err := e.o.Journal.Attempt(id)
	if err != nil || !a.Open() {
		return
	}
	a.Phase, a.Reason = incident.Refused, why.Error()
	known := *a
	e.post(func() { e.past.Put(&known) })
	e.end(a)
}

// repay writes how attempts ended that the journal did not take, in a goroutine because it waits for the
// disk. An attempt under way is left to its own run, which writes what is newer.
func (e *Engine) repay() {
	if len(e.owed) == 0 || e.paying || e.o.Journal.Healthy() != nil {
		return
	}
	var now []incident.Attempt
	e.owed = slices.DeleteFunc(e.owed, func(id string) bool {
		a := e.past.ByID(id)
		if a == nil {
			return true
		}
		if s := e.stories[a.Incident]; s != nil && s.run != nil && s.run.attempt.ID == id {
			return false
		}
		now = append(now, *a)
		return true
	})
	e.paying = true
	go func() {
		for i := range now {
			e.end(&now[i])
		}
		e.post(func() { e.paying = false })
	}()
}
