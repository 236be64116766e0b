package state

import (
	"fmt"
	"slices"
	"time"

	"github.com/salveops/salve/pkg/clock"
	"github.com/salveops/salve/pkg/incident"
	"github.com/salveops/salve/proto/logpb"
)

// The life of an incident is ruled by pkg/incident, on an agent and here. An ended incident is never opened
// again: what fires afterwards begins another one.

// boot is the only boot that log time knows: it goes on for ever.
const boot = "log"

// stamp is a moment of log time for the rules of pkg/incident, 0 is none.
func stamp(at int64) clock.Stamp {
	if at == 0 {
		return clock.Stamp{}
	}
	return clock.Stamp{Boot: time.Duration(at), BootID: boot}
}

// stateNames are the states of pkg/incident in the order of the log's.
var stateNames = [...]incident.State{
	"", incident.Open, incident.Healing, incident.Escalated, incident.Acknowledged, incident.Resolved,
}

// life is an incident as the rules see it.
func life(i *logpb.Incident) *incident.Incident {
	l := &incident.Incident{
		ID: i.GetId(), AckBy: i.GetAckBy(), Keep: i.GetKeepHealing(), Released: stamp(i.GetReleased()),
		Escalate: incident.Escalation{
			To: i.GetEscalation(), Reason: i.GetReason(), Since: stamp(i.GetSince()), Step: int(i.GetStep()),
			Repeat: int(i.GetRepeat()), Due: stamp(i.GetDue()), Told: i.GetTold(),
		},
	}
	if n := int(i.GetState()); n >= 0 && n < len(stateNames) {
		l.State = stateNames[n]
	}
	return l
}

// live takes over what the rules changed, but for who was told: that is known once a message is claimed.
func live(i *logpb.Incident, l *incident.Incident) {
	i.State = logpb.IncidentState(slices.Index(stateNames[:], l.State))
	i.AckBy, i.KeepHealing, i.Released = l.AckBy, l.Keep, int64(l.Released.Boot)
	e := &l.Escalate
	i.Escalation, i.Reason, i.Since, i.Due = e.To, e.Reason, int64(e.Since.Boot), int64(e.Due.Boot)
	i.Step, i.Repeat = uint32(e.Step), uint32(e.Repeat)
}

func ended(i *logpb.Incident) bool {
	return i.GetState() == logpb.IncidentState_INCIDENT_STATE_RESOLVED
}

// heals says that an attempt is under way.
func heals(i *logpb.Incident) {
	l := life(i)
	if l.Heal() == nil {
		live(i, l)
	}
}

// end closes an incident. Whoever was told hears of it, and nobody hears anything else any more.
func (s *State) end(i *logpb.Incident, how string) {
	if ended(i) {
		return
	}
	outOf(s.derived.ongoing, i.GetService(), i.GetId())
	i.State, i.Ended, i.End = logpb.IncidentState_INCIDENT_STATE_RESOLVED, s.now(), clip(how, maxText)
	i.Due, i.EscalateAt = 0, 0
	s.line(i, "end", "%s", i.GetEnd())
	s.farewell(i)
	s.bindIncident(i)
}

// commonCause marks the incident of a rule that fires on many hosts at once. No local remedy mends that: it
// goes to people at once.
func (s *State) commonCause(key ruleKey, n int) string {
	i := s.incidentOf(key)
	if i == nil {
		return ""
	}
	if key.service == "" { // hosts have incidents of their own until it turns out that they share a cause
		for _, other := range sorted(s.derived.ongoing[""], compare) {
			if other != i && other.GetRule() == key.rule && other.GetState() != logpb.IncidentState_INCIDENT_STATE_ACKNOWLEDGED {
				s.merge(other, i, "")
			}
		}
	}
	i.CommonCause = true
	on := "hosts of " + key.service
	if key.service == "" {
		on = "hosts"
	}
	i.Title = fmt.Sprintf("%s on %d %s at once", key.rule, n, on)
	s.handOver(i, fmt.Sprintf("%s fires on %d %s at once: a common cause, which no local remedy mends", key.rule, n, on))
	return i.GetId()
}

// incidentOf is the incident in which a rule fires: that of its service, or the one that mutes it.
func (s *State) incidentOf(key ruleKey) *logpb.Incident {
	among := map[string]*logpb.Incident{}
	for host := range s.derived.firing[key] {
		for _, a := range s.derived.hot[place{key.service, key.rule, host}] {
			among[a.GetIncident()] = s.incidents[a.GetIncident()]
		}
	}
	own := func(i *logpb.Incident) bool { return i.GetService() == key.service }
	if i := newest(among, own); i != nil {
		return i
	}
	return newest(among, all)
}

// byLocal is the incident that an agent means by its own name, nil if it is not kept. If a person ended one
// and the agent's goes on, it is the newest.
func (s *State) byLocal(host, name string) *logpb.Incident {
	var last *logpb.Alert
	for _, a := range s.derived.locals[local{host, name}] {
		if last == nil || a.GetFired() > last.GetFired() ||
			a.GetFired() == last.GetFired() && compareKeys(keyOf(a.GetKey()), keyOf(last.GetKey())) > 0 {
			last = a
		}
	}
	return s.incidents[last.GetIncident()]
}

// byName is an incident by its own name or one that it had before.
func (s *State) byName(id string) *logpb.Incident {
	if alias := s.aliases[id]; alias != nil {
		id = alias.GetIncident()
	}
	return s.incidents[id]
}
