package state

import (
	"strings"

	"github.com/salveops/salve/pkg/glob"
	"github.com/salveops/salve/proto/logpb"
)

// A silence holds back the messages of an incident as long as each of its firing alerts matches one. It
// never holds back a remedy, the climb, or the news that something ended which was told before.

// maxSilences and maxPauses bound what people set up.
const (
	maxSilences = 1000
	maxPauses   = 1000
)

func (s *State) silence(c *logpb.SilenceCommand) *logpb.Result {
	switch {
	case len(c.GetMatch()) == 0:
		return refuse("match", "a silence that says nothing of what it matches would match everything")
	case c.GetBy() == "":
		return refuse("who", "a silence has a person who wants it")
	case c.GetFor() <= 0:
		return refuse("for", "a silence needs an end")
	case len(s.silences) >= maxSilences:
		return refuse("many", "there are %d silences already", len(s.silences))
	}
	for _, l := range c.GetMatch() {
		if l.GetName() == "" || l.GetValue() == "" || !glob.Valid(l.GetValue()) {
			return refuse("match", "%s=%q is no label to match", l.GetName(), l.GetValue())
		}
	}
	x := &logpb.Silence{
		Id: s.nextID("silence"), Match: clipLabels(c.GetMatch()), By: clip(c.GetBy(), maxName),
		Reason: clip(c.GetReason(), maxText), From: s.now(), Until: plus(s.now(), c.GetFor()),
	}
	s.silences[x.GetId()] = x
	s.note(x.GetBy(), "silence", "%s: %s for %v: %s", x.GetId(), matchText(x), asDuration(c.GetFor()), x.GetReason())
	s.rehearAll()
	return &logpb.Result{What: &logpb.Result_Id{Id: x.GetId()}}
}

func (s *State) endSilence(c *logpb.EndSilence) *logpb.Result {
	x := s.silences[c.GetId()]
	if x == nil {
		return refuse("silence", "there is no silence %s", c.GetId())
	}
	delete(s.silences, x.GetId())
	s.note(c.GetBy(), "silence", "%s ends early: %s", x.GetId(), matchText(x))
	s.rehearAll()
	return done()
}

// unsilence ends the silences whose time has come.
func (s *State) unsilence() {
	over := false
	for _, x := range s.Silences() {
		if x.GetUntil() <= s.now() {
			over = true
			delete(s.silences, x.GetId())
			s.noteSelf("silence", "%s has ended: %s", x.GetId(), matchText(x))
		}
	}
	if over {
		s.rehearAll()
	}
}

func (s *State) rehearAll() {
	for _, i := range s.ongoing() {
		s.rehear(i)
	}
}

// rehear asks anew whether the messages of an incident are held back. What was held back and is still of
// interest is sent: of several to one place only the first.
func (s *State) rehear(i *logpb.Incident) {
	if ended(i) || len(s.derived.mail[i.GetId()]) == 0 {
		return
	}
	silenced, sent := s.silenced(i), map[string]bool{}
	for _, m := range s.DeliveriesOf(i.GetId()) {
		held := m.GetState() == logpb.DeliveryState_DELIVERY_STATE_SILENCED
		switch {
		case m.GetKind() == resolve || over(m) || m.GetState() == logpb.DeliveryState_DELIVERY_STATE_CLAIMED:
		case silenced && !held:
			s.redo(m, func(m *logpb.Delivery) { m.State = logpb.DeliveryState_DELIVERY_STATE_SILENCED })
		case !silenced && held && sent[m.GetNotifier()]:
			s.scrap(m)
		case !silenced && held:
			sent[m.GetNotifier()] = true
			s.redo(m, func(m *logpb.Delivery) { m.State, m.Due = logpb.DeliveryState_DELIVERY_STATE_DUE, s.now() })
		}
	}
}

// silenced reports whether all that fires in an incident is silenced.
func (s *State) silenced(i *logpb.Incident) bool {
	if len(s.silences) == 0 {
		return false
	}
	for _, a := range s.derived.members[i.GetId()] {
		if a.GetResolved() == 0 && !s.matches(i, a) {
			return false
		}
	}
	return s.derived.fires[i.GetId()] > 0 || s.matches(i, &logpb.Alert{Service: i.GetService(), Severity: i.GetSeverity()})
}

// matches reports whether any silence is about an alert.
func (s *State) matches(i *logpb.Incident, a *logpb.Alert) bool {
	for _, x := range s.silences {
		all := true
		for _, l := range x.GetMatch() {
			all = all && s.has(i, a, l)
		}
		if all {
			return true
		}
	}
	return false
}

// has reports whether an alert has a label that a silence names.
func (s *State) has(i *logpb.Incident, a *logpb.Alert, l *logpb.Label) bool {
	h := s.hosts[a.GetKey().GetHost()]
	switch l.GetName() {
	case "incident":
		return glob.Match(l.GetValue(), i.GetId())
	case "service":
		return glob.Match(l.GetValue(), a.GetService())
	case "rule":
		return glob.Match(l.GetValue(), a.GetRule())
	case "severity":
		return glob.Match(l.GetValue(), a.GetSeverity())
	case "host":
		return glob.Match(l.GetValue(), h.GetName()) || glob.Match(l.GetValue(), h.GetId())
	}
	for _, own := range h.GetLabels() {
		if own.GetName() == l.GetName() && glob.Match(l.GetValue(), own.GetValue()) {
			return true
		}
	}
	return false
}

func matchText(x *logpb.Silence) string {
	var parts []string
	for _, l := range x.GetMatch() {
		parts = append(parts, l.GetName()+"="+l.GetValue())
	}
	return strings.Join(parts, ",")
}

// Silences are all that hold, by their IDs; not to be changed.
func (s *State) Silences() []*logpb.Silence { return sorted(s.silences, compareIDs) }
