package state

import (
	"github.com/salveops/salve/pkg/incident"
	"github.com/salveops/salve/proto/logpb"
)

// story adds a line that a host told of its own incident. Outcomes count in any case.
func (s *State) story(h *logpb.Host, c *logpb.Story) {
	s.count(c.GetOutcome())
	i := s.byLocal(h.GetId(), c.GetLocal())
	if i == nil {
		return // its incident is no longer kept
	}
	if !ended(i) && incident.Graver(c.GetSeverity(), i.GetSeverity()) {
		i.Severity = c.GetSeverity()
	}
	if e := c.GetEvent(); e != nil {
		switch e.GetType() {
		case "act":
			i.Acted = sooner(i.GetActed(), s.now())
			heals(i)
		case "intent":
			heals(i)
		}
		s.add(i, &logpb.TimelineEvent{
			HostAt: e.GetHostAt(), Host: h.GetId(), HostName: h.GetName(), Type: clip(e.GetType(), 16),
			Text: e.GetText(), Fields: clipLabels(e.GetFields()),
		})
	}
	for _, r := range c.GetEvidence() {
		s.keepEvidence(i, []*logpb.EvidenceRef{{
			Digest: r.GetDigest(), Title: clip(r.GetTitle(), maxName), Size: r.GetSize(), Host: h.GetId(),
		}})
	}
}

// handedOver is an agent's wish for people.
func (s *State) handedOver(h *logpb.Host, c *logpb.HandOver) {
	if i := s.byLocal(h.GetId(), c.GetLocal()); i != nil && !ended(i) {
		s.handOver(i, h.GetName()+": "+c.GetReason())
	}
}

// paged says that an agent told people by itself, because it could not reach the controller. The places
// that it told belong to the incident from here on.
func (s *State) paged(h *logpb.Host, c *logpb.LocalPage) {
	i := s.byLocal(h.GetId(), c.GetLocal())
	if i == nil {
		return // the agent itself tells the end
	}
	s.line(i, "notify", "%s told people by itself: %s", h.GetName(), join(clipAll(c.GetNotifiers(), maxName)))
	for _, notifier := range c.GetNotifiers() {
		s.adopt(i, notifier, c.GetKey())
	}
	s.bindIncident(i)
	if ended(i) {
		s.farewell(i)
	}
}
