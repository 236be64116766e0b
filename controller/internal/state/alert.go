package state

import (
	"fmt"
	"slices"
	"strings"

	"github.com/salveops/salve/pkg/incident"
	"github.com/salveops/salve/proto/logpb"
)

// escalateAfter is when people are told of an alert whose rule does not say: whatever is being done by then.
const escalateAfter = 300e9

// maxFiring is how many alerts of one host may fire at once. More are counted in their incident, and no
// more than that is known of them.
const maxFiring = 1000

// fired enters an alert, in exactly one incident.
func (s *State) fired(h *logpb.Host, n uint64, from *logpb.Alert) {
	key := &logpb.AlertKey{Host: h.GetId(), Stream: h.GetStream(), N: n}
	if s.alerts[keyOf(key)] != nil {
		return
	}
	a := bounded(from)
	a.Key, a.HostName = key, h.GetName()
	begins := s.byLocal(h.GetId(), a.GetLocal()) == nil
	s.enter(a)
	if begins {
		s.tellGrants(h.GetId(), a.GetLocal())
	}
	if a.GetBlind() {
		s.mistrust(a, "fires blind: whether it holds cannot be known")
	}
	for _, old := range s.superseded(a) { // after it, so that their incident does not end in between
		s.clear(old, false, "a new journal of the host tells it anew")
	}
}

// bounded is what is taken over of an agent's alert.
func bounded(from *logpb.Alert) *logpb.Alert {
	a := &logpb.Alert{
		Rule: clip(from.GetRule(), maxName), Service: clip(from.GetService(), maxName),
		Instance: clip(from.GetInstance(), maxName), Severity: from.GetSeverity(),
		Condition: clip(from.GetCondition(), maxText), Values: clipAll(from.GetValues(), maxName),
		HostFired: from.GetHostFired(), Blind: from.GetBlind(), Local: clip(from.GetLocal(), maxName),
		Escalation: clip(from.GetEscalation(), maxName), EscalateAfter: max(0, from.GetEscalateAfter()),
	}
	if !slices.Contains([]string{"info", "warning", "critical"}, a.GetSeverity()) {
		a.Severity = "warning"
	}
	return a
}

// enter takes an alert into the tables.
func (s *State) enter(a *logpb.Alert) {
	a.Fired = s.at
	i := s.group(a)
	said := alertText(a)
	if a.GetMuted() != "" {
		said += "; muted, because it depends on " + a.GetMuted() + ", which fires"
	}
	s.lineOf(i, a, "alert", said)
	if len(s.derived.live[a.GetKey().GetHost()]) >= maxFiring {
		i.Forgotten++
	} else {
		well := len(s.derived.sick[a.GetService()]) == 0
		s.alerts[keyOf(a.GetKey())] = a
		s.derived.file(a)
		if well {
			s.bindService(a.GetService())
		}
	}
	if a.GetMuted() == "" {
		s.deadline(i, a)
	}
	s.rehear(i)
	s.bindHost(a.GetKey().GetHost())
	s.trip(ruleKey{a.GetService(), a.GetRule()})
}

// alertText is an alert in one sentence.
func alertText(a *logpb.Alert) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s fires", subject(a))
	if a.GetBlind() {
		b.WriteString(" blind: whether it holds cannot be known")
	}
	if a.GetCondition() != "" {
		fmt.Fprintf(&b, ": %s", a.GetCondition())
	}
	if len(a.GetValues()) > 0 {
		fmt.Fprintf(&b, " (%s)", strings.Join(a.GetValues(), ", "))
	}
	return b.String()
}

// subject is what an alert is about.
func subject(a *logpb.Alert) string {
	if a.GetInstance() == "" || a.GetInstance() == a.GetService() {
		return a.GetRule()
	}
	return a.GetRule() + " for " + a.GetInstance()
}

// deadline sets when people are told of an incident whatever is being done.
func (s *State) deadline(i *logpb.Incident, a *logpb.Alert) {
	after := a.GetEscalateAfter()
	if after == 0 {
		after = escalateAfter
	}
	if i.GetSince() != 0 {
		return // they are told already
	}
	i.EscalateAt = sooner(i.GetEscalateAt(), plus(s.now(), after))
}

// now is log time as a moment that is set: 0 means none in every record.
func (s *State) now() int64 { return max(s.at, 1) }

// superseded are the alerts in which an earlier journal of the host said the same: under the number that
// they have there nobody will ever say that they are over.
func (s *State) superseded(a *logpb.Alert) []*logpb.Alert {
	return slices.DeleteFunc(sorted(s.derived.live[a.GetKey().GetHost()], compareKeys), func(old *logpb.Alert) bool {
		return old.GetResolved() != 0 || old.GetKey().GetStream() == a.GetKey().GetStream() || synthetic(old) ||
			old.GetRule() != a.GetRule() || old.GetService() != a.GetService() || old.GetInstance() != a.GetInstance()
	})
}

// resolved is the agent's word that an alert is over.
func (s *State) resolved(h *logpb.Host, c *logpb.AlertEnd) {
	key := alertKey{h.GetId(), c.GetKey().GetStream(), c.GetKey().GetN()}
	a := s.alerts[key]
	if a == nil {
		return // of an incident that is no longer kept
	}
	if a.GetClosed() {
		s.amend(a, func(a *logpb.Alert) { a.Closed = false })
		s.bindHost(h.GetId())
	}
	if a.GetResolved() != 0 {
		return
	}
	how := "by itself"
	if c.GetVerified() {
		how = "a remedy helped, and that is verified"
	}
	s.clear(a, c.GetVerified(), how)
	if i := s.incidents[a.GetIncident()]; !c.GetVerified() && a.GetMuted() == "" && i.GetVerified() == 0 && i.GetAckBy() == "" {
		s.mistrust(a, "is over "+how)
	}
}

// clear ends an alert, and its incident if nothing of it fires any more.
func (s *State) clear(a *logpb.Alert, verified bool, how string) {
	i := s.incidents[a.GetIncident()]
	s.amend(a, func(a *logpb.Alert) { a.Resolved, a.Verified = s.now(), verified })
	if verified {
		i.Verified = s.now()
	}
	s.lineOf(i, a, "alert", subject(a)+" is over: "+how)
	s.bindHost(a.GetKey().GetHost())
	s.recovers(a.GetService())
	s.rehear(i)
	s.quiet(i)
	s.forget(i)
	s.trip(ruleKey{a.GetService(), a.GetRule()})
}

// recovers tells whoever depends on a service once nothing of it fires.
func (s *State) recovers(service string) {
	if service == "" || len(s.derived.sick[service]) > 0 {
		return
	}
	s.bindService(service)
	s.unmute(service)
}

// quiet ends an incident once nothing of it fires.
func (s *State) quiet(i *logpb.Incident) {
	if s.derived.fires[i.GetId()] > 0 || ended(i) {
		return
	}
	how := "every alert cleared by itself"
	for _, a := range s.derived.members[i.GetId()] {
		if a.GetVerified() {
			how = "healed: every alert is over, and that a remedy helped is verified"
		}
	}
	s.end(i, how)
}

// forget drops the oldest resolved alerts of an incident that has too many. Some more than are kept may be
// there, so that they are looked through once in a while only.
func (s *State) forget(i *logpb.Incident) {
	members := s.derived.members[i.GetId()]
	if len(members)-s.derived.fires[i.GetId()] < incident.MaxAlerts+incident.MaxAlerts/2 {
		return
	}
	var past []*logpb.Alert
	for _, a := range members {
		if a.GetResolved() != 0 && !a.GetClosed() {
			past = append(past, a)
		}
	}
	slices.SortFunc(past, func(a, b *logpb.Alert) int {
		if a.GetResolved() != b.GetResolved() {
			return compareNumbers(uint64(a.GetResolved()), uint64(b.GetResolved()))
		}
		return compareKeys(keyOf(a.GetKey()), keyOf(b.GetKey()))
	})
	for _, a := range past[:max(0, len(past)-incident.MaxAlerts)] {
		i.Forgotten++
		s.strike(a)
	}
}

// strike takes an alert out of the tables.
func (s *State) strike(a *logpb.Alert) {
	s.derived.unfile(a)
	delete(s.alerts, keyOf(a.GetKey()))
}

// AlertsOf are the alerts of an incident that are kept, oldest first; not to be changed.
func (s *State) AlertsOf(incident string) []*logpb.Alert {
	out := sorted(s.derived.members[incident], compareKeys)
	slices.SortStableFunc(out, func(a, b *logpb.Alert) int {
		return compareNumbers(uint64(a.GetFired()), uint64(b.GetFired()))
	})
	return out
}
