package state

import (
	"github.com/salveops/salve/pkg/incident"
	"github.com/salveops/salve/proto/logpb"
)

// quorumPage is what a node says that had no quorum and told people by itself, once there is one again. It
// becomes an incident that has ended, whose farewell goes to the places that were told, under their key.
// All nodes page under one key, so what the second one says is the same incident.
func (s *State) quorumPage(c *logpb.QuorumPage) *logpb.Result {
	if c.GetKey() == "" {
		return refuse("key", "a page has a key")
	}
	id := incident.ID(s.generation, incident.AlertKey{Host: ownStream, Stream: "quorum " + Subject(c.GetKey())})
	i := s.incidents[id]
	if i == nil {
		i = &logpb.Incident{
			Id: id, Title: "the controller had no quorum", Rule: "quorum-lost", Severity: "critical", Opened: s.now(),
			State: logpb.IncidentState_INCIDENT_STATE_OPEN,
		}
		s.incidents[id] = i
		s.derived.list(i)
		s.line(i, "alert", "%s", c.GetText())
		s.end(i, "there is a quorum again")
		s.note(c.GetNode(), "quorum", "paged people without a quorum under the key %s", c.GetKey())
	}
	s.line(i, "notify", "%s told people by itself: %s", c.GetNode(), join(clipAll(c.GetNotifiers(), maxName)))
	for _, notifier := range c.GetNotifiers() {
		s.adopt(i, notifier, c.GetKey())
	}
	s.farewell(i)
	return done()
}
