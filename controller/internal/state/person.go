package state

import (
	"errors"

	"github.com/salveops/salve/pkg/incident"
	"github.com/salveops/salve/proto/logpb"
)

// What people do with incidents. Each act is in the timeline and in the audit.

// acknowledge: a person has it. The climb stops, and so do new remedies unless healing is kept.
func (s *State) acknowledge(c *logpb.Acknowledge) *logpb.Result {
	i := s.byName(c.GetIncident())
	if i == nil {
		return unknownIncident(c.GetIncident())
	}
	l := life(i)
	if err := l.Acknowledge(clip(c.GetBy(), maxName), c.GetKeepHealing()); err != nil {
		return impossible(err)
	}
	live(i, l)
	text := "has it; no new remedy begins"
	if c.GetKeepHealing() {
		text = "has it; remedies go on"
	}
	s.act(i, c.GetBy(), "acknowledge", text)
	return done()
}

// release hands it back: what was tried is forgiven, and a climb that had begun goes on.
func (s *State) release(c *logpb.Release) *logpb.Result {
	i := s.byName(c.GetIncident())
	if i == nil {
		return unknownIncident(c.GetIncident())
	}
	l := life(i)
	if err := l.Release(stamp(s.now()), c.GetBy()); err != nil {
		return impossible(err)
	}
	live(i, l)
	if i.GetSince() == 0 {
		i.EscalateAt = 0
		for _, a := range s.derived.members[i.GetId()] {
			if a.GetResolved() == 0 && a.GetMuted() == "" {
				s.deadline(i, a)
			}
		}
	}
	s.act(i, c.GetBy(), "release", "hands it back to Salve")
	s.climb(i)
	return done()
}

// resolveIncident ends it on the word of a person. What still fires counts as resolved; its agents are told.
func (s *State) resolveIncident(c *logpb.ResolveIncident) *logpb.Result {
	i := s.byName(c.GetIncident())
	switch {
	case i == nil:
		return unknownIncident(c.GetIncident())
	case ended(i):
		return impossible(incident.ErrEnded)
	case c.GetBy() == "":
		return impossible(incident.ErrNobody)
	}
	rules := map[ruleKey]ruleKey{}
	for _, a := range sorted(s.derived.members[i.GetId()], compareKeys) {
		if a.GetResolved() == 0 {
			s.amend(a, func(a *logpb.Alert) { a.Resolved, a.Closed = s.now(), !synthetic(a) })
			key := ruleKey{a.GetService(), a.GetRule()}
			rules[key] = key
		}
	}
	s.act(i, c.GetBy(), "resolve", "ends it: "+c.GetReason())
	s.end(i, "ended by "+c.GetBy()+": "+c.GetReason())
	s.forget(i)
	for _, key := range sorted(rules, compareRules) {
		s.recovers(key.service)
		s.trip(key)
	}
	return done()
}

// act notes what a person did with an incident.
func (s *State) act(i *logpb.Incident, by, what, text string) {
	s.line(i, "person", "%s %s", by, text)
	s.noteOn(i.GetId(), by, what, "incident %.8s: %s", i.GetId(), text)
	s.bindIncident(i)
}

func unknownIncident(id string) *logpb.Result {
	return refuse("incident", "there is no incident %q", clip(id, maxName))
}

// impossible is the refusal of a step that the life of an incident does not have.
func impossible(err error) *logpb.Result {
	code := "state"
	switch {
	case errors.Is(err, incident.ErrEnded):
		code = "ended"
	case errors.Is(err, incident.ErrNobody):
		code = "who"
	}
	return refuse(code, "%v", err)
}

// heldByPerson refuses what only a person may ask for: a remedy of a service that is only observed, of an
// incident that a person has, and on what a pause names that the request does not name by its service.
func (s *State) heldByPerson(h *logpb.Host, c *logpb.Request) *logpb.Result {
	if p := s.pausedElsewhere(c); p != nil {
		return s.pausedBy(p)
	}
	if c.GetBy() != "" {
		return nil
	}
	if s.derived.config[c.GetService()].GetAutonomy() == "observe" {
		return refuse("observe", "the controller's configuration says that %s is only observed", c.GetService())
	}
	if i := s.acknowledged(h, c); i != nil {
		return held("acknowledged", []string{i.GetId()}, "%s has incident %.8s (%s); salve release hands it back",
			i.GetAckBy(), i.GetId(), i.GetTitle())
	}
	return nil
}

// acknowledged is an incident that a person has and that the request is about: by the agent's name for it,
// or by its service, because the agent's may not have arrived yet.
func (s *State) acknowledged(h *logpb.Host, c *logpb.Request) *logpb.Incident {
	has := func(i *logpb.Incident) bool {
		return i.GetState() == logpb.IncidentState_INCIDENT_STATE_ACKNOWLEDGED && !i.GetKeepHealing()
	}
	if i := s.byLocal(h.GetId(), c.GetIncident()); i != nil && has(i) {
		return i
	}
	if c.GetService() == "" {
		return nil
	}
	return newest(s.derived.ongoing[c.GetService()], has)
}
