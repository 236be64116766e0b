package simulate

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/salveops/salve/pkg/care"
	"github.com/salveops/salve/pkg/clock"
	"github.com/salveops/salve/pkg/config"
	"github.com/salveops/salve/pkg/healing"
	"github.com/salveops/salve/pkg/incident"
	"github.com/salveops/salve/pkg/rule"
)

// story is an open incident with what is alive of it.
type story struct {
	*incident.Incident
	patients []*patient // alerts that fire, in the order in which they began
	run      *run       // nil: no attempt is under way
}

// patient is one firing alert.
type patient struct {
	live    *rule.Alert
	key     incident.AlertKey
	fired   clock.Stamp
	due     time.Duration // when to decide again, on the boot clock; 0: when an attempt has ended
	topic   string        // of the last decision
	refused map[string]string
}

func (s *story) firing() []*rule.Alert {
	out := make([]*rule.Alert, len(s.patients))
	for i, p := range s.patients {
		out[i] = p.live
	}
	return out
}

func (s *story) patient(a *rule.Alert) *patient {
	i := slices.IndexFunc(s.patients, func(p *patient) bool { return p.live == a })
	if i < 0 {
		return nil
	}
	return s.patients[i]
}

// open are the incidents that have not ended, in a fixed order.
func (h *host) open() []*story {
	if len(h.stories) == 0 {
		return nil
	}
	out := make([]*story, 0, len(h.stories))
	for _, service := range slices.Sorted(maps.Keys(h.stories)) {
		out = append(out, h.stories[service])
	}
	return out
}

// onAlert takes what the rules say.
func (h *host) onAlert(ev rule.Event) {
	switch ev.Kind {
	case rule.Fired, rule.Blind:
		s, p := h.admit(ev)
		h.decide(s, p)
	case rule.Resolved:
		h.discharge(ev)
	case rule.BlindEnd:
		if !ev.Alert.State.Active() {
			h.discharge(ev)
		}
	case rule.Flapping, rule.FlappingEnd:
		if s := h.stories[care.Service(ev.Alert)]; s != nil {
			h.note(s, incident.EvAlert, fmt.Sprintf("%s: %s for %s", ev.Alert.Rule.Name, ev.Kind, care.Subject(ev.Alert)))
			if p := s.patient(ev.Alert); p != nil {
				h.decide(s, p)
			}
			h.closeIfQuiet(s)
		}
	}
}

// admit makes an alert part of its service's open incident, or opens one.
func (h *host) admit(ev rule.Event) (*story, *patient) {
	service := care.Service(ev.Alert)
	s := h.stories[service]
	if s != nil {
		if p := s.patient(ev.Alert); p != nil {
			return s, p
		}
	}
	h.alerts++
	record := care.Record(ev)
	record.Fired = h.at(ev.At)
	record.Key = incident.AlertKey{Host: bootID, Stream: bootID, N: h.alerts}
	if s == nil {
		title := fmt.Sprintf("%s on %s", ev.Alert.Rule.Name, care.Subject(ev.Alert))
		s = &story{Incident: incident.New("", record, title)}
		h.stories[service], h.newest[service], h.told = s, s.Incident, append(h.told, s.Incident)
	} else if err := s.Join(record); err != nil {
		panic("simulate: " + err.Error()) // an open incident takes every new alert
	}
	p := &patient{live: ev.Alert, key: record.Key, fired: record.Fired, refused: make(map[string]string)}
	s.patients = append(s.patients, p)
	h.note(s, incident.EvAlert, care.Fires(ev.Alert, record))
	return s, p
}

// discharge takes a resolved alert out of its incident.
func (h *host) discharge(ev rule.Event) {
	s := h.stories[care.Service(ev.Alert)]
	if s == nil {
		return
	}
	p := s.patient(ev.Alert)
	if p == nil {
		return
	}
	s.patients = slices.DeleteFunc(s.patients, func(q *patient) bool { return q == p })
	if err := s.Clear(p.key, h.at(ev.At)); err != nil {
		panic("simulate: " + err.Error()) // the alert was admitted
	}
	h.note(s, incident.EvAlert, care.Ceases(ev.Alert))
	h.queue.Leave(s.ID, p.live.Rule.Name, p.live.Instance)
	h.nextTurn()
	h.closeIfQuiet(s)
}

// nextTurn decides anew about every alert that waits for what another attempt had.
func (h *host) nextTurn() {
	for _, s := range h.open() {
		for _, p := range s.patients {
			if h.queue.Has(s.ID, p.live.Rule.Name, p.live.Instance) {
				p.due = h.now.Boot
			}
		}
	}
}

// ahead are those who have waited for longer than the alert. One whose incident has an attempt under way has no turn now.
func (h *host) ahead(s *story, p *patient) []healing.Waiter {
	return slices.DeleteFunc(h.queue.Before(s.ID, p.live.Rule.Name, p.live.Instance), func(w healing.Waiter) bool {
		return slices.ContainsFunc(h.open(), func(o *story) bool { return o.ID == w.Incident && o.run != nil })
	})
}

// closeIfQuiet ends an incident without firing alerts and without an attempt under way.
func (h *host) closeIfQuiet(s *story) {
	if len(s.patients) > 0 || s.run != nil || !s.Quiet() || s.State == incident.Resolved {
		return
	}
	flaps := func(a *rule.Alert) bool { return a.Flapping && care.Service(a) == s.Service }
	if slices.ContainsFunc(h.rules.Alerts(), flaps) {
		return
	}
	how := care.Ending(s.Incident, &h.past)
	if err := s.Resolve(h.stamp(), "", how); err != nil {
		panic("simulate: " + err.Error()) // no alert of it fires
	}
	h.note(s, incident.EvEnd, "resolved: "+how)
	delete(h.stories, s.Service)
	for _, other := range h.stories { // those who waited for this service
		for _, p := range other.patients {
			if p.live.Service != nil && slices.Contains(p.live.Service.DependsOn, s.Service) {
				p.due = h.now.Boot
			}
		}
	}
}

// decide asks about one alert and does what it says.
func (h *host) decide(s *story, p *patient) {
	if s.run != nil {
		p.due = 0
		return
	}
	for {
		f := h.facts(s, p)
		d := healing.Decide(h.stamp(), f)
		if h.queue.Take(&f, d) {
			h.nextTurn()
		}
		if topic := care.Topic(d); d.Verdict != healing.Nothing && (topic != p.topic || d.Verdict == healing.Act) {
			p.topic = topic
			h.note(s, incident.EvDecide, d.Reason)
		}
		p.due = h.now.Boot + care.Again(d)
		switch d.Verdict {
		case healing.Act:
			if h.begin(s, p, d) {
				return
			}
		case healing.Observe:
			s.WouldHave = d.Remedy
			return
		case healing.Escalate:
			h.handOver(s, d.Reason)
		default:
			return
		}
	}
}

// handOver gives an incident to people.
func (h *host) handOver(s *story, reason string) {
	first, to := s.Escalate.Since.IsZero(), care.EscalateTo(s.firing())
	if err := s.HandOver(h.stamp(), to, reason); err == nil && first {
		h.note(s, incident.EvEscalate, fmt.Sprintf("handed to people (%s): %s", to, reason))
	}
}

// facts is what a decision about the alert looks at.
func (h *host) facts(s *story, p *patient) healing.Facts {
	a := p.live
	f := healing.Facts{
		Alert: care.Alert(a, p.fired), Incident: care.Story(s.Incident),
		Host: healing.Host{State: "running", PerHour: h.cfg.PerHour}, History: h.past.List(),
		Ahead:   h.ahead(s, p),
		Observe: care.Observes(h.test.Autonomy == config.Observe, h.rules, a.Service),
	}
	for _, w := range h.cfg.Windows {
		f.Windows = append(f.Windows, *w)
	}
	if a.Service != nil {
		for _, name := range a.Service.DependsOn {
			if h.cfg.Service(name) != nil {
				f.Depends = append(f.Depends, healing.Dependency{Service: name, Open: h.stories[name] != nil,
					Detection: h.rules.Detection(name)})
			}
		}
	}
	if a.Unit != "" {
		f.Unit = h.unitFacts(a.Unit, a.Service)
	}
	for _, rem := range h.cfg.Candidates(a.Rule, a.Service) {
		c := care.Candidate(h.now, rem, a.Unit, a.Rule.Name, h.rules, &h.past)
		c.Allowed, c.Refusal = true, p.refused[rem.Name] // what this host allows, salve validate says
		if own := rem.Unit(a.Unit); own != a.Unit && own != "" {
			c.Unit = h.unitFacts(own, nil)
		}
		f.Candidates = append(f.Candidates, c)
	}
	return f
}

// judgeDue decides about the alerts whose time has come.
func (h *host) judgeDue() {
	for _, s := range h.open() {
		for _, p := range slices.Clone(s.patients) {
			if p.due > 0 && p.due <= h.now.Boot {
				h.decide(s, p)
			}
		}
	}
	h.work()
}

// reconsider decides anew about every alert that the unit has to do with: its facts changed.
func (h *host) reconsider(unit string) {
	for _, s := range h.open() {
		for _, p := range slices.Clone(s.patients) {
			if p.live.Unit == unit {
				clear(p.refused)
				h.decide(s, p)
			}
		}
	}
}
