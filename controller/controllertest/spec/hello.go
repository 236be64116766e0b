package spec

import (
	"fmt"

	"github.com/salveops/salve/proto/logpb"
)

// hello begins a session: a new epoch, and every permit held for the host.
func (t *Table) hello(at Point, c *logpb.Hello, r *logpb.Result) error {
	h := t.Hosts[c.GetHost()]
	switch {
	case c.GetHost() == "" || c.GetNonce() == "":
		_, err := verdict(r, map[string]string{"hello": "nobody says hello"})
		return err
	case h != nil && h.Removed:
		_, err := verdict(r, map[string]string{"removed": "its ID is dead"})
		return err
	}
	if t.older(at, c, h) {
		if c.GetNewGeneration() == "" {
			_, err := verdict(r, map[string]string{"generation": "the agent knows more"})
			return err
		}
		t.renew(at, c.GetNewGeneration())
	}
	if h == nil {
		h = &Host{Fingerprint: c.GetFingerprint(), Boot: c.GetBootId(), Stream: c.GetStream(), Services: map[string]Service{}}
		t.Hosts[c.GetHost()] = h
	}
	if h.Quarantined || h.Fingerprint != c.GetFingerprint() || c.GetTwin() && h.Boot != c.GetBootId() {
		if h.Fingerprint != c.GetFingerprint() || c.GetTwin() && h.Boot != c.GetBootId() {
			h.Quarantined, h.Stranger = true, c.GetFingerprint()
		}
		_, err := verdict(r, map[string]string{"quarantined": "another machine"})
		return err
	}
	t.begin(at, h, c)
	return t.welcomed(h, c, r)
}

// older reports whether the agent knows what this log lacks: then the log went back in time.
func (t *Table) older(at Point, c *logpb.Hello, h *Host) bool {
	if c.GetGeneration() == t.Generation && (c.GetIndex() >= at.Index || h == nil && c.GetLastEpoch() > 0 ||
		h != nil && c.GetLastEpoch() > h.Epoch) {
		return true
	}
	for _, x := range c.GetRunning() {
		k := tokenOf(x.GetToken())
		if k.Generation != t.Generation {
			continue
		}
		if p := t.Permits[k]; h == nil || p != nil && p.Host != c.GetHost() || k.N > t.Token ||
			p == nil && x.GetEpoch() == h.Epoch && k.N > h.Last.N {
			return true
		}
	}
	return false
}

// begin makes the session.
func (t *Table) begin(at Point, h *Host, c *logpb.Hello) {
	again := h.Nonce == c.GetNonce()
	back := !again && c.GetLastEpoch() < h.Epoch || c.GetStream() == h.Stream && c.GetLastEvent() < h.Mark
	if back || c.GetStream() != h.Stream {
		h.Stream, h.Mark = c.GetStream(), 0
		if back {
			h.Stream = c.GetNewStream()
		}
		for _, p := range t.Permits {
			if p.Host == c.GetHost() {
				t.doubt(p)
			}
		}
	}
	if !again {
		t.Epoch = max(t.Epoch, c.GetLastEpoch()) + 1
		h.Epoch, h.Nonce, h.LastN, h.Last = t.Epoch, c.GetNonce(), 0, Token{}
	}
	h.Boot, h.Awaited, h.Lost = c.GetBootId(), false, false
	t.report(at, h, c)
	for _, x := range c.GetRunning() {
		t.running(h, c.GetHost(), x)
	}
}

// report takes over which services the host has. What is under repair stays, reported or not.
func (t *Table) report(at Point, h *Host, c *logpb.Hello) {
	old := h.Services
	h.Services = map[string]Service{}
	for _, r := range c.GetServices() {
		s := old[r.GetService()]
		s.Serving = r.GetServing()
		h.Services[r.GetService()] = s
	}
	for name, s := range old {
		if !h.has(name) && t.takenBy(Target{Service: name, Host: c.GetHost()}) != nil {
			s.Serving = logpb.Serving_SERVING_UNSPECIFIED
			h.Services[name] = s
		}
	}
	t.crown(at)
}

// crown gives the right to act alone to the only host of a service, and takes it back when there is a second.
func (t *Table) crown(at Point) {
	for service := range t.everyService() {
		hosts := t.hostsOf(service)
		for _, id := range hosts {
			s := t.Hosts[id].Services[service]
			switch {
			case len(hosts) == 1:
				s.Sole = logpb.Sole_SOLE_GRANTED
			case s.Sole == logpb.Sole_SOLE_GRANTED:
				s.Sole, s.Withdrawn = logpb.Sole_SOLE_WITHDRAWN, at.Index
			}
			t.Hosts[id].Services[service] = s
		}
	}
}

// running: what the agent says that it still runs is acting, also if this log does not know it.
func (t *Table) running(h *Host, host string, x *logpb.Running) {
	k := tokenOf(x.GetToken())
	p := t.Permits[k]
	if p == nil {
		if k.Generation == t.Generation {
			return // settled; the agent did not hear the answer
		}
		p = &Permit{Host: host, Epoch: x.GetEpoch(), Rule: x.GetRule(), Digest: string(x.GetDigest())}
		for _, target := range targetsOf(x.GetTargets()) {
			if t.takenBy(target) != nil {
				continue // it is counted already
			}
			p.Targets = append(p.Targets, target)
			if p.Service == "" {
				p.Service = target.Service
			}
		}
		p.Targets = sortTargets(p.Targets)
		t.Permits[k] = p
	}
	if x.GetUnknown() {
		t.doubt(p)
	}
}

// welcomed compares the answer with the session.
func (t *Table) welcomed(h *Host, c *logpb.Hello, r *logpb.Result) error {
	if r == nil {
		return nil
	}
	w := r.GetWelcome()
	held := 0
	for _, p := range t.Permits {
		if p.Host == c.GetHost() {
			held++
		}
	}
	switch {
	case w == nil:
		return fmt.Errorf("the hello is in order, and the answer is %v", r)
	case w.GetEpoch() != h.Epoch || w.GetGeneration() != t.Generation:
		return fmt.Errorf("the welcome says epoch %d of %s, want %d of %s", w.GetEpoch(), w.GetGeneration(), h.Epoch,
			t.Generation)
	case len(w.GetPermits()) != held:
		return fmt.Errorf("the welcome names %d permits, %d are open", len(w.GetPermits()), held)
	case w.GetStream() != h.Stream || w.GetMark() < h.Mark:
		return fmt.Errorf("the welcome goes on with %s after %d, want %s after %d", w.GetStream(), w.GetMark(), h.Stream,
			h.Mark)
	}
	h.Mark = w.GetMark() // events are no matter of permits: see Table.Mark
	return nil
}
