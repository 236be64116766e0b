package state

import (
	"fmt"

	"github.com/salveops/salve/pkg/incident"
	"github.com/salveops/salve/proto/logpb"
)

// quorumPage is what a node says that had no quorum and told people by itself, once there is one again. It
// becomes an incident that has ended, whose farewell goes to the places that were told, under their key.
// All nodes page under one key, so what the second one says is the same incident.
//
// Everybody who was told hears of the end, once at each place under each key, unless a node paged later than
// that: one that was cut off for longer, or whose outage was another one in the same hour. See again.
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
	for _, notifier := range c.GetNotifiers() {
		s.again(i, notifier, Subject(c.GetKey()))
	}
	return done()
}

// reportAfter is shorter than a node waits between the last page that it sent and its report of it: if the
// farewell was made earlier than that before the report, the page may have come after the farewell, and a
// place that takes it for a new one would keep it open for ever. Nodes that have had the same outage report
// within it, and a place hears of their end once.
const reportAfter = int64(10e9)

// again tells a place the end once more, if the page may have come after what it was told of the end.
func (s *State) again(i *logpb.Incident, notifier, name string) {
	var last *logpb.Delivery
	for _, m := range sorted(s.derived.mail[i.GetId()], compareDeliveries) {
		same := m.GetKind() == resolve && m.GetNotifier() == notifier && Subject(m.GetKey()) == name
		if same && (last == nil || m.GetMade() > last.GetMade()) {
			last = m
		}
	}
	switch {
	case last == nil: // no name of ours, see adopt
	case inFlight(last) && last.GetState() != logpb.DeliveryState_DELIVERY_STATE_CLAIMED: // it is sent later than now
	case s.now()-last.GetMade() >= reportAfter:
		s.send(&logpb.Delivery{
			Key: fmt.Sprintf("%s/resolved/%d", name, s.index), Notifier: notifier, Incident: i.GetId(), Kind: resolve,
		})
	}
}
