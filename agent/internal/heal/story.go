package heal

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/salveops/salve/agent/internal/local"
	"github.com/salveops/salve/pkg/care"
	"github.com/salveops/salve/pkg/clock"
	"github.com/salveops/salve/pkg/config"
	"github.com/salveops/salve/pkg/incident"
	"github.com/salveops/salve/pkg/rule"
	"github.com/salveops/salve/proto/logpb"
)

// story is an open incident with what is alive of it.
type story struct {
	*incident.Incident
	patients map[patientID]*patient // alerts that fire
	run      *run                   // the attempt under way; one at a time in one incident
	begun    int                    // number of the newest attempt; those that were refused count, too
	left     []func()               // go on with what an earlier process left, one after another
	ending   bool                   // a person ended it; what is under way comes to its end first
	evidence *collection            // diagnosis
}

// patientID names a rule's instance.
type patientID struct{ rule, service, instance string }

// patient is one firing alert.
type patient struct {
	live    *rule.Alert
	key     incident.AlertKey
	fired   clock.Stamp
	due     time.Duration     // when to decide again at the latest; 0: when a fact changes
	said    string            // the last decision's reason, so that a standing one is recorded once
	refused map[string]string // remedies that the precheck refused, with the reason
	doubts  map[string]doubt  // remedies of which the precheck could not know whether they may run
	denied  map[string]denial // remedies that the controller gave no leave for
	noLeave string            // the last decision because of that, so that it is recorded once
	turned  bool              // no leave was given since the last decision about something else
	unable  string            // why the last attempt could not begin, so that it is recorded once
	wait    time.Duration     // between the last two attempts that could not begin
	would   string            // observe: the remedy that would have run
}

func idOf(a *rule.Alert) patientID {
	return patientID{rule: a.Rule.Name, service: care.Service(a), instance: a.Instance}
}

// ordered are the patients in a fixed order, so that decisions never depend on a map.
func (s *story) ordered() []*patient {
	ids := slices.SortedFunc(maps.Keys(s.patients), func(a, b patientID) int {
		return strings.Compare(a.rule+"\x00"+a.service+"\x00"+a.instance, b.rule+"\x00"+b.service+"\x00"+b.instance)
	})
	out := make([]*patient, len(ids))
	for i, id := range ids {
		out[i] = s.patients[id]
	}
	return out
}

// firing are the alerts of the patients, in that order.
func (s *story) firing() []*rule.Alert {
	out := make([]*rule.Alert, 0, len(s.patients))
	for _, p := range s.ordered() {
		out = append(out, p.live)
	}
	return out
}

// admit makes a firing alert part of its service's open incident, or opens one.
func (e *Engine) admit(ev rule.Event) (*story, *patient) {
	a := ev.Alert
	if s := e.services[care.Service(a)]; s != nil {
		if p := s.patients[idOf(a)]; p != nil { // it was restored after a restart of the agent
			p.live = a
			return s, p
		}
	}
	at := clock.At(e.o.Clock, ev.At)
	record := care.Record(ev)
	record.Fired, record.Began = at, e.began(ev)
	s := e.services[record.Service]
	record.Key = e.keyFor(&record, a.Rule, s)
	p := &patient{live: a, key: record.Key, fired: at}
	if s == nil {
		s = e.openStory(incident.New(e.generation(), record, fmt.Sprintf("%s on %s", a.Rule.Name, care.Subject(a))))
	} else if err := s.Join(record); err != nil {
		e.log.Error("cannot join alert to incident", "rule", record.Rule, "error", err)
	}
	s.patients[idOf(a)] = p
	e.noteHere(s, incident.EvAlert, care.Fires(a, record), map[string]string{"rule": record.Rule, "instance": record.Instance,
		"severity": record.Severity})
	return s, p
}

// began is since when the trouble is known to have been there: systemd says when a unit failed, and a
// rule fires when its condition held for long enough.
func (e *Engine) began(ev rule.Event) clock.Stamp {
	at := ev.At
	if u, ok := e.o.Units.Unit(unitOf(ev.Alert)); ok && u.Active == "failed" && u.Changed > 0 && u.Changed < at.Boot {
		return e.stampAt(at.Add(u.Changed - at.Boot))
	}
	return e.stampAt(at.Add(-ev.Alert.Rule.For))
}

// openStory makes an incident record alive.
func (e *Engine) openStory(rec *incident.Incident) *story {
	s := &story{Incident: rec, patients: make(map[patientID]*patient)}
	e.stories[rec.ID] = s
	e.services[rec.Service] = s
	return s
}

// unbidden opens an incident that no alert began.
func (e *Engine) unbidden(id, service string, severity config.Severity, title string) *story {
	return e.openStory(&incident.Incident{ID: id, Service: service, State: incident.Open, Severity: string(severity),
		Opened: e.stamp(), Title: title})
}

// newID names an incident that no alert began.
func (e *Engine) newID() string {
	key := incident.AlertKey{Host: e.o.Journal.Host(), Stream: e.o.Journal.Stream(), N: e.o.Journal.NextEvent()}
	return incident.ID(e.generation(), key)
}

// note appends to the timeline, tells those who watch and the controller, and journals the incident.
func (e *Engine) note(s *story, typ incident.EventType, text string, fields map[string]string) {
	e.noteWith(s, typ, text, fields, nil)
}

// noteWith is note for a line with which the controller gets more than the line.
func (e *Engine) noteWith(
	s *story, typ incident.EventType, text string, fields map[string]string, with func(*logpb.Story),
) {
	ev := incident.Event{At: e.stamp(), Type: typ, Text: text, Fields: fields}
	e.tellLine(s, ev, with)
	e.enter(s, ev)
}

// noteHere is note for what the controller knows already, in its own words.
func (e *Engine) noteHere(s *story, typ incident.EventType, text string, fields map[string]string) {
	e.enter(s, incident.Event{At: e.stamp(), Type: typ, Text: text, Fields: fields})
}

func (e *Engine) enter(s *story, ev incident.Event) {
	s.Append(ev)
	e.save(s) // first, so that who is told can ask for the story and finds it in it
	e.watchers.publish(local.Event{Event: ev, Incident: s.ID, Service: s.Service, Opened: s.Opened})
	e.log.Info("incident", "id", s.ID[:8], "service", s.Service, "event", string(ev.Type), "text", ev.Text)
}

// save journals the incident as it is. A journal that takes nothing is told by Healthy.
func (e *Engine) save(s *story) {
	if err := e.o.Journal.PutIncident(s.Incident); err != nil {
		e.log.Error("cannot journal incident", "id", s.ID, "error", err)
	}
}

// discharge takes a resolved alert out of its incident. verified: a remedy was just seen to have helped.
func (e *Engine) discharge(ev rule.Event, verified bool) {
	s := e.services[care.Service(ev.Alert)]
	if s == nil {
		return
	}
	p := s.patients[idOf(ev.Alert)]
	if p == nil {
		return
	}
	delete(s.patients, idOf(ev.Alert))
	if e.queue.Leave(s.ID, p.live.Rule.Name, p.live.Instance) {
		e.nextTurn()
	}
	if err := s.Clear(p.key, clock.At(e.o.Clock, ev.At)); err != nil {
		e.log.Error("cannot clear alert", "rule", ev.Alert.Rule.Name, "error", err)
	}
	e.endOf(s, p.key, verified)
	e.noteHere(s, incident.EvAlert, care.Ceases(ev.Alert),
		map[string]string{"rule": ev.Alert.Rule.Name, "instance": ev.Alert.Instance, "resolved": "true"})
	e.closeIfQuiet(s)
}

// closeIfQuiet ends an incident without firing alerts and without attempts under way.
func (e *Engine) closeIfQuiet(s *story) {
	if len(s.patients) > 0 || s.run != nil || !s.Quiet() || s.State == incident.Resolved {
		return
	}
	if e.residue(s) != nil || e.flaps(s) {
		return
	}
	how := care.Ending(s.Incident, &e.past)
	if err := s.Resolve(e.stamp(), "", how); err != nil {
		e.log.Error("cannot resolve incident", "id", s.ID, "error", err)
		return
	}
	e.bury(s, incident.EvEnd, "resolved: "+how)
}

// bury takes an incident that has ended out of what is alive. Whoever was told hears of it.
func (e *Engine) bury(s *story, typ incident.EventType, text string) {
	e.tellEnds(s, false)
	if bye := s.Farewell(); bye != nil {
		e.o.Page.Send(*s.Incident, *bye)
	}
	e.note(s, typ, text, nil)
	delete(e.stories, s.ID)
	delete(e.services, s.Service)
	e.unmute(s.Service)
}

// residue is an attempt of which nobody knows what it left behind, and which no alert would tell of: it
// could not be taken back, or nothing ever fired. The incident then waits for a person.
func (e *Engine) residue(s *story) *incident.Attempt {
	if s.AckBy != "" || !s.Released.IsZero() {
		return nil // somebody has seen it
	}
	for _, id := range s.Attempts {
		a := e.past.ByID(id)
		switch {
		case a == nil:
		case a.Stays != "", a.Phase == incident.Unknown && (len(s.Alerts) == 0 || a.Outcome != "" && len(a.Undo) > 0):
			return a
		}
	}
	return nil
}

// leftBehind is the sentence for people about a residue.
func leftBehind(a *incident.Attempt) string {
	return fmt.Sprintf("what %s left behind on %s is unknown: %s", a.Remedy, a.Target, cmp.Or(a.Stays, a.Reason))
}

// flaps reports whether an alert of the incident's service comes and goes. Its incident lasts until that
// ends, so that people are told once and not each time.
func (e *Engine) flaps(s *story) bool {
	return slices.ContainsFunc(e.rules.Alerts(), func(a *rule.Alert) bool {
		return a.Flapping && care.Service(a) == s.Service
	})
}

// observes is why nothing is done alone for the service, by the strictest of the host's word, its own, the controller's
// and its objectives'; "" if something may be.
func (e *Engine) observes(s *config.Service) string {
	return care.Observes(e.cfg.Observes(s) || s != nil && e.fleet.observes(s.Name), e.rules, s)
}

// autonomy is the level that follows.
func (e *Engine) autonomy(s *config.Service) config.Autonomy {
	if e.observes(s) != "" {
		return config.Observe
	}
	return config.Full
}

// raise makes incidents graver whose services have spent an error budget since their alerts fired.
func (e *Engine) raise() {
	for _, s := range e.openStories() {
		if text := care.Raise(s.Incident, s.firing()); text != "" {
			e.noteWith(s, incident.EvAlert, text, map[string]string{"severity": s.Severity},
				func(line *logpb.Story) { line.Severity = s.Severity })
		}
	}
}
