package state

import (
	"slices"
	"strings"

	"github.com/salveops/salve/proto/logpb"
)

// A message to one place is committed, claimed by the leader, sent, and what became of it is committed: it
// arrives at least once, and duplicates share its key.
//
//	due ─► claimed ─┬─► told
//	 ▲ ▲            ├─► refused         (for good, or given up)
//	 │ └─ in time ──┼─► failed
//	 └─ no answer ──┘
//	due, failed ◄─► silenced            (while a silence matches)
//
// The messages of one incident reach a place in their order, so that no trigger comes after the end. The
// part of a key before the first slash is the name under which the place knows the incident.

// Times of deliveries, nanoseconds.
const (
	claimFor   = int64(60e9)  // a claim that nobody answers is void after that
	retryFirst = int64(5e9)   // wait after the first failure; it doubles
	retryMost  = int64(300e9) // the longest wait
	placeMost  = int64(hour)  // how long a place may ask to be left alone
	giveUp     = int64(day)   // of messages that nobody waits for any more
)

// Kinds of messages, as pkg/notify names them.
const (
	trigger  = "trigger"
	reminder = "reminder"
	resolve  = "resolve"
)

// maxDeliveries is how many finished messages of one incident are kept.
const maxDeliveries = 200

// Subject is the name under which a place knows the incident of a message, by the message's key.
func Subject(key string) string {
	name, _, _ := strings.Cut(key, "/")
	return name
}

// delivered is what the courier says of a message: that it is about to send it, or how that went.
func (s *State) delivered(c *logpb.Delivered) *logpb.Result {
	m := s.deliveries[deliveryKey{c.GetKey(), c.GetNotifier()}]
	if m == nil {
		return refuse("ended", "nobody needs message %s for %s any more", c.GetKey(), c.GetNotifier())
	}
	switch c.GetState() {
	case logpb.DeliveryState_DELIVERY_STATE_CLAIMED:
		return s.claimed(m, c)
	case logpb.DeliveryState_DELIVERY_STATE_TOLD:
		if m.GetState() == logpb.DeliveryState_DELIVERY_STATE_TOLD {
			return done()
		}
		s.told(m)
		return done()
	case logpb.DeliveryState_DELIVERY_STATE_REFUSED, logpb.DeliveryState_DELIVERY_STATE_FAILED:
		if m.GetState() != logpb.DeliveryState_DELIVERY_STATE_CLAIMED || m.GetNode() != c.GetNode() {
			return refuse("claimed", "message %s for %s is not claimed by %s", m.GetKey(), m.GetNotifier(), c.GetNode())
		}
		if c.GetState() == logpb.DeliveryState_DELIVERY_STATE_REFUSED {
			s.refusedBy(m, c)
		} else {
			s.failed(m, c)
		}
		return done()
	}
	return refuse("delivery", "a delivery is claimed, told, refused or failed")
}

// claimed lets one node send a message, if now is its time.
func (s *State) claimed(m *logpb.Delivery, c *logpb.Delivered) *logpb.Result {
	if why := s.holds(m); why != "" {
		return refuse("held", "message %s for %s: %s", m.GetKey(), m.GetNotifier(), why)
	}
	s.redo(m, func(m *logpb.Delivery) {
		m.State, m.Node, m.Due = c.GetState(), clip(c.GetNode(), maxName), plus(s.now(), claimFor)
	})
	s.own(m)
	return done()
}

// told: it arrived, whoever claimed it since.
func (s *State) told(m *logpb.Delivery) {
	s.redo(m, func(m *logpb.Delivery) { m.State, m.Error = logpb.DeliveryState_DELIVERY_STATE_TOLD, "" })
	s.own(m)
	s.mailed(m, "%s was told", m.GetNotifier())
	if i := s.incidents[m.GetIncident()]; i != nil && ended(i) {
		s.farewell(i)
	}
}

// holds says why a message may not be sent now, "" if it may.
func (s *State) holds(m *logpb.Delivery) string {
	if m.GetState() != logpb.DeliveryState_DELIVERY_STATE_DUE {
		return "it is not due"
	}
	i := s.incidents[m.GetIncident()]
	if i == nil {
		return ""
	}
	switch {
	case m.GetKind() != resolve && i.GetState() == logpb.IncidentState_INCIDENT_STATE_ACKNOWLEDGED:
		return "a person has the incident"
	case m.GetKind() != resolve && ended(i):
		return "the incident has ended"
	}
	for _, other := range s.derived.mail[i.GetId()] {
		if other.GetNotifier() == m.GetNotifier() && inFlight(other) && before(other, m) {
			return "an earlier one has not come to its end"
		}
	}
	return ""
}

// inFlight reports whether a message is being brought, or will be.
func inFlight(m *logpb.Delivery) bool {
	return !over(m) && m.GetState() != logpb.DeliveryState_DELIVERY_STATE_SILENCED
}

// before orders the messages of one incident: the end comes last.
func before(a, b *logpb.Delivery) bool {
	switch {
	case (a.GetKind() == resolve) != (b.GetKind() == resolve):
		return b.GetKind() == resolve
	case a.GetMade() != b.GetMade():
		return a.GetMade() < b.GetMade()
	case a.GetStep() != b.GetStep():
		return a.GetStep() < b.GetStep()
	case a.GetRepeat() != b.GetRepeat():
		return a.GetRepeat() < b.GetRepeat()
	}
	return compareDeliveries(deliveryOf(a), deliveryOf(b)) < 0
}

// refusedBy: the place will never take the message. If nobody of a step does, the next one is climbed.
func (s *State) refusedBy(m *logpb.Delivery, c *logpb.Delivered) {
	s.redo(m, func(m *logpb.Delivery) {
		m.State, m.Error, m.Reached = c.GetState(), clip(c.GetError(), maxName), m.GetReached() || c.GetReached()
	})
	i := s.incidents[m.GetIncident()]
	if i == nil || m.GetKind() == resolve {
		s.mailed(m, "%s refused the message: %s", m.GetNotifier(), m.GetError())
		return
	}
	s.disown(i, m)
	s.mailed(m, "%s refused the message: %s", m.GetNotifier(), m.GetError())
	for _, other := range s.derived.mail[i.GetId()] {
		if other.GetKey() == m.GetKey() && other.GetState() != logpb.DeliveryState_DELIVERY_STATE_REFUSED {
			return
		}
	}
	if !ended(i) && i.GetStep() == m.GetStep()+1 && i.GetRepeat() == m.GetRepeat() {
		s.skip(i)
	}
	s.bindIncident(i) // its agents may have to tell people now
}

// failed: it may pass. The wait doubles each time.
func (s *State) failed(m *logpb.Delivery, c *logpb.Delivered) {
	i := s.incidents[m.GetIncident()]
	wanted := i != nil && m.GetKind() != resolve
	wait := max(backoff(m.GetTries()), min(c.GetRetryAfter(), placeMost))
	s.redo(m, func(m *logpb.Delivery) {
		m.State, m.Error, m.Due = c.GetState(), clip(c.GetError(), maxName), plus(s.now(), wait)
		m.Tries, m.Reached = m.GetTries()+1, m.GetReached() || c.GetReached()
		if !wanted && s.now()-m.GetMade() >= giveUp {
			m.State, m.Error = logpb.DeliveryState_DELIVERY_STATE_REFUSED, clip("given up: "+c.GetError(), maxName)
		}
	})
	if wanted {
		s.disown(i, m)
		if ended(i) {
			s.scrap(m)
			return
		}
	}
	switch tries := m.GetTries(); {
	case over(m):
		s.mailed(m, "%s could not be reached: %s", m.GetNotifier(), m.GetError())
	case tries&(tries-1) == 0: // said at the first failure, then ever more rarely
		s.mailed(m, "%s could not be reached, trying on: %s", m.GetNotifier(), m.GetError())
	}
}

// backoff is the wait after so many failures before.
func backoff(tries uint32) int64 {
	if tries > 6 {
		return retryMost
	}
	return min(retryFirst<<tries, retryMost)
}

// mailed says in the timeline what became of a message.
func (s *State) mailed(m *logpb.Delivery, format string, args ...any) {
	if i := s.incidents[m.GetIncident()]; i != nil {
		s.line(i, "notify", format, args...)
		s.trim(i)
	}
}

// trim forgets the oldest finished messages of an incident that has too many.
func (s *State) trim(i *logpb.Incident) {
	mail := s.derived.mail[i.GetId()]
	if len(mail) < maxDeliveries+maxDeliveries/2 {
		return
	}
	past := slices.DeleteFunc(sorted(mail, compareDeliveries), func(m *logpb.Delivery) bool { return !over(m) })
	slices.SortStableFunc(past, func(a, b *logpb.Delivery) int {
		return compareNumbers(uint64(a.GetMade()), uint64(b.GetMade()))
	})
	for _, m := range past[:max(0, len(past)-maxDeliveries)] {
		s.scrap(m)
	}
}

// recall makes due again what has waited long enough, and what a node claimed and never answered.
func (s *State) recall() {
	for _, m := range sorted(s.derived.waiting, compareDeliveries) {
		if when := recalls(m); when == 0 || when > s.now() {
			continue
		}
		if m.GetKind() != resolve && ended(s.incidents[m.GetIncident()]) {
			s.scrap(m)
			continue
		}
		s.redo(m, func(m *logpb.Delivery) {
			m.Reached = m.GetReached() || m.GetState() == logpb.DeliveryState_DELIVERY_STATE_CLAIMED // nobody knows
			m.State, m.Due = logpb.DeliveryState_DELIVERY_STATE_DUE, s.now()
		})
	}
}

// recalls is when recall has something to do with a message, 0 if never.
func recalls(m *logpb.Delivery) int64 {
	switch m.GetState() {
	case logpb.DeliveryState_DELIVERY_STATE_CLAIMED, logpb.DeliveryState_DELIVERY_STATE_FAILED:
		return max(m.GetDue(), 1)
	}
	return 0
}

// DeliveriesDue are the messages that may be claimed now, oldest first; not to be changed.
func (s *State) DeliveriesDue() []*logpb.Delivery {
	var out []*logpb.Delivery
	for _, m := range s.derived.waiting {
		if s.holds(m) == "" {
			out = append(out, m)
		}
	}
	slices.SortFunc(out, func(a, b *logpb.Delivery) int {
		if a.GetMade() != b.GetMade() {
			return compareNumbers(uint64(a.GetMade()), uint64(b.GetMade()))
		}
		return compareDeliveries(deliveryOf(a), deliveryOf(b))
	})
	return out
}

// DeliveriesOf are the messages of an incident that are kept, in their order; not to be changed.
func (s *State) DeliveriesOf(incident string) []*logpb.Delivery {
	out := sorted(s.derived.mail[incident], compareDeliveries)
	slices.SortStableFunc(out, func(a, b *logpb.Delivery) int {
		switch {
		case before(a, b):
			return -1
		case before(b, a):
			return 1
		}
		return 0
	})
	return out
}

// join names several places.
func join(names []string) string { return strings.Join(names, ", ") }
