package heal

import (
	"maps"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/salveops/salve/pkg/config"
	"github.com/salveops/salve/pkg/incident"
	"github.com/salveops/salve/pkg/remedy"
	"github.com/salveops/salve/proto/logpb"
)

// What the controller hears of this host. Every event goes to disk with the incident that is saved next.

// Bounds of what is told: the controller keeps no more of it, and refuses an event that no entry of its log takes.
// What it refused would be sent again for ever, and hold up all that comes after.
const (
	maxInstance = 256     // bytes of what an alert is about, such as a mount point
	maxTold     = 4 << 10 // bytes of a text
	maxParts    = 32      // values of an alert, fields of a line
)

// told is the beginning of a long text, cut between two characters.
func told(text string, most int) string {
	if len(text) <= most {
		return text
	}
	end := most - len("…")
	for end > 0 && !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + "…"
}

// tell puts an event into the outbox.
func (e *Engine) tell(ev *logpb.Event) {
	if e.fleet != nil {
		e.fleet.Events.Add(ev)
	}
}

// keyFor names a firing for ever. With a controller the name is that of the event which tells it.
func (e *Engine) keyFor(a *incident.Alert, of *config.Rule, s *story) incident.AlertKey {
	if e.fleet == nil {
		return incident.AlertKey{Host: e.o.Journal.Host(), Stream: e.o.Journal.Stream(), N: e.o.Journal.NextEvent()}
	}
	generation := e.generation()
	return e.fleet.Events.AddAlert(func(k incident.AlertKey) *logpb.Alert {
		local := incident.ID(generation, k) // of the incident that it opens
		if s != nil {
			local = s.ID
		}
		return alertOf(a, of, local)
	})
}

// alertOf is an alert as the controller hears of it.
func alertOf(a *incident.Alert, of *config.Rule, local string) *logpb.Alert {
	out := &logpb.Alert{
		Rule: a.Rule, Service: a.Service, Instance: told(a.Instance, maxInstance), Severity: a.Severity,
		Condition: told(a.Condition, maxTold),
		HostFired: a.Fired.Wall.UnixNano(), Blind: a.Blind, Local: local,
	}
	for _, v := range a.Values[:min(maxParts, len(a.Values))] {
		out.Values = append(out.Values, told(v.Signal+" = "+v.Text, maxTold))
	}
	if of != nil {
		out.Escalation, out.EscalateAfter = of.Escalate.To, int64(max(1, of.Escalate.After)) // 0 would be the default
	}
	return out
}

// tellEnd says that an alert is over.
func (e *Engine) tellEnd(k incident.AlertKey, verified bool) {
	e.tell(&logpb.Event{What: &logpb.Event_Resolved{Resolved: &logpb.AlertEnd{
		Key: &logpb.AlertKey{Host: k.Host, Stream: k.Stream, N: k.N}, Verified: verified,
	}}})
}

// endOf says that an alert of an incident is over. While an attempt is under way that waits for its end, which
// tells whether the remedy helped; else the controller's incident would end in the middle of it.
func (e *Engine) endOf(s *story, k incident.AlertKey, verified bool) {
	if e.fleet == nil || verified || s.run == nil {
		e.tellEnd(k, verified)
		return
	}
	for i := range s.Alerts {
		if s.Alerts[i].Key == k {
			s.Alerts[i].Untold = true
		}
	}
}

// tellEnds says what has waited for the end of an attempt.
func (e *Engine) tellEnds(s *story, verified bool) {
	for i := range s.Alerts {
		if a := &s.Alerts[i]; a.Untold {
			a.Untold = false
			e.tellEnd(a.Key, verified)
		}
	}
}

// tellLine says one line of an incident's timeline, with what belongs to it.
func (e *Engine) tellLine(s *story, ev incident.Event, with func(*logpb.Story)) {
	if e.fleet == nil {
		return
	}
	line := &logpb.Story{Local: s.ID, Event: lineOf(ev)}
	if with != nil {
		with(line)
	}
	e.tell(&logpb.Event{What: &logpb.Event_Story{Story: line}})
}

// lineOf is a line as the controller hears of it.
func lineOf(ev incident.Event) *logpb.TimelineEvent {
	out := &logpb.TimelineEvent{HostAt: ev.At.Wall.UnixNano(), Type: string(ev.Type), Text: told(ev.Text, maxTold)}
	names := slices.Sorted(maps.Keys(ev.Fields))
	for _, name := range names[:min(maxParts, len(names))] {
		out.Fields = append(out.Fields, &logpb.Label{Name: name, Value: told(ev.Fields[name], maxTold)})
	}
	return out
}

// tellOutcome says how an attempt ended, for what is learned of its remedy; nil: nothing is of one that only looks.
func tellOutcome(a *incident.Attempt) func(*logpb.Story) {
	if remedy.Kind(a.Kind).Gathers() {
		return nil
	}
	return func(line *logpb.Story) {
		line.Outcome = &logpb.Statistic{Service: a.Service, Rule: a.Rule, Remedy: a.Remedy}
		switch a.Outcome {
		case incident.Verified:
			line.Outcome.Verified = 1
		case incident.Ineffective:
			line.Outcome.Ineffective = 1
		case incident.Worse:
			line.Outcome.Worse = 1
		case incident.Inconclusive:
			line.Outcome.Inconclusive = 1
		}
	}
}

// tellEvidence names evidence, and hands it over beside the line.
func (e *Engine) tellEvidence(list []incident.Evidence) func(*logpb.Story) {
	if e.fleet == nil {
		return nil
	}
	refs := e.fleet.Permits.Evidence(list)
	return func(line *logpb.Story) { line.Evidence = refs }
}

// tellHandOver asks for people.
func (e *Engine) tellHandOver(s *story) {
	e.tell(&logpb.Event{What: &logpb.Event_HandOver{HandOver: &logpb.HandOver{
		Local: s.ID, Reason: told(s.Escalate.Reason, maxTold),
	}}})
}

// tellPage says that this host told people itself.
func (e *Engine) tellPage(s *story, d *incident.Delivery) {
	e.tell(&logpb.Event{What: &logpb.Event_Page{Page: &logpb.LocalPage{Local: s.ID, Key: d.Key, Notifiers: d.Notify}}})
}

// Moved says that the event stream was replaced: alerts have the numbers that they got there. What the controller
// had in the old stream is told again, under a new name. It may be called from any goroutine.
func (e *Engine) Moved(from string, numbers map[uint64]uint64) {
	e.post(func() {
		for _, s := range e.openStories() {
			e.retell(s, func(k incident.AlertKey) (uint64, bool) {
				n, ok := numbers[k.N]
				return n, ok && k.Stream == from
			})
		}
	})
}

// retell gives the alerts of an incident that fire names in the stream of now. renamed knows the new numbers of
// those that are in it already.
func (e *Engine) retell(s *story, renamed func(incident.AlertKey) (uint64, bool)) {
	stream, again := e.fleet.Events.Stream(), false
	for i := range s.Alerts {
		a := &s.Alerts[i]
		if !a.Resolved.IsZero() && !a.Untold || a.Key.Stream == stream {
			continue
		}
		p, of := s.patientOf(a.Key), e.cfg.Rule(a.Rule)
		old := a.Key
		switch n, ok := renamed(a.Key); {
		case ok:
			a.Key = incident.AlertKey{Host: a.Key.Host, Stream: stream, N: n}
		case a.Untold:
			continue // its end is told under the name that the controller knows
		default:
			a.Key = e.keyFor(a, of, s)
			e.tellEnd(old, false)
			again = true
		}
		if p != nil {
			p.key = a.Key
		}
	}
	if again && !s.Escalate.Since.IsZero() {
		e.tellHandOver(s)
	}
	e.save(s)
}

func (s *story) patientOf(k incident.AlertKey) *patient {
	for _, p := range s.patients {
		if p.key == k {
			return p
		}
	}
	return nil
}

// quietFor is how long people are left to the controller after a hand-over: it may not have it yet.
const quietFor = 2 * time.Minute

// delegated reports whether the controller tells people of the incident, so that this host does not; wait is how
// long until that has to be seen. The controller knows nothing of incidents without an alert.
func (e *Engine) delegated(s *story) (yes bool, wait time.Duration) {
	if e.fleet == nil || len(s.Alerts) == 0 {
		return false, 0
	}
	if s.Order != nil && s.Order.Escalated {
		return true, 0
	}
	if s.Escalate.Step > 0 || s.Escalate.Repeat > 0 {
		return false, 0 // it has begun
	}
	left := quietFor - s.Escalate.Since.Age(e.stamp())
	return left > 0, left
}
