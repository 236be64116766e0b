package state

import "github.com/salveops/salve/proto/logpb"

// tick does what log time brings: pauses and silences end, permits become overdue, messages are tried again,
// incidents climb, breakers close, bundles go on from their canaries, and what is no longer needed is forgotten. Doing it twice does nothing
// more.
func (s *State) tick() *logpb.Result {
	s.unpause()
	s.unsilence()
	s.endTokens()
	for _, p := range s.overdue() {
		s.noteSelf("overdue", "permit %s of %s should have ended; it goes on counting", TokenText(p.GetToken()),
			s.name(p.GetHost()))
		s.late(p)
	}
	s.recall()
	for _, i := range s.ongoing() {
		s.escalate(i)
	}
	for _, b := range s.Breakers() {
		s.trip(ruleKey{b.GetService(), b.GetRule()})
	}
	s.roll()
	s.prune()
	return done()
}

// Due is the log time at which a tick would change something, 0 if none would by itself.
func (s *State) Due() int64 {
	due := sooner(sooner(s.prunes(), s.expires()), s.rolls())
	for _, p := range s.pauses {
		if p.GetUntil() != 0 {
			due = sooner(due, p.GetUntil())
		} else {
			due = sooner(due, reminds(p))
		}
	}
	for _, x := range s.silences {
		due = sooner(due, x.GetUntil())
	}
	for _, p := range s.permits {
		if !p.GetOverdue() && !p.GetUnknown() {
			due = sooner(due, max(1, dueOf(p)))
		}
	}
	for _, m := range s.derived.waiting {
		due = sooner(due, recalls(m))
	}
	for _, list := range s.derived.ongoing {
		for _, i := range list {
			due = sooner(due, s.escalates(i))
		}
	}
	for _, b := range s.breakers {
		due = sooner(due, s.closes(b))
	}
	return due
}

// closes is when an open breaker may close or begin to be calm, 0 if that takes other alerts.
func (s *State) closes(b *logpb.Breaker) int64 {
	need, fires := s.tripAt(b.GetService()), len(s.derived.firing[ruleKey{b.GetService(), b.GetRule()}])
	switch {
	case !b.GetOpen():
		return 0
	case need == 0, (2*fires >= need) != (b.GetCalm() == 0):
		return s.now()
	case b.GetCalm() == 0:
		return 0
	}
	return plus(b.GetCalm(), s.breakerWindow())
}
