package heal

import (
	"errors"
	"fmt"
	"strings"

	"github.com/salveops/salve/agent/internal/escalate"
	"github.com/salveops/salve/pkg/care"
	"github.com/salveops/salve/pkg/incident"
)

// handOver gives an incident to people, with the reason.
func (e *Engine) handOver(s *story, reason string) {
	first, was := s.Escalate.Since.IsZero(), s.Escalate.Reason
	to := care.EscalateTo(s.firing())
	if err := s.HandOver(e.stamp(), to, reason); err != nil {
		return // it has ended meanwhile
	}
	if first || was != reason {
		e.tellHandOver(s)
	}
	if !first {
		e.save(s)
		return
	}
	text := fmt.Sprintf("handed to people (%s): %s", to, reason)
	if e.cfg.Paging(to) == nil {
		text = fmt.Sprintf("should be handed to people, but there is no escalation %q: nobody is told: %s", to, reason)
	}
	e.note(s, incident.EvEscalate, text, map[string]string{"to": to})
	e.climb(s)
}

// climb sends what is due of an incident's escalation. It waits for the evidence, which is bounded in
// time, so that people get the whole story.
func (e *Engine) climb(s *story) {
	if s.Escalate.Since.IsZero() || s.evidence != nil && !s.evidence.complete {
		return
	}
	if yes, wait := e.delegated(s); yes {
		if wait > 0 {
			e.wakeAt(e.o.Clock.Now().Boot + wait)
		}
		return
	}
	esc := e.cfg.Paging(s.Escalate.To)
	if esc == nil {
		return
	}
	now := e.stamp()
	due, wait := s.Next(esc.Steps, now)
	if due == nil {
		if wait > 0 {
			e.wakeAt(e.o.Clock.Now().Boot + wait)
		}
		return
	}
	s.Took(due, esc.Steps, now)
	text := fmt.Sprintf("step %d of %d: telling %s", due.Step+1, len(esc.Steps), strings.Join(due.Notify, ", "))
	if due.Repeat > 0 {
		text += fmt.Sprintf(" again (%d of %d)", due.Repeat, esc.Steps[due.Step].Repeat)
	}
	e.o.Page.Send(*s.Incident, *due) // before the journal says that they were told: a crash in between loses nothing
	e.tellPage(s, due)
	e.note(s, incident.EvEscalate, text, map[string]string{"key": due.Key})
	e.wakeAt(e.o.Clock.Now().Boot)
}

// Delivered records what became of a message. It may be called from any goroutine.
func (e *Engine) Delivered(d escalate.Result) {
	e.post(func() {
		e.stats.delivery(d)
		s := e.stories[d.Incident]
		if s == nil {
			return
		}
		text := fmt.Sprintf("%s was told", d.Notifier)
		switch {
		case errors.Is(d.Err, escalate.ErrNobody):
			text = d.Err.Error()
		case d.Err != nil && d.Final:
			text = fmt.Sprintf("%s refused the message: %v", d.Notifier, d.Err)
		case d.Err != nil:
			text = fmt.Sprintf("%s could not be reached, trying on: %v", d.Notifier, d.Err)
		}
		e.note(s, incident.EvNotify, text, map[string]string{"key": d.Key, "notifier": d.Notifier})
		if d.Err != nil && d.Final {
			if esc := e.cfg.Paging(s.Escalate.To); esc != nil {
				s.Skip(esc.Steps, e.stamp())
				e.climb(s)
			}
		}
	})
}
