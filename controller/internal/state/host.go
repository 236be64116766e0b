package state

import (
	"maps"
	"slices"

	"google.golang.org/protobuf/proto"

	"github.com/salveops/salve/proto/logpb"
)

// hello begins a session: a new epoch, or a reason why not. The same nonce again is the same hello.
func (s *State) hello(c *logpb.Hello) *logpb.Result {
	h := s.hosts[c.GetHost()]
	switch {
	case c.GetHost() == "" || c.GetNonce() == "":
		return refuse("hello", "a hello needs the host's ID and a nonce")
	case h != nil && h.GetRemoved():
		return refuse("removed", "host %s was removed; its ID stays dead, the machine must enrol anew", c.GetHost())
	case s.older(c, h):
		if c.GetNewGeneration() == "" {
			return refuse("generation", "host %s knows more of the log than this leader", c.GetName())
		}
		s.renew(c.GetNewGeneration(), "host "+c.GetName()+" knows more of the log than this leader")
	case h == nil:
		h = &logpb.Host{Id: c.GetHost(), Fingerprint: c.GetFingerprint(), BootId: c.GetBootId(), FirstSeen: s.at,
			Stream: c.GetStream(), Changed: s.at}
		s.hosts[h.GetId()] = h
	}
	if h == nil { // known to others and not to this log, which is older
		h = &logpb.Host{Id: c.GetHost(), Fingerprint: c.GetFingerprint(), FirstSeen: s.at, Stream: c.GetStream()}
		s.hosts[h.GetId()] = h
	}
	if why := stranger(c, h); why != "" {
		return s.quarantine(h, c.GetFingerprint(), why)
	}
	if h.GetQuarantined() != "" {
		return refuse("quarantined", "%s", h.GetQuarantined())
	}
	again := h.GetNonce() == c.GetNonce()
	back := !again && c.GetLastEpoch() < h.GetEpoch()
	s.replay(c, h, back)
	if !again {
		s.counters.Epoch = max(s.counters.GetEpoch(), c.GetLastEpoch()) + 1
		h.Epoch, h.Nonce, h.LastN, h.LastToken = s.counters.GetEpoch(), c.GetNonce(), 0, nil
	}
	s.introduce(c, h)
	for _, r := range c.GetRunning() {
		s.running(h, r)
	}
	w := &logpb.Welcome{Epoch: h.GetEpoch(), Generation: s.generation, Stream: h.GetStream(), Mark: h.GetMark()}
	for _, p := range s.PermitsOf(h.GetId()) {
		w.Permits = append(w.Permits, proto.CloneOf(p)) // the answer is read while the log goes on
	}
	return &logpb.Result{What: &logpb.Result_Welcome{Welcome: w}}
}

// older reports whether the agent has seen more of this generation's log than there is: then it is the
// controller that went back in time.
func (s *State) older(c *logpb.Hello, h *logpb.Host) bool {
	return c.GetGeneration() == s.generation && (c.GetIndex() >= s.index || c.GetLastEpoch() > h.GetEpoch()) ||
		slices.ContainsFunc(c.GetRunning(), func(r *logpb.Running) bool { return s.forgotten(h, r) })
}

// forgotten reports whether an agent runs what this generation gave it and this log does not know: the log
// may have grown past the index that the agent saw, so that only the token tells.
func (s *State) forgotten(h *logpb.Host, r *logpb.Running) bool {
	t := tokenOf(r.GetToken())
	switch p := s.permits[t]; {
	case t.generation != s.generation:
		return false
	case h == nil:
		return true
	case p != nil:
		return p.GetHost() != h.GetId()
	}
	return t.n > s.counters.GetToken() || r.GetEpoch() == h.GetEpoch() && t.n > h.GetLastToken().GetN()
}

// stranger says why this may be another machine with the host's identity.
func stranger(c *logpb.Hello, h *logpb.Host) string {
	switch {
	case c.GetFingerprint() != h.GetFingerprint():
		return "another machine says that it is " + h.GetName() + ": its fingerprint differs"
	case c.GetTwin() && c.GetBootId() != h.GetBootId():
		return "two machines say that they are " + h.GetName() + ": both answer, from different boots"
	}
	return ""
}

func (s *State) quarantine(h *logpb.Host, fingerprint, why string) *logpb.Result {
	if h.GetQuarantined() == "" || h.GetStranger() != fingerprint {
		h.Quarantined, h.Stranger = why+"; see salve hosts adopt", fingerprint
		s.derived.refresh(s, h)
		s.noteSelf("quarantine", "host %s: %s", h.GetName(), why)
		s.bind()
	}
	return refuse("quarantined", "%s", h.GetQuarantined())
}

// replay compares the agent's journal with what was acknowledged. One that went back in time, or is
// another one, gets an event stream of its own, and nobody can tell what became of its open attempts.
func (s *State) replay(c *logpb.Hello, h *logpb.Host, back bool) {
	switch {
	case back || c.GetStream() == h.GetStream() && c.GetLastEvent() < h.GetMark():
		s.noteSelf("journal", "the journal of %s went back in time; its open attempts are unknown", h.GetName())
		h.Stream, h.Mark = c.GetNewStream(), 0
	case c.GetStream() != h.GetStream():
		s.noteSelf("journal", "host %s has a new journal; its open attempts are unknown", c.GetName())
		h.Stream, h.Mark = c.GetStream(), 0
	default:
		return
	}
	h.Confirmed = 0 // what it had on its disk is gone
	for _, p := range s.PermitsOf(h.GetId()) {
		s.doubt(p)
	}
}

// introduce takes over what the hello says of the host.
func (s *State) introduce(c *logpb.Hello, h *logpb.Host) {
	h.Name, h.BootId, h.Labels, h.Version = c.GetName(), c.GetBootId(), s.labels(c), c.GetVersion()
	h.Awaited = false
	s.lose(h, false)
	old := h.GetServices()
	h.Services = slices.DeleteFunc(slices.Clone(old), func(o *logpb.HostService) bool { return s.forgettable(h, o, c) })
	for _, r := range c.GetServices() {
		hs := &logpb.HostService{Service: r.GetService(), Since: s.at, Sole: logpb.Sole_SOLE_UNSPECIFIED}
		if i := slices.IndexFunc(old, func(o *logpb.HostService) bool { return o.GetService() == r.GetService() }); i >= 0 {
			hs = old[i]
		}
		report(hs, r, s.at)
		hs.DependsOn, hs.Tier, hs.Detection = r.GetDependsOn(), r.GetTier(), r.GetDetection()
		h.Services = append(h.Services, hs)
	}
	slices.SortFunc(h.GetServices(), func(a, b *logpb.HostService) int { return compare(a.GetService(), b.GetService()) })
	h.Services = slices.CompactFunc(h.GetServices(), func(a, b *logpb.HostService) bool { return a.GetService() == b.GetService() })
	s.bindServices(s.derived.refresh(s, h))
	s.crown(append(serviceNames(old), serviceNames(h.GetServices())...)...)
	s.bindHost(h.GetId())
}

// forgettable reports whether nothing is known of the service on the host but what the hello says anew. What
// is under repair there counts, whether the host still reports it or not.
func (s *State) forgettable(h *logpb.Host, o *logpb.HostService, c *logpb.Hello) bool {
	reported := slices.ContainsFunc(c.GetServices(), func(r *logpb.ServiceReport) bool { return r.GetService() == o.GetService() })
	if reported || s.derived.targets[target{service: o.GetService(), host: h.GetId()}] == nil {
		return true
	}
	o.Serving, o.Since = logpb.Serving_SERVING_UNSPECIFIED, s.at
	return false
}

// report takes over what a host says that it serves.
func report(hs *logpb.HostService, r *logpb.ServiceReport, at int64) {
	if hs.GetServing() != r.GetServing() {
		hs.Serving, hs.Since = r.GetServing(), at
	}
}

// running enters a permitted attempt that the log does not know: after a restore it is still acting.
func (s *State) running(h *logpb.Host, r *logpb.Running) {
	p := s.permits[tokenOf(r.GetToken())]
	if p == nil {
		if r.GetToken().GetGeneration() == s.generation && r.GetToken().GetN() <= s.counters.GetToken() {
			return // settled in this generation: the agent missed the answer and will settle it again
		}
		p = &logpb.Permit{
			Token: r.GetToken(), Host: h.GetId(), Epoch: r.GetEpoch(), Incident: r.GetIncident(), Rule: r.GetRule(),
			Remedy: r.GetRemedy(), Digest: r.GetDigest(), Targets: s.free(r.GetTargets()), Granted: s.at,
		}
		for _, t := range p.GetTargets() {
			if p.GetService() == "" {
				p.Service = t.GetService()
			}
		}
		s.permits[tokenOf(p.GetToken())] = p
		s.derived.add(p)
		s.noteOn(p.GetIncident(), h.GetName(), "running",
			"%s still runs %s under a permit of another time", h.GetName(), p.GetRemedy())
	}
	if r.GetUnknown() {
		s.doubt(p)
	}
}

// free leaves out targets that another permit has: each is counted once.
func (s *State) free(targets []*logpb.Target) []*logpb.Target {
	return slices.DeleteFunc(slices.Clone(targets), func(t *logpb.Target) bool { return s.derived.targets[targetOf(t)] != nil })
}

// edges are changes of what hosts serve, and the leader's word on who is lost.
func (s *State) edges(c *logpb.Edges) *logpb.Result {
	for _, e := range c.GetEdge() {
		h := s.hosts[e.GetHost()]
		switch {
		case h == nil || h.GetRemoved():
		case e.GetService() == "" && e.GetEpoch() == 0:
			s.lose(h, e.GetLost())
		case e.GetEpoch() == h.GetEpoch() && h.GetQuarantined() == "":
			s.claim(h, []*logpb.ServiceReport{{Service: e.GetService(), Serving: e.GetServing()}})
		}
	}
	return done()
}

// lose marks a host as lost, or as heard again.
func (s *State) lose(h *logpb.Host, lost bool) {
	if h.GetLost() == lost {
		return
	}
	h.Lost, h.Changed = lost, s.at
	s.derived.refresh(s, h)
	s.hostLost(h, lost)
}

// claim takes over what a host says about services that it reported.
func (s *State) claim(h *logpb.Host, reports []*logpb.ServiceReport) {
	for _, r := range reports {
		for _, hs := range h.GetServices() {
			if hs.GetService() == r.GetService() && r.GetServing() != logpb.Serving_SERVING_UNSPECIFIED {
				report(hs, r, s.at)
			}
		}
	}
}

// adoptHost takes one machine as the host that is meant.
func (s *State) adoptHost(c *logpb.AdoptHost) *logpb.Result {
	h := s.hosts[c.GetHost()]
	switch {
	case h == nil || h.GetRemoved():
		return refuse("host", "there is no host %s", c.GetHost())
	case h.GetQuarantined() == "":
		return refuse("host", "host %s is not quarantined", h.GetName())
	}
	h.Quarantined = ""
	if c.GetFingerprint() != "" {
		h.Fingerprint = c.GetFingerprint()
	} else if h.GetStranger() != "" {
		h.Fingerprint = h.GetStranger()
	}
	h.Stranger = ""
	s.derived.refresh(s, h)
	s.note(c.GetBy(), "adopt", "host %s is the machine with the fingerprint %s", h.GetName(), h.GetFingerprint())
	s.bind()
	return done()
}

// removeHost strikes a host off. Its open permits end only on the word of a person that it is off.
func (s *State) removeHost(c *logpb.RemoveHost) *logpb.Result {
	h := s.hosts[c.GetHost()]
	if h == nil || h.GetRemoved() {
		return refuse("host", "there is no host %s", c.GetHost())
	}
	open := s.PermitsOf(h.GetId())
	if (len(open) > 0 || s.mayAct(h)) && !c.GetGone() {
		r := refuse("acting", "host %s may still be acting, or act once it is cut off; say --gone if the machine is off or clean",
			h.GetName())
		for _, p := range open {
			r.Refusal.Holders = append(r.Refusal.Holders, TokenText(p.GetToken()))
		}
		return r
	}
	for _, p := range open {
		s.drop(p)
		s.noteOn(p.GetIncident(), c.GetBy(), "settle", "permit %s of %s: %s says that the machine is gone",
			TokenText(p.GetToken()), h.GetName(), c.GetBy())
	}
	h.Removed, h.Awaited, s.shut = true, false, s.index
	s.derived.refresh(s, h)
	s.crown(serviceNames(h.GetServices())...)
	s.hostRemoved(h)
	s.note(c.GetBy(), "remove", "host %s was removed (gone: %t): %s", h.GetName(), c.GetGone(), c.GetReason())
	s.bind()
	return done()
}

// mayAct reports whether the host may act without a permit that this log knows, now or once it is cut off:
// what an awaited host runs is not known, and a right to act alone stays with it until it hears otherwise.
func (s *State) mayAct(h *logpb.Host) bool {
	return h.GetAwaited() || slices.ContainsFunc(h.GetServices(), func(hs *logpb.HostService) bool {
		return hs.GetSole() != logpb.Sole_SOLE_UNSPECIFIED || s.derived.config[hs.GetService()].GetAloneAct()
	})
}

// confirmStanding notes which standing orders a host has on its disk.
func (s *State) confirmStanding(c *logpb.ConfirmStanding) *logpb.Result {
	h := s.hosts[c.GetHost()]
	if h == nil || h.GetRemoved() || c.GetEpoch() != h.GetEpoch() || c.GetGeneration() != s.generation {
		return refuse("epoch", "this is not the session of the host that counts")
	}
	h.Confirmed = max(h.GetConfirmed(), c.GetIndex())
	for _, hs := range h.GetServices() {
		if hs.GetSole() == logpb.Sole_SOLE_WITHDRAWN && c.GetIndex() >= hs.GetWithdrawn() {
			hs.Sole = logpb.Sole_SOLE_UNSPECIFIED
		}
	}
	s.derived.refresh(s, h)
	return done()
}

// crown keeps the right to act alone with the only host of each service. Once a second host comes, the
// right is taken back, and counts until the host has confirmed that it knows.
func (s *State) crown(services ...string) {
	moved := map[string]bool{}
	for _, name := range services {
		hosts := s.derived.services[name]
		for id, hs := range hosts {
			switch {
			case len(hosts) == 1 && hs.GetSole() != logpb.Sole_SOLE_GRANTED:
				hs.Sole, moved[id] = logpb.Sole_SOLE_GRANTED, true
			case len(hosts) > 1 && hs.GetSole() == logpb.Sole_SOLE_GRANTED:
				hs.Sole, hs.Withdrawn, moved[id] = logpb.Sole_SOLE_WITHDRAWN, s.index, true
			}
		}
	}
	for id := range moved { // not before, because it changes what is looked through
		s.derived.refresh(s, s.hosts[id])
		s.bindHost(id)
	}
}

// serviceNames are what a host serves.
func serviceNames(all []*logpb.HostService) []string {
	names := make([]string, len(all))
	for i, hs := range all {
		names[i] = hs.GetService()
	}
	return names
}

// Host is a host by its ID, nil if there is none; not to be changed.
func (s *State) Host(id string) *logpb.Host { return s.hosts[id] }

// Hosts are all hosts, removed ones included, by ID; not to be changed.
func (s *State) Hosts() []*logpb.Host { return sorted(s.hosts, compare) }

// sorted are the values of a table in the order of its keys.
func sorted[K comparable, V any](m map[K]V, order func(a, b K) int) []V {
	out := make([]V, 0, len(m))
	for _, k := range slices.SortedFunc(maps.Keys(m), order) {
		out = append(out, m[k])
	}
	return out
}

// compare orders texts by bytes.
func compare(a, b string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}
