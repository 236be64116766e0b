package state

import (
	"fmt"
	"time"

	"github.com/salveops/salve/pkg/config"
	"github.com/salveops/salve/pkg/incident"
	"github.com/salveops/salve/proto/logpb"
)

// An incident is handed to people when its agent asks for it, when a breaker opens, when a permit is
// overdue or its outcome unknown, and at EscalateAt whatever is being done. Then it climbs the steps of its
// escalation, see pkg/incident, until a person acknowledges it or it ends.

// defaultEscalation is for incidents whose rule and service name none.
const defaultEscalation = "default"

// maxRepeat is how often a step is repeated at most.
const maxRepeat = 100

// handOver gives an incident to people. One that they have already only gets the new reason.
func (s *State) handOver(i *logpb.Incident, reason string) {
	reason = clip(reason, maxText)
	first := i.GetSince() == 0
	to, missing := s.escalationOf(i)
	l := life(i)
	if l.HandOver(stamp(s.now()), to, reason) != nil {
		return // it has ended meanwhile
	}
	live(i, l)
	i.EscalateAt = 0
	s.bindIncident(i)
	if !first {
		s.line(i, "escalate", "handed to people already; now also: %s", reason)
		return
	}
	for _, name := range missing {
		s.line(i, "escalate", "THERE IS NO ESCALATION %q in the controller's configuration", name)
	}
	if s.ladder(to) == nil {
		s.line(i, "escalate", "NOBODY IS TOLD, because there is no escalation to tell them by: %s", reason)
		return
	}
	s.line(i, "escalate", "handed to people (%s): %s", to, reason)
	s.climb(i)
}

// escalationOf is the escalation of the gravest alert that names one, else the service's, else the default;
// of these the first that there is. What is missing on the way is told.
func (s *State) escalationOf(i *logpb.Incident) (name string, missing []string) {
	var wants []string
	severity := ""
	for _, a := range s.AlertsOf(i.GetId()) {
		if a.GetEscalation() != "" && (severity == "" || incident.Graver(a.GetSeverity(), severity)) {
			wants, severity = []string{a.GetEscalation()}, a.GetSeverity()
		}
	}
	if of := s.derived.config[i.GetService()].GetEscalation(); of != "" {
		wants = append(wants, of)
	}
	for _, want := range append(wants, defaultEscalation) {
		if s.ladder(want) != nil {
			return want, missing
		}
		missing = append(missing, want)
	}
	return missing[0], missing
}

// ladder are the steps of an escalation, nil if there is none of that name or it tells nobody.
func (s *State) ladder(name string) []config.Step {
	for _, e := range s.config.GetEscalations() {
		if e.GetName() != name {
			continue
		}
		var steps []config.Step
		for _, step := range e.GetSteps() {
			steps = append(steps, config.Step{
				After: time.Duration(step.GetAfter()), Notify: step.GetNotify(), Repeat: int(min(step.GetRepeat(), maxRepeat)),
			})
		}
		return steps
	}
	return nil
}

// escalated reports whether the controller tells people of an incident. If it has nobody who takes a message,
// the agents have to.
func (s *State) escalated(i *logpb.Incident) bool {
	return i.GetSince() != 0 && s.ladder(i.GetEscalation()) != nil && !s.unheard(i)
}

// unheard reports whether an incident reached no place and none is being tried.
func (s *State) unheard(i *logpb.Incident) bool {
	if len(i.GetTold())+len(i.GetAdopted()) > 0 || s.climbs(i) != 0 {
		return false
	}
	for _, m := range s.derived.mail[i.GetId()] {
		if !over(m) {
			return false
		}
	}
	return true
}

// climb makes the messages that are due.
func (s *State) climb(i *logpb.Incident) {
	now := stamp(s.now())
	for {
		steps := s.ladder(i.GetEscalation())
		l := life(i)
		due, _ := l.Next(steps, now)
		if due == nil {
			return
		}
		l.Took(due, steps, now)
		live(i, l)
		text := fmt.Sprintf("step %d of %d: telling %s", due.Step+1, len(steps), join(due.Notify))
		if due.Repeat > 0 {
			text += fmt.Sprintf(" again (%d of %d)", due.Repeat, steps[due.Step].Repeat)
		}
		if !s.message(i, due) {
			text += ", held back by a silence"
		}
		s.line(i, "escalate", "%s", text)
	}
}

// climbs is when the next message of an incident is due, 0 if none will be.
func (s *State) climbs(i *logpb.Incident) int64 {
	due, wait := life(i).Next(s.ladder(i.GetEscalation()), stamp(s.now()))
	switch {
	case due != nil:
		return s.now()
	case wait > 0:
		return plus(s.now(), int64(wait))
	}
	return 0
}

// skip goes to the next step at once, because everyone of the last one refused the message for good.
func (s *State) skip(i *logpb.Incident) {
	l := life(i)
	steps := s.ladder(i.GetEscalation())
	l.Skip(steps, stamp(s.now()))
	live(i, l)
	if int(i.GetStep()) >= len(steps) {
		s.line(i, "escalate", "everyone of the last step refused the message for good, and there is no other step")
	}
	s.climb(i)
}

// escalate hands over what has been open for too long, and goes on climbing.
func (s *State) escalate(i *logpb.Incident) {
	acknowledged := i.GetState() == logpb.IncidentState_INCIDENT_STATE_ACKNOWLEDGED
	if at := i.GetEscalateAt(); at != 0 && at <= s.now() && i.GetSince() == 0 && !acknowledged {
		s.handOver(i, fmt.Sprintf("open for %v", time.Duration(s.now()-i.GetOpened()).Round(time.Second)))
		return
	}
	s.climb(i)
}

// escalates is when escalate has something to do, 0 if never.
func (s *State) escalates(i *logpb.Incident) int64 {
	switch {
	case i.GetState() == logpb.IncidentState_INCIDENT_STATE_ACKNOWLEDGED:
		return 0
	case i.GetSince() == 0:
		return i.GetEscalateAt()
	}
	return s.climbs(i)
}
