package config

import (
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"github.com/salveops/salve/pkg/defaults"
)

// people are who is told and when nothing is done, as both programs' files say it.
type people struct {
	sender      string // of mails that name no other
	notifiers   []*Notifier
	escalations []*Escalation
	windows     []*Window
	heartbeat   *Heartbeat
	told        []word // notifiers that escalations name
}

// decodePeople reads all of it but windows.
func (l *loader) decodePeople(b *block) {
	for _, nested := range b.blocks("notifier") {
		l.decodeNotifier(nested)
	}
	for _, nested := range b.blocks("escalation") {
		l.decodeEscalation(nested)
	}
	for _, nested := range b.blocks("heartbeat") {
		l.decodeHeartbeat(nested)
	}
}

// notifierKinds are the kinds of notifiers that the file may hold.
func (l *loader) notifierKinds() []string {
	var names []string
	for kind := range l.kinds {
		if name, ok := strings.CutPrefix(kind, "notifier "); ok {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func (l *loader) decodeEscalation(b *block) {
	e := &Escalation{Name: b.name("escalation", checkName), Range: b.header}
	for _, s := range b.blocks("step") {
		notify := s.texts("notify")
		step := Step{After: s.duration("after"), Notify: plain(notify), Repeat: s.integer("repeat")}
		if s.has("notify") && len(notify) == 0 {
			s.fail("notify", "Nobody to tell", "A step must name a notifier.")
		}
		if step.Repeat > 0 && step.After == 0 {
			s.fail("repeat", "No time between repeats", "repeat needs after: each repeat comes that much later.")
		}
		if step.Repeat > 0 {
			l.checkRepeats(s, notify)
		}
		l.people.told = append(l.people.told, notify...)
		e.Steps = append(e.Steps, step)
	}
	if len(e.Steps) == 0 {
		l.fail(b.header, "No step", "%s needs a step block.", upper(b.what))
	}
	l.people.escalations = append(l.people.escalations, e)
}

// checkRepeats warns about repeats that call nobody.
func (l *loader) checkRepeats(step *block, notify []word) {
	for _, w := range notify {
		if SwallowsRepeats(w.text) {
			l.warn(step.at("repeat"), "No effect", "%s takes a repeat for the same alert, and calls nobody again: repeats are "+
				"left out there. It repeats by its own settings, or gets another step.", w.text)
		}
	}
}

func (l *loader) decodeHeartbeat(b *block) {
	if h := l.people.heartbeat; h != nil {
		l.fail(b.header, "Duplicate heartbeat", "There is a heartbeat block already, at %s.", place(h.Range))
		return
	}
	l.people.heartbeat = &Heartbeat{URL: b.link(), Every: b.duration("every"), Range: b.header}
}

// checkPeople resolves who is told.
func (l *loader) checkPeople() {
	if l.rulesOnly {
		return
	}
	l.checkTold()
	lacking := ""
	for _, d := range l.rules {
		switch {
		case l.agent.Escalation(d.Escalate.To) != nil:
		case d.to.text != "":
			l.unknownEscalation(d.to)
		case lacking == "":
			lacking = d.Name
		}
	}
	if lacking != "" {
		when := ""
		if l.agent.Controller != nil {
			when = " while the controller is out of reach"
		}
		at := hcl.Range{Filename: l.sources.names[0], Start: hcl.InitialPos, End: hcl.InitialPos}
		l.warn(at, "Nobody to tell", "The rule %q escalates to %q, and there is no escalation of that name: nobody "+
			"would hear of what Salve cannot heal%s.", lacking, defaults.EscalateTo, when)
	}
}

// checkTold reports notifiers that a step names and that do not exist.
func (l *loader) checkTold() {
	var known []string
	for _, n := range l.people.notifiers {
		known = append(known, n.ID())
	}
	for _, w := range l.people.told {
		if !slices.Contains(known, w.text) {
			l.fail(w.at, "Unknown notifier", "There is no notifier %q; a step names one as KIND.NAME.%s", w.text,
				meant(w.text, known))
		}
	}
}

// unknownEscalation is about a name that a rule gives. The controller may know it where this host does
// not; Agent.Paging says who is told while it cannot be reached.
func (l *loader) unknownEscalation(to word) {
	var known []string
	for _, e := range l.agent.Escalations {
		known = append(known, e.Name)
	}
	hint := meant(to.text, known)
	switch {
	case l.agent.Controller == nil:
		l.fail(to.at, "Unknown escalation", "There is no escalation %q.%s", to.text, hint)
	case hint != "":
		l.warn(to.at, "Unknown escalation", "There is no escalation %q on this host; the controller must have it.%s",
			to.text, hint)
	case l.agent.Escalation(defaults.EscalateTo) == nil:
		l.warn(to.at, "Nobody to tell", "There is no escalation %q and no %q on this host: nobody would hear of what "+
			"Salve cannot heal while the controller is out of reach.", to.text, defaults.EscalateTo)
	}
}
