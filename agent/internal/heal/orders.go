package heal

import (
	"fmt"

	"github.com/salveops/salve/pkg/incident"
	"github.com/salveops/salve/proto/agentpb"
)

// obey does what people decided through the controller about incidents of this host.
func (e *Engine) obey() {
	for _, o := range e.fleet.Orders.GetIncidents() {
		if s := e.stories[o.GetLocal()]; s != nil {
			e.obeyIn(s, o)
		}
	}
}

// obeyIn follows the orders about one incident, as far as they are news. What was followed is journaled with the
// incident, so that nothing is followed twice.
func (e *Engine) obeyIn(s *story, o *agentpb.IncidentOrder) {
	was := incident.Order{}
	if s.Order != nil {
		was = *s.Order
	}
	now := incident.Order{Incident: o.GetIncident(), AckBy: o.GetAckBy(), Released: o.GetReleased(), Escalated: o.GetEscalated()}
	if s.Order != nil && was == now && !o.GetResolved() {
		return
	}
	s.Order = &now
	switch {
	case now.AckBy != "" && (now.AckBy != was.AckBy || s.AckBy == ""):
		if err := s.Acknowledge(now.AckBy, o.GetKeepHealing()); err == nil {
			e.noteHere(s, incident.EvPerson, now.AckBy+" acknowledged the incident through the controller", map[string]string{"by": now.AckBy})
		}
	case now.AckBy == "" && was.AckBy != "", now.Released != was.Released:
		if s.AckBy == "" && now.Released == was.Released {
			break
		}
		e.releaseBy(s, "the controller")
	}
	if o.GetResolved() {
		e.endBy(s)
		return
	}
	e.save(s)
	e.climb(s)
	e.closeIfQuiet(s)
}

// releaseBy hands an incident back; what was tried before is forgiven.
func (e *Engine) releaseBy(s *story, by string) {
	if err := s.Release(e.stamp(), by); err != nil {
		return // nobody had it
	}
	e.noteHere(s, incident.EvPerson, "the incident was handed back to Salve through "+by, map[string]string{"by": by})
	for _, p := range s.patients {
		p.due, p.said = e.o.Clock.Now().Boot, ""
		p.forgive()
	}
	e.wakeAt(e.o.Clock.Now().Boot)
}

// endBy ends an incident on the word of a person. An attempt under way comes to its end first.
func (e *Engine) endBy(s *story) {
	if s.run != nil {
		s.ending = true
		e.save(s)
		return
	}
	const by = "a person, through the controller"
	for _, p := range s.ordered() {
		e.tellEnd(p.key, false) // its alert is over for people, whatever the rule says
		e.queue.Leave(s.ID, p.live.Rule.Name, p.live.Instance)
	}
	clear(s.patients)
	e.nextTurn()
	if err := s.Resolve(e.stamp(), by, "ended by "+by); err != nil {
		e.log.Error("cannot end incident", "id", s.ID, "error", err)
		return
	}
	e.bury(s, incident.EvEnd, "resolved: ended by "+by)
}

// ordered by the controller: an incident that a person has there is not handed back here.
func (s *story) heldElsewhere() error {
	if s.Order == nil || s.Order.AckBy == "" {
		return nil
	}
	return fmt.Errorf("%s has it through the controller: salve release %s", s.Order.AckBy, s.Order.Incident)
}
