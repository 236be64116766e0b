package heal

import (
	"slices"

	"github.com/salveops/salve/pkg/healing"
)

// What an attempt touches nobody else touches before it has ended: its locks, which it has from its decision on in the
// engine's memory of attempts. They are not held while the controller is asked, so that nothing that may run without
// asking waits for it; the place in the queue is kept meanwhile.

// ahead are those who have waited for longer than the alert. One whose incident has an attempt under way has no turn now.
func (e *Engine) ahead(s *story, p *patient) []healing.Waiter {
	return slices.DeleteFunc(e.queue.Before(s.ID, p.live.Rule.Name, p.live.Instance), func(w healing.Waiter) bool {
		o := e.stories[w.Incident]
		return o == nil || o.run != nil || o.patients[patientID{w.Rule, o.Service, w.Instance}] == nil
	})
}

// nextTurn decides anew about every alert that waits for what another attempt had.
func (e *Engine) nextTurn() {
	now := e.o.Clock.Now().Boot
	for _, s := range e.stories {
		for _, p := range s.patients {
			if e.queue.Has(s.ID, p.live.Rule.Name, p.live.Instance) && s.run == nil {
				p.due = now
				e.wakeAt(now)
			}
		}
	}
}

// yield gives up the locks of an attempt that is about to wait for the controller, not its place.
func (e *Engine) yield(r *run) {
	r.yielded = true
	a := *r.attempt
	a.Locks = nil
	e.past.Put(&a)
	if r.patient != nil {
		e.queue.Join(healing.Waiter{Incident: r.story.ID, Rule: r.attempt.Rule, Instance: r.attempt.Instance, Remedy: r.remedy.Name,
			Locks: r.attempt.Locks})
	}
	e.nextTurn()
}

// lock gives a confirmed attempt its locks.
func (e *Engine) lock(r *run) {
	r.yielded = false
	e.past.Put(r.attempt)
	e.leave(r)
}

// leave gives up the place of an attempt's alert.
func (e *Engine) leave(r *run) {
	if e.queue.Leave(r.story.ID, r.attempt.Rule, r.attempt.Instance) {
		e.nextTurn()
	}
}
