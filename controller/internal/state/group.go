package state

import (
	"fmt"
	"maps"
	"slices"

	"github.com/salveops/salve/pkg/incident"
	"github.com/salveops/salve/proto/logpb"
)

// Which incident an alert belongs to:
//
//	its service has an open one, on whatever host, or fires in one ─► that
//	a service on which it depends fires in one                     ─► that
//	else                                                           ─► a new one
//
// It is muted while a service on which it depends fires: then that one is healed, and people hear of that.
// If its service had been well, what depends on it and began just before is taken in: dependents may notice
// a fault first. Alerts of no service are about hosts: the same rule on several hosts within groupWithin is
// one incident.

// groupWithin is how close in time things happen that are told as one.
const groupWithin = 300e9

// group finds or opens the incident of an alert and says so in the alert.
func (s *State) group(a *logpb.Alert) *logpb.Incident {
	by := s.mutes(a.GetService())
	i := s.sameService(a)
	if i == nil {
		i = s.where(by)
	}
	if i == nil {
		i = s.open(a)
	}
	s.join(i, a)
	if !synthetic(a) {
		a.Muted = by
	}
	if ails(a) && len(s.derived.sick[a.GetService()]) == 0 {
		s.gather(i, a.GetService())
	}
	return i
}

// sameService is the open incident of the alert's service, or of its rule if it is about the host.
func (s *State) sameService(a *logpb.Alert) *logpb.Incident {
	if a.GetService() == "" {
		return s.sameRule(a)
	}
	if own := newest(s.derived.ongoing[a.GetService()], all); own != nil {
		return own
	}
	return s.where(a.GetService())
}

// sameRule is the open incident of a rule about hosts: that of this host, or one that has just begun.
func (s *State) sameRule(a *logpb.Alert) *logpb.Incident {
	about := map[string]bool{}
	for _, other := range s.derived.live[a.GetKey().GetHost()] {
		about[other.GetIncident()] = about[other.GetIncident()] || other.GetResolved() == 0
	}
	own := newest(s.derived.ongoing[""], func(i *logpb.Incident) bool {
		return i.GetRule() == a.GetRule() && about[i.GetId()]
	})
	if own != nil {
		return own
	}
	return newest(s.derived.ongoing[""], func(i *logpb.Incident) bool {
		return i.GetRule() == a.GetRule() && s.now()-i.GetOpened() <= groupWithin
	})
}

func all(*logpb.Incident) bool { return true }

// where is the incident in which a service fires, nil if it is well.
func (s *State) where(service string) *logpb.Incident {
	among := map[string]*logpb.Incident{}
	for id := range s.derived.sick[service] {
		among[id] = s.incidents[id]
	}
	return newest(among, all)
}

// mutes is the nearest service on which this one depends that fires, "" if all are well.
func (s *State) mutes(service string) string {
	if service == "" {
		return ""
	}
	for _, on := range s.derived.graph.dependencies(service) {
		if len(s.derived.sick[on]) > 0 {
			return on
		}
	}
	return ""
}

// newest is the incident that opened last of those that fit.
func newest(list map[string]*logpb.Incident, fits func(*logpb.Incident) bool) *logpb.Incident {
	var best *logpb.Incident
	for _, i := range list {
		if fits(i) && (best == nil || newer(i, best)) {
			best = i
		}
	}
	return best
}

// newer orders incidents: by when they opened, and by name where that is the same.
func newer(a, b *logpb.Incident) bool {
	if a.GetOpened() != b.GetOpened() {
		return a.GetOpened() > b.GetOpened()
	}
	return a.GetId() > b.GetId()
}

// gather takes in the incidents of what depends on a service that has just begun to fire. What a person has
// stays theirs, and what began long before has another cause.
func (s *State) gather(i *logpb.Incident, service string) {
	since := s.now() - groupWithin - s.derived.graph.detection(service)
	for _, dependent := range s.derived.graph.dependents(service) {
		for _, child := range sorted(s.derived.ongoing[dependent], compare) {
			if child != i && child.GetState() != logpb.IncidentState_INCIDENT_STATE_ACKNOWLEDGED && child.GetOpened() >= since {
				s.merge(child, i, service)
			}
		}
	}
}

// unmute lets dependents be healed once the service is well on which they were waiting.
func (s *State) unmute(service string) {
	for _, dependent := range s.derived.graph.dependents(service) {
		for _, id := range slices.Sorted(maps.Keys(s.derived.sick[dependent])) {
			s.unmuteIn(s.incidents[id], dependent, service)
		}
	}
}

func (s *State) unmuteIn(i *logpb.Incident, dependent, service string) {
	by, said := s.mutes(dependent), false
	for _, a := range sorted(s.derived.members[i.GetId()], compareKeys) {
		if a.GetResolved() != 0 || a.GetMuted() != service || a.GetService() != dependent {
			continue
		}
		s.amend(a, func(a *logpb.Alert) { a.Muted = by })
		if by == "" {
			said = true
			s.deadline(i, a)
		}
	}
	if said {
		s.line(i, "alert", "%s is well again: %s, which still fires, is no longer muted", service, dependent)
	}
}

// open begins an incident with its first alert.
func (s *State) open(a *logpb.Alert) *logpb.Incident {
	i := &logpb.Incident{
		Id: s.incidentID(a.GetKey()), Service: a.GetService(), Title: title(a), Severity: a.GetSeverity(),
		State: logpb.IncidentState_INCIDENT_STATE_OPEN, Opened: s.now(),
	}
	if a.GetService() == "" {
		i.Rule = a.GetRule()
	}
	s.incidents[i.GetId()] = i
	s.derived.list(i)
	s.blame(i, a)
	return i
}

// incidentID is the name that agents compute, too. Only if that incident has ended already, which takes a
// journal that told the same firing twice, is it another one.
func (s *State) incidentID(k *logpb.AlertKey) string {
	key := incident.AlertKey{Host: k.GetHost(), Stream: k.GetStream(), N: k.GetN()}
	id := incident.ID(s.generation, key)
	for s.incidents[id] != nil || s.aliases[id] != nil {
		key.Stream = s.nextID(k.GetStream())
		id = incident.ID(s.generation, key)
	}
	return id
}

// title is the incident in a few words.
func title(a *logpb.Alert) string {
	switch {
	case a.GetRule() == ruleLost && synthetic(a):
		return fmt.Sprintf("host %s is lost", a.GetHostName())
	case a.GetService() == "":
		return fmt.Sprintf("%s on %s", subject(a), a.GetHostName())
	}
	return fmt.Sprintf("%s: %s on %s", a.GetService(), subject(a), a.GetHostName())
}

// join adds an alert to an open incident, which becomes as grave as its gravest alert.
func (s *State) join(i *logpb.Incident, a *logpb.Alert) {
	a.Incident = i.GetId()
	if incident.Graver(a.GetSeverity(), i.GetSeverity()) {
		i.Severity = a.GetSeverity()
	}
}

// merge makes an open incident part of another one, because of a service that mutes it, if any. It leaves an
// alias, and people who were told of it hear of the other: where the climb stood it goes on, and what was sent
// under the old name ends under it.
func (s *State) merge(from, to *logpb.Incident, service string) {
	s.line(to, "alert", "incident %.8s (%s) is part of this one", from.GetId(), from.GetTitle())
	for _, a := range sorted(s.derived.members[from.GetId()], compareKeys) {
		s.amend(a, func(a *logpb.Alert) {
			a.Incident = to.GetId()
			if a.GetMuted() == "" && !synthetic(a) {
				a.Muted = service
			}
		})
	}
	for _, m := range sorted(s.derived.mail[from.GetId()], compareDeliveries) {
		s.redo(m, func(m *logpb.Delivery) { m.Incident = to.GetId() })
	}
	outOf(s.derived.ongoing, from.GetService(), from.GetId())
	delete(s.incidents, from.GetId())
	for _, alias := range s.aliases {
		if alias.GetIncident() == from.GetId() {
			alias.Incident = to.GetId()
		}
	}
	s.aliases[from.GetId()] = &logpb.Alias{Id: from.GetId(), Incident: to.GetId(), At: s.at}
	for _, b := range s.breakers {
		if b.GetIncident() == from.GetId() {
			b.Incident = to.GetId()
		}
	}
	s.inherit(from, to)
	s.rehear(to)
	s.bindIncident(to)
}

// inherit hands on what an incident knows to the one that it is merged into.
func (s *State) inherit(from, to *logpb.Incident) {
	if incident.Graver(from.GetSeverity(), to.GetSeverity()) {
		to.Severity = from.GetSeverity()
	}
	to.Opened = min(to.GetOpened(), from.GetOpened())
	to.Acted, to.Verified = sooner(to.GetActed(), from.GetActed()), max(to.GetVerified(), from.GetVerified())
	to.Released = max(to.GetReleased(), from.GetReleased())
	to.EscalateAt = sooner(to.GetEscalateAt(), from.GetEscalateAt())
	to.CommonCause = to.GetCommonCause() || from.GetCommonCause()
	to.Forgotten += from.GetForgotten()
	if from.GetState() == logpb.IncidentState_INCIDENT_STATE_HEALING {
		heals(to)
	}
	s.splice(from, to)
	if from.GetSince() != 0 && (to.GetSince() == 0 || from.GetStep() > to.GetStep()) {
		to.Since, to.Step, to.Repeat, to.Due = from.GetSince(), from.GetStep(), from.GetRepeat(), from.GetDue()
		to.Escalation, to.Reason = from.GetEscalation(), from.GetReason()
		if to.GetState() != logpb.IncidentState_INCIDENT_STATE_ACKNOWLEDGED {
			to.State = logpb.IncidentState_INCIDENT_STATE_ESCALATED
		}
	}
	for _, notifier := range from.GetTold() {
		s.adopt(to, notifier, from.GetId())
	}
	for _, entry := range from.GetAdopted() {
		if !slices.Contains(to.GetAdopted(), entry) {
			to.Adopted = append(to.Adopted, entry)
		}
	}
}
