package state

import (
	"slices"
	"strings"

	"github.com/salveops/salve/pkg/incident"
	"github.com/salveops/salve/proto/logpb"
)

// Which messages there are: those of a step, and the farewell to every place that may have heard of the
// incident, under every name that it had there.

// message makes a step's messages. It reports whether they may be sent: a silence holds them back.
func (s *State) message(i *logpb.Incident, d *incident.Delivery) bool {
	kind, state := trigger, logpb.DeliveryState_DELIVERY_STATE_DUE
	if d.Repeat > 0 {
		kind = reminder
	}
	if s.silenced(i) {
		state = logpb.DeliveryState_DELIVERY_STATE_SILENCED
	}
	for _, notifier := range d.Notify {
		s.send(&logpb.Delivery{
			Key: d.Key, Notifier: notifier, Incident: i.GetId(), Kind: kind, State: state,
			Step: uint32(d.Step), Repeat: uint32(d.Repeat),
		})
	}
	return state == logpb.DeliveryState_DELIVERY_STATE_DUE
}

// send enters a message, once.
func (s *State) send(m *logpb.Delivery) {
	if s.deliveries[deliveryOf(m)] != nil {
		return
	}
	if m.GetState() == logpb.DeliveryState_DELIVERY_STATE_UNSPECIFIED {
		m.State = logpb.DeliveryState_DELIVERY_STATE_DUE
	}
	m.Made, m.Due = s.now(), s.now()
	s.deliveries[deliveryOf(m)] = m
	s.derived.post(m)
}

// farewell tells the end of an incident to every place that may have heard of it, under every name that it
// had there. Nothing else of it is sent any more; what is on its way right now comes to its end first.
func (s *State) farewell(i *logpb.Incident) {
	for _, m := range sorted(s.derived.mail[i.GetId()], compareDeliveries) {
		if m.GetKind() != resolve && !over(m) && m.GetState() != logpb.DeliveryState_DELIVERY_STATE_CLAIMED {
			s.scrap(m)
		}
	}
	l := life(i)
	l.State = incident.Resolved
	if bye := l.Farewell(); bye != nil {
		for _, notifier := range bye.Notify {
			s.send(&logpb.Delivery{Key: bye.Key, Notifier: notifier, Incident: i.GetId(), Kind: resolve})
		}
	}
	for _, entry := range i.GetAdopted() {
		notifier, name, _ := strings.Cut(entry, " ")
		s.send(&logpb.Delivery{Key: name + "/resolved", Notifier: notifier, Incident: i.GetId(), Kind: resolve})
	}
}

// adopt says that a place knows the incident by the name in a key: of an agent or node that told people by
// itself, or of an incident that was merged. An entry of Adopted is the notifier, a space, and the name.
func (s *State) adopt(i *logpb.Incident, notifier, key string) {
	name := Subject(key)
	if other := s.byName(name); other != nil && other != i {
		return // it would end the other's messages
	}
	if notifier == "" || name == "" || len(notifier)+len(name) > maxName || strings.ContainsAny(notifier+name, " \n") {
		return // no name of ours
	}
	if name == i.GetId() {
		if len(i.GetTold()) < maxAdopted && !slices.Contains(i.GetTold(), notifier) {
			i.Told = append(i.GetTold(), notifier)
		}
		return
	}
	entry := notifier + " " + name
	if len(i.GetAdopted()) < maxAdopted && !slices.Contains(i.GetAdopted(), entry) {
		i.Adopted = append(i.GetAdopted(), entry)
	}
}

// maxAdopted bounds the names that one incident has in other places.
const maxAdopted = 1000

// disown takes back what a claim said: the place has not heard of the incident, so it need not hear of its
// end.
func (s *State) disown(i *logpb.Incident, m *logpb.Delivery) {
	name := Subject(m.GetKey())
	for _, other := range s.derived.mail[i.GetId()] {
		if other.GetNotifier() == m.GetNotifier() && other.GetKind() != resolve &&
			Subject(other.GetKey()) == name && mayHaveArrived(other) {
			return
		}
	}
	if name == i.GetId() {
		i.Told = without(i.GetTold(), m.GetNotifier())
	} else {
		i.Adopted = without(i.GetAdopted(), m.GetNotifier()+" "+name)
	}
	bye := s.deliveries[deliveryKey{name + "/resolved", m.GetNotifier()}]
	if bye.GetState() == logpb.DeliveryState_DELIVERY_STATE_DUE {
		s.scrap(bye)
	}
}

// mayHaveArrived reports whether somebody may have the message.
func mayHaveArrived(m *logpb.Delivery) bool {
	return m.GetReached() || m.GetState() == logpb.DeliveryState_DELIVERY_STATE_CLAIMED ||
		m.GetState() == logpb.DeliveryState_DELIVERY_STATE_TOLD
}

// own notes that a place may hear of the incident with this message.
func (s *State) own(m *logpb.Delivery) {
	i := s.incidents[m.GetIncident()]
	switch {
	case i == nil || m.GetKind() == resolve:
	case Subject(m.GetKey()) != i.GetId():
		s.adopt(i, m.GetNotifier(), m.GetKey())
	case !slices.Contains(i.GetTold(), m.GetNotifier()):
		i.Told = append(i.GetTold(), m.GetNotifier())
	}
}
