package state

import (
	"fmt"

	"github.com/salveops/salve/proto/logpb"
)

// What the controller itself notices becomes an alert like those of agents, so that it has an incident,
// reaches people and ends. Its event stream has a name that no journal has.

const ownStream = "controller"

// Rules of such alerts.
const (
	ruleLost    = "host-lost"
	ruleOverdue = "permit-overdue"
	ruleUnknown = "permit-unknown"
)

// synthetic reports whether the controller made the alert.
func synthetic(a *logpb.Alert) bool { return a.GetKey().GetStream() == ownStream }

// raise enters an alert of the controller's own about a host.
func (s *State) raise(host string, a *logpb.Alert) *logpb.Incident {
	s.counters.Id++
	a.Key = &logpb.AlertKey{Host: host, Stream: ownStream, N: s.counters.GetId()}
	a.HostName, a.Severity = s.name(host), "critical"
	a.Service, a.Local = clip(a.GetService(), maxName), clip(a.GetLocal(), maxName)
	a.Condition = clip(a.GetCondition(), maxText)
	s.enter(a)
	return s.incidents[a.GetIncident()]
}

// calmDown ends the controller's own alerts about a host that fit.
func (s *State) calmDown(host, how string, fits func(*logpb.Alert) bool) {
	for _, a := range sorted(s.derived.live[host], compareKeys) {
		if a.GetResolved() == 0 && synthetic(a) && fits(a) {
			s.clear(a, false, how)
		}
	}
}

// hostLost begins or ends the alert about a host that nobody hears. One that runs nothing is missed by
// nobody.
func (s *State) hostLost(h *logpb.Host, lost bool) {
	if !lost {
		s.calmDown(h.GetId(), "it is heard again", func(a *logpb.Alert) bool { return a.GetRule() == ruleLost })
		return
	}
	if len(h.GetServices()) > 0 {
		s.raise(h.GetId(), &logpb.Alert{Rule: ruleLost, Condition: "nobody hears the host"})
	}
}

// hostRemoved ends what fires on a host that is no more, and forgets what only a living one needs.
func (s *State) hostRemoved(h *logpb.Host) {
	for _, a := range sorted(s.derived.live[h.GetId()], compareKeys) {
		if a.GetResolved() == 0 {
			s.clear(a, false, "the host was removed")
		}
		if s.alerts[keyOf(a.GetKey())] == a && a.GetClosed() {
			s.amend(a, func(a *logpb.Alert) { a.Closed = false })
		}
	}
	h.Services, h.Labels, h.LastToken, h.Bundles = nil, nil, nil, nil
}

// late tells people of a permit that should have ended.
func (s *State) late(p *logpb.Permit) {
	s.strand(p, ruleOverdue, fmt.Sprintf("%s should have ended %v ago; it goes on counting", p.GetRemedy(),
		asDuration(s.now()-dueOf(p))))
}

// strand tells people of a permit that does not end as it should. The alert fires until the permit is settled.
func (s *State) strand(p *logpb.Permit, rule, condition string) {
	i := s.raise(p.GetHost(), &logpb.Alert{
		Rule: rule, Service: p.GetService(), Instance: "permit " + TokenText(p.GetToken()), Condition: condition,
		Local: p.GetIncident(), Seen: true, // no reason to stop remedies elsewhere
	})
	s.handOver(i, fmt.Sprintf("permit %s of %s: %s", TokenText(p.GetToken()), s.name(p.GetHost()), condition))
}

// settled ends the alerts about a permit.
func (s *State) settled(p *logpb.Permit) {
	name := "permit " + TokenText(p.GetToken())
	s.calmDown(p.GetHost(), "the permit is settled", func(a *logpb.Alert) bool { return a.GetInstance() == name })
}
