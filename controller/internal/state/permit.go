package state

import (
	"cmp"
	"maps"
	"math/bits"
	"slices"
	"strconv"

	"github.com/salveops/salve/proto/logpb"
)

// The permit table. A permit lets one agent process run one attempt once, while its targets may stop serving.
//
//	request ─► granted ─┬─ unused ──────────────────────────► gone
//	   │                ├─ serving | failed ────────────────► gone
//	   ▼                ├─ unknown ─► counts on ─► cleared ─► gone
//	refused (why)       └─ a person: settle --force, remove --gone ► gone
//
// Nothing else ends a permit: no passing of time, no revocation, no heartbeat, no new epoch or generation.
//
// For a service, N is the number of hosts that reported it and are not removed; lost ones stay.
//
//	acting = targets of permits that are not settled, and lost hosts that may act alone
//	out    = acting, and every host that is not known to serve
//	grant for host h if |acting∖h| + 1 ≤ cap, and unless h is down |out∖h| + 1 ≤ cap,
//	and over all services: hosts acting, h among them, ≤ fleet_max
//
// If a permit takes away several hosts of a service, h stands for all of them, and down means that all are.

// Defaults of a permit's times, nanoseconds of the agent's CLOCK_BOOTTIME.
const (
	startBy = 10e9
	runFor  = 300e9
)

// maxTargets bounds what one permit may take away.
const maxTargets = 256

// request judges a request on the state as it is at this point of the log.
func (s *State) request(c *logpb.Request) *logpb.Result {
	h := s.hosts[c.GetHost()]
	if r := s.sender(h, c.GetEpoch()); r != nil {
		return r
	}
	if r := s.repeated(h, c); r != nil {
		return r
	}
	s.claim(h, c.GetClaims())
	targets, r := s.targets(h, c)
	if r == nil {
		r = s.forbidden(h, c)
	}
	if r == nil {
		r = s.fits(h, c, targets)
	}
	if r == nil && !c.GetUndo() {
		r = s.narrow(c)
	}
	if r != nil {
		return r
	}
	return s.grant(h, c, targets)
}

// sender refuses sessions that do not count.
func (s *State) sender(h *logpb.Host, epoch uint64) *logpb.Result {
	switch {
	case h == nil:
		return refuse("host", "this host has not said hello")
	case h.GetRemoved():
		return refuse("removed", "host %s was removed", h.GetName())
	case epoch != h.GetEpoch():
		return refuse("epoch", "the session of epoch %d is over; host %s is in epoch %d", epoch, h.GetName(), h.GetEpoch())
	case h.GetQuarantined() != "":
		return refuse("quarantined", "%s", h.GetQuarantined())
	case h.GetAwaited():
		return refuse("awaited", "host %s has not said hello in this generation", h.GetName())
	case h.GetLost():
		return later(refuse("lost", "host %s is marked as lost until its next round trip", h.GetName()), 1e9)
	}
	return nil
}

// repeated answers a request that was granted before, and one that comes too late.
func (s *State) repeated(h *logpb.Host, c *logpb.Request) *logpb.Result {
	switch {
	case c.GetN() == 0:
		return refuse("n", "requests count from 1")
	case c.GetN() > h.GetLastN():
		return nil
	case c.GetN() < h.GetLastN():
		return refuse("n", "request %d comes after request %d was granted", c.GetN(), h.GetLastN())
	}
	if p := s.permits[tokenOf(h.GetLastToken())]; p != nil {
		return granted(p)
	}
	return refuse("settled", "the permit of request %d is settled", c.GetN())
}

// targets are what the attempt takes away: the service that asks, what the remedy affects, and for a
// remedy of the host, or one that takes all of it, every service of it. No targets means nothing, never everything.
func (s *State) targets(h *logpb.Host, c *logpb.Request) ([]*logpb.Target, *logpb.Result) {
	all := slices.Clone(c.GetTargets())
	if c.GetService() != "" {
		all = append(all, &logpb.Target{Service: c.GetService(), Host: h.GetId()})
	}
	if c.GetService() == "" || c.GetWholeHost() {
		for _, hs := range h.GetServices() {
			all = append(all, &logpb.Target{Service: hs.GetService(), Host: h.GetId()})
		}
	}
	slices.SortFunc(all, compareTargets)
	all = slices.CompactFunc(all, func(a, b *logpb.Target) bool { return targetOf(a) == targetOf(b) })
	switch {
	case len(all) == 0:
		return nil, refuse("target", "the request has no target, so there is nothing to permit")
	case len(all) > maxTargets:
		return nil, refuse("target", "%d targets are more than the %d that one permit may have", len(all), maxTargets)
	}
	for _, t := range all {
		if t.GetResource() == "" && s.derived.services[t.GetService()][t.GetHost()] == nil {
			return nil, refuse("target", "host %s has not reported the service %q", s.name(t.GetHost()), t.GetService())
		}
	}
	return all, nil
}

// forbidden asks who holds new remedies up. An undo passes: what was begun must be taken back.
func (s *State) forbidden(h *logpb.Host, c *logpb.Request) *logpb.Result {
	if c.GetUndo() {
		return nil
	}
	service := c.GetService()
	if c.GetWholeHost() {
		service = "" // it is bound by the pauses of everything that runs there
	}
	if p := s.Paused(h.GetId(), service); p != nil {
		return s.pausedBy(p)
	}
	if r := s.heldByPerson(h, c); r != nil {
		return r
	}
	return s.broken(h, c)
}

// fits judges every target, all or none, and the fleet.
func (s *State) fits(h *logpb.Host, c *logpb.Request, targets []*logpb.Target) *logpb.Result {
	takes := map[string][]string{} // service → hosts of it that would be acting
	hosts := map[string]bool{h.GetId(): true}
	for _, t := range targets {
		if p := s.derived.targets[targetOf(t)]; p != nil {
			return later(held("target", []string{TokenText(p.GetToken())}, "%s is under repair by %s on %s (permit %s)",
				s.what(t), p.GetRemedy(), s.name(p.GetHost()), TokenText(p.GetToken())), 1e9)
		}
		if t.GetResource() == "" {
			takes[t.GetService()] = append(takes[t.GetService()], t.GetHost())
			hosts[t.GetHost()] = true
		}
	}
	for _, service := range slices.Sorted(maps.Keys(takes)) {
		r := s.capacity(service, takes[service])
		if r == nil && c.GetWholeHost() {
			r = s.last(service, takes[service])
		}
		if r != nil {
			return r
		}
	}
	n := len(s.derived.acting)
	for id := range hosts {
		if s.derived.acting[id] == 0 {
			n++
		}
	}
	for id := range s.derived.alone {
		if !hosts[id] && s.derived.acting[id] == 0 {
			n++
		}
	}
	if most := s.FleetMax(); n > most {
		return later(refuse("fleet", "%d hosts of the fleet would be acting and fleet_max is %d", n, most), 1e9)
	}
	return nil
}

// capacity judges one service, of which the permit would take these hosts, by the facts in the log.
func (s *State) capacity(service string, hosts []string) *logpb.Result {
	v := s.Service(service)
	if v.Cap == 0 {
		return refuse("cap", "max_unavailable of %s is 0: Salve never takes a host of it away", service)
	}
	if acting := without(v.Acting, hosts...); len(acting)+len(hosts) > v.Cap {
		return later(held("cap", s.names(acting), "%d of %d hosts of %s may be under repair at once; %d are, and this takes %d",
			v.Cap, v.N, service, len(acting), len(hosts)), 1e9)
	}
	if out := without(v.Out, hosts...); len(out)+len(hosts) > v.Cap {
		for _, host := range hosts {
			if !s.down(service, host) {
				return later(held("cap", s.names(out), "%s still serves %s, and with it %d of %d hosts would be out; %d may be",
					s.name(host), service, len(out)+len(hosts), v.N, v.Cap), 1e9)
			}
		}
	}
	return nil
}

// last refuses to take away the last host that serves. Of several hosts the cap leaves one as it is; of one it does not.
func (s *State) last(service string, hosts []string) *logpb.Result {
	v := s.Service(service)
	if len(without(v.Out, hosts...))+len(hosts) < v.N {
		return nil
	}
	for _, host := range hosts {
		if !s.down(service, host) {
			return later(refuse("last", "%s is the last host that serves %s", s.name(host), service), 1e9)
		}
	}
	return nil
}

// grant enters the permit. Its token is counted by the state and never given again.
func (s *State) grant(h *logpb.Host, c *logpb.Request, targets []*logpb.Target) *logpb.Result {
	s.counters.Token++
	p := &logpb.Permit{
		Token: &logpb.Token{Generation: s.generation, N: s.counters.GetToken()},
		Host:  h.GetId(), Epoch: c.GetEpoch(), N: c.GetN(), Incident: c.GetIncident(), Service: c.GetService(),
		Rule: c.GetRule(), Remedy: c.GetRemedy(), Digest: c.GetDigest(), Targets: targets, Granted: s.at,
		StartBy: c.GetStartBy(), RunFor: c.GetRunFor(), Undo: c.GetUndo(), By: c.GetBy(),
		Unit: clip(c.GetUnit(), maxName), // for people
	}
	if p.GetStartBy() <= 0 {
		p.StartBy = startBy
	}
	if p.GetRunFor() <= 0 {
		p.RunFor = runFor
	}
	for _, t := range targets {
		p.AsDown = p.GetAsDown() || t.GetResource() == "" && s.down(t.GetService(), t.GetHost())
	}
	s.permits[tokenOf(p.GetToken())] = p
	s.derived.add(p)
	h.LastN, h.LastToken = c.GetN(), p.GetToken()
	s.noteOn(p.GetIncident(), h.GetName(), "grant", "permit %s: %s for %s on %s", TokenText(p.GetToken()), p.GetRemedy(),
		cmp.Or(p.GetRule(), "a person"), h.GetName())
	s.tellGrant(p)
	return granted(p)
}

func (s *State) tellGrant(p *logpb.Permit) {
	s.tell(p, "permit", "permit %s for %s on %s", TokenText(p.GetToken()), p.GetRemedy(), s.name(p.GetHost()))
}

// tellGrants tells an incident that has just begun of the permits in it: a request may come before its alert.
func (s *State) tellGrants(host, local string) {
	if local == "" {
		return
	}
	for _, p := range s.PermitsOf(host) {
		if p.GetIncident() == local {
			s.tellGrant(p)
		}
	}
}

func granted(p *logpb.Permit) *logpb.Result {
	return &logpb.Result{What: &logpb.Result_Grant{Grant: &logpb.Grant{
		Token: p.GetToken(), Epoch: p.GetEpoch(), StartBy: p.GetStartBy(), RunFor: p.GetRunFor(), AsDown: p.GetAsDown(),
	}}}
}

// settle ends a permit on the word of the host that held it. It may come in a later session, but with the
// token and the epoch of the grant.
func (s *State) settle(c *logpb.Settle) *logpb.Result {
	h := s.hosts[c.GetHost()]
	switch {
	case h == nil || h.GetRemoved():
		return refuse("removed", "there is no host %s", c.GetHost())
	case c.GetSessionEpoch() != h.GetEpoch():
		return refuse("epoch", "the session of epoch %d is over", c.GetSessionEpoch())
	}
	p := s.permits[tokenOf(c.GetToken())]
	switch {
	case p == nil:
		return refuse("settled", "there is no open permit %s", TokenText(c.GetToken()))
	case p.GetHost() != c.GetHost() || p.GetEpoch() != c.GetEpoch():
		return refuse("epoch", "permit %s belongs to epoch %d of %s", TokenText(c.GetToken()), p.GetEpoch(), s.name(p.GetHost()))
	case settlementText(c.GetSettlement()) == "unspecified":
		return refuse("settlement", "a settlement says how the attempt ended")
	case p.GetUnknown() != (c.GetSettlement() == logpb.Settlement_SETTLEMENT_CLEARED):
		if p.GetUnknown() && c.GetSettlement() == logpb.Settlement_SETTLEMENT_UNKNOWN {
			return done() // said before
		}
		return refuse("settlement", "permit %s is unknown: %t, so it cannot be settled as %s", TokenText(c.GetToken()),
			p.GetUnknown(), settlementText(c.GetSettlement()))
	}
	s.claim(h, c.GetClaims())
	switch c.GetSettlement() {
	case logpb.Settlement_SETTLEMENT_UNUSED:
	case logpb.Settlement_SETTLEMENT_SERVING:
		s.widen(p)
	case logpb.Settlement_SETTLEMENT_FAILED:
		s.fail(p)
	case logpb.Settlement_SETTLEMENT_UNKNOWN:
		s.doubt(p)
		return done()
	case logpb.Settlement_SETTLEMENT_CLEARED:
		if !s.serves(h, p) {
			return later(refuse("serving", "%s does not serve yet what permit %s took away", h.GetName(), TokenText(p.GetToken())), 1e9)
		}
	}
	s.drop(p)
	s.noteOn(p.GetIncident(), h.GetName(), "settle", "permit %s: %s", TokenText(p.GetToken()),
		settlementText(c.GetSettlement()))
	s.tell(p, "permit", "permit %s is settled: %s", TokenText(p.GetToken()), settlementText(c.GetSettlement()))
	return done()
}

// doubt says that nobody can tell what became of the attempt: it goes on counting.
func (s *State) doubt(p *logpb.Permit) {
	if p.GetUnknown() {
		return
	}
	p.Unknown = true
	s.fail(p)
	s.noteOn(p.GetIncident(), s.name(p.GetHost()), "settle",
		"permit %s: unknown; it counts until nothing of it runs and the host serves", TokenText(p.GetToken()))
	s.tell(p, "permit", "what became of permit %s cannot be told; it goes on counting", TokenText(p.GetToken()))
	s.strand(p, ruleUnknown, "what became of "+p.GetRemedy()+" cannot be told; it goes on counting")
}

// revoke asks the holder to stop at its next safe end. The permit goes on counting.
func (s *State) revoke(c *logpb.Revoke) *logpb.Result {
	p, r := s.named(c.GetToken(), c.GetEpoch())
	if r != nil {
		return r
	}
	if p.GetRevoked() == "" {
		p.Revoked = c.GetBy()
		s.bind()
	}
	s.noteOn(p.GetIncident(), c.GetBy(), "revoke", "permit %s: %s", TokenText(p.GetToken()), c.GetReason())
	s.tell(p, "person", "%s asks permit %s to stop: %s", c.GetBy(), TokenText(p.GetToken()), c.GetReason())
	return done()
}

// forceSettle ends a permit on the word of a person that nothing of it runs.
func (s *State) forceSettle(c *logpb.ForceSettle) *logpb.Result {
	p, r := s.named(c.GetToken(), c.GetEpoch())
	if r != nil {
		return r
	}
	s.fail(p)
	s.drop(p)
	s.bind()
	s.noteOn(p.GetIncident(), c.GetBy(), "settle", "permit %s by force: %s", TokenText(p.GetToken()), c.GetReason())
	s.tell(p, "person", "%s settles permit %s by force: %s", c.GetBy(), TokenText(p.GetToken()), c.GetReason())
	return done()
}

// named is the open permit that a person means; epoch 0 means whatever it is.
func (s *State) named(t *logpb.Token, epoch uint64) (*logpb.Permit, *logpb.Result) {
	p := s.permits[tokenOf(t)]
	if p == nil || epoch != 0 && epoch != p.GetEpoch() {
		return nil, refuse("settled", "there is no open permit %s", TokenText(t))
	}
	return p, nil
}

// drop takes a settled permit out of the table.
func (s *State) drop(p *logpb.Permit) {
	delete(s.permits, tokenOf(p.GetToken()))
	s.derived.remove(p)
	s.settled(p)
	if p.GetRevoked() != "" {
		s.bind()
	}
}

// overdue marks permits that should have ended. They are told to people and free nothing.
func (s *State) overdue() []*logpb.Permit {
	var late []*logpb.Permit
	for _, p := range s.Permits() {
		if !p.GetOverdue() && !p.GetUnknown() && s.at >= dueOf(p) {
			p.Overdue = true
			late = append(late, p)
		}
	}
	return late
}

// dueOf is when a permit should have ended at the latest: saturating, because times come from outside.
func dueOf(p *logpb.Permit) int64 {
	sum, carry := bits.Add64(uint64(p.GetGranted()), uint64(p.GetStartBy()), 0)
	sum, more := bits.Add64(sum, uint64(p.GetRunFor()), 0)
	if carry+more > 0 || sum > 1<<63-1 {
		return 1<<63 - 1
	}
	return int64(sum)
}

// later says when asking again makes sense.
func later(r *logpb.Result, after int64) *logpb.Result {
	r.Refusal.RetryAfter = max(after, 0)
	return r
}

// held is a refusal with what stands in the way.
func held(code string, holders []string, format string, args ...any) *logpb.Result {
	r := refuse(code, format, args...)
	r.Refusal.Holders = holders
	return r
}

func tokenOf(t *logpb.Token) token { return token{t.GetGeneration(), t.GetN()} }

// TokenText is a token as people write it: the count, and the beginning of the generation.
func TokenText(t *logpb.Token) string {
	g := t.GetGeneration()
	return strconv.FormatUint(t.GetN(), 10) + "@" + g[:min(8, len(g))]
}
