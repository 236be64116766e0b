package state

import (
	"slices"

	"github.com/salveops/salve/proto/logpb"
)

// A breaker stops the remedies of a rule that fires on many hosts at once: such a thing has a common cause
// that no local remedy mends.
//
//	closed ─ share of the hosts fires, begun within the window ─► open ─ below half for a window, or a person ─► closed
//
// Open, it refuses forward remedies. Starting a failed unit, undo, settling, and one host that a person
// approved pass. Nothing that was refused is queued; after it closes every remedy begins with one host.

// Defaults of the breaker.
const (
	breakerShare  = 300_000 // 30 %
	breakerWindow = 300e9   // 5 min
	breakerLeast  = 3       // hosts
)

// broken refuses what an open breaker stops.
func (s *State) broken(h *logpb.Host, c *logpb.Request) *logpb.Result {
	b := s.breakers[ruleKey{c.GetService(), c.GetRule()}]
	if !b.GetOpen() || c.GetStartDead() || slices.Contains(b.GetApproved(), h.GetId()) {
		return nil
	}
	return held("breaker", nil, "%s fires on many hosts of %s at once: a common cause; a person has to look, or approve one host",
		c.GetRule(), c.GetService())
}

// passed uses up a person's approval: an attempt was made under it. Not when it is granted, for then the host would hear
// that it may not go on before it has begun; and what was never begun may be tried again.
func (s *State) passed(p *logpb.Permit) {
	b := s.breakers[ruleKey{p.GetService(), p.GetRule()}]
	if slices.Contains(b.GetApproved(), p.GetHost()) {
		b.Approved = without(b.GetApproved(), p.GetHost())
		s.bind()
	}
}

// trip looks at the breaker of a rule after its alerts or the time have changed.
func (s *State) trip(key ruleKey) {
	hosts := s.derived.firing[key]
	b := s.breakers[key]
	need := s.tripAt(key.service)
	switch {
	case need == 0 && b.GetOpen():
		s.close(b, "only one host is left")
		return
	case need == 0 || b == nil && len(hosts) < need:
		return
	}
	since := s.at - s.breakerWindow()
	begun := 0
	for _, fired := range hosts {
		if fired >= since {
			begun++
		}
	}
	switch {
	case !b.GetOpen() && begun >= need:
		if b == nil {
			b = &logpb.Breaker{Service: key.service, Rule: key.rule}
			s.breakers[key] = b
		}
		b.Open, b.Opened, b.Calm, b.Approved = true, s.at, 0, nil
		s.noteSelf("breaker", "%s fires on %d hosts of %s: the breaker opens", key.rule, begun, key.service)
		b.Incident = s.commonCause(key, begun)
		s.bind()
	case !b.GetOpen():
	case 2*len(hosts) >= need:
		b.Calm = 0
	case b.GetCalm() == 0:
		b.Calm = s.at
	case s.at-b.GetCalm() >= s.breakerWindow():
		s.close(b, "fewer than half as many hosts have it since the window")
	}
}

const breakerCloses = "the breaker of %s for %s closes: %s"

// close ends the stop because the facts say so.
func (s *State) close(b *logpb.Breaker, why string) {
	s.noteSelf("breaker", breakerCloses, b.GetRule(), b.GetService(), why)
	s.reset(b)
}

// reset ends the stop. Nothing that was refused is replayed: agents ask again on current facts.
func (s *State) reset(b *logpb.Breaker) {
	s.restart(b.GetService(), b.GetRule(), false)
	delete(s.breakers, ruleKey{b.GetService(), b.GetRule()})
	// What fires now has been looked at: it does not open the breaker again by itself.
	for _, a := range s.alerts {
		if a.GetService() == b.GetService() && a.GetRule() == b.GetRule() {
			a.Seen = true
		}
	}
	for host := range s.derived.firing[ruleKey{b.GetService(), b.GetRule()}] {
		s.derived.firing[ruleKey{b.GetService(), b.GetRule()}][host] = 0
	}
	s.bind()
}

// closeBreaker is a person's word: close it, or let one host through.
func (s *State) closeBreaker(c *logpb.CloseBreaker) *logpb.Result {
	b := s.breakers[ruleKey{c.GetService(), c.GetRule()}]
	switch {
	case !b.GetOpen():
		return refuse("breaker", "the breaker of %s for %s is not open", c.GetRule(), c.GetService())
	case c.GetHost() == "":
		s.note(c.GetBy(), "breaker", breakerCloses, c.GetRule(), c.GetService(), "a person said so")
		s.reset(b)
	case s.hosts[c.GetHost()] == nil || s.hosts[c.GetHost()].GetRemoved():
		return refuse("host", "there is no host %s", c.GetHost())
	case !slices.Contains(b.GetApproved(), c.GetHost()):
		b.Approved = append(b.GetApproved(), c.GetHost())
		slices.Sort(b.Approved)
		s.note(c.GetBy(), "breaker", "host %s may act once on %s for %s", s.name(c.GetHost()), c.GetRule(), c.GetService())
		s.bind()
	}
	return done()
}

// tripAt is on how many hosts a rule must fire; 0: a service of one host has no breaker.
func (s *State) tripAt(service string) int {
	n := len(s.derived.services[service])
	if service == "" {
		n = len(s.derived.present)
	}
	if n <= 1 {
		return 0
	}
	share := uint64(s.config.GetBreakerShare())
	if share == 0 {
		share = breakerShare
	}
	most := int((share*uint64(n) + million - 1) / million)
	return min(n, max(breakerLeast, most))
}

func (s *State) breakerWindow() int64 {
	if w := s.config.GetBreakerWindow(); w > 0 {
		return w
	}
	return breakerWindow
}

// Breakers are all that are open; not to be changed.
func (s *State) Breakers() []*logpb.Breaker { return sorted(s.breakers, compareRules) }
