package spec

import (
	"fmt"
	"slices"
	"strings"

	"github.com/salveops/salve/proto/logpb"
)

// request: a grant is right if nothing stands against it, a refusal if its reason does.
func (t *Table) request(c *logpb.Request, r *logpb.Result) error {
	h := t.Hosts[c.GetHost()]
	if reasons := t.session(h, c.GetEpoch()); len(reasons) > 0 {
		_, err := verdict(r, reasons)
		return err
	}
	if c.GetN() <= h.LastN {
		return t.repeated(h, c, r)
	}
	h.claim(c.GetClaims()) // what the agent sees is true, whatever the answer is
	targets := t.targets(h, c)
	done, err := verdict(r, t.against(c, targets))
	if err != nil || !done {
		return err
	}
	return t.grant(h, c, targets, r)
}

// session says why a session does not count.
func (t *Table) session(h *Host, epoch uint64) map[string]string {
	reasons := map[string]string{}
	switch {
	case h == nil:
		return map[string]string{"host": "never said hello"}
	case h.Removed:
		return map[string]string{"removed": "struck off"}
	}
	if epoch != h.Epoch {
		reasons["epoch"] = fmt.Sprint("it is in epoch ", h.Epoch)
	}
	if h.Quarantined {
		reasons["quarantined"] = "quarantined"
	}
	if h.Awaited {
		reasons["awaited"] = "no hello in this generation"
	}
	if h.Lost {
		reasons["lost"] = "lost"
	}
	return reasons
}

// repeated: the same request has the same answer while its permit is open.
func (t *Table) repeated(h *Host, c *logpb.Request, r *logpb.Result) error {
	p := t.Permits[h.Last]
	switch {
	case c.GetN() == 0 || c.GetN() < h.LastN:
		_, err := verdict(r, map[string]string{"n": "later requests were granted"})
		return err
	case p == nil:
		_, err := verdict(r, map[string]string{"settled": "its permit is settled"})
		return err
	case r != nil && (r.GetGrant() == nil || tokenOf(r.GetGrant().GetToken()) != h.Last):
		return fmt.Errorf("request %d holds permit %v, and the answer is %v", c.GetN(), h.Last, r)
	}
	return nil
}

// targets are what the attempt takes away.
func (t *Table) targets(h *Host, c *logpb.Request) []Target {
	all := targetsOf(c.GetTargets())
	if c.GetService() != "" {
		all = append(all, Target{Service: c.GetService(), Host: c.GetHost()})
		if !c.GetWholeHost() {
			return sortTargets(all)
		}
	}
	for name := range h.Services {
		all = append(all, Target{Service: name, Host: c.GetHost()})
	}
	return sortTargets(all)
}

// against gives every reason for a refusal that is true now, by its code.
func (t *Table) against(c *logpb.Request, targets []Target) map[string]string {
	reasons := map[string]string{}
	add := func(code, text string) {
		if text != "" {
			reasons[code] = text
		}
	}
	if len(targets) == 0 || len(targets) > 256 {
		add("target", fmt.Sprintf("%d targets", len(targets)))
	}
	hosts, takes := map[string]bool{c.GetHost(): true}, map[string][]string{}
	for _, x := range targets {
		if p := t.takenBy(x); p != nil {
			add("target", fmt.Sprintf("%v is under repair by %s", x, p.Host))
		}
		if x.Resource != "" {
			continue
		}
		owner := t.Hosts[x.Host]
		if owner == nil || owner.Removed || !owner.has(x.Service) {
			add("target", fmt.Sprintf("%v is not reported", x))
			continue
		}
		hosts[x.Host] = true
		takes[x.Service] = append(takes[x.Service], x.Host)
	}
	for service, these := range takes {
		add("cap", t.fits(service, these))
		if c.GetWholeHost() {
			add("last", t.last(service, these))
		}
	}
	add("fleet", t.fleet(hosts))
	if !c.GetUndo() {
		t.stopped(c, targets, add)
		t.narrow(c, add)
	}
	return reasons
}

func (h *Host) has(service string) bool {
	_, ok := h.Services[service]
	return ok
}

// stopped: pauses, the breaker, autonomy, and a person who has the incident stop forward remedies.
func (t *Table) stopped(c *logpb.Request, targets []Target, add func(code, text string)) {
	for id, p := range t.Pauses {
		if p.binds(Target{Service: c.GetService(), Host: c.GetHost()}, c.GetUnit()) {
			add("paused", id)
		}
		for _, x := range targets {
			if x.Resource == "" && p.binds(x, c.GetUnit()) {
				add("paused", fmt.Sprintf("%s binds %v", id, x))
			}
		}
	}
	approved, open := t.breakers[Rule{c.GetService(), c.GetRule()}]
	if open && !c.GetStartDead() && !slices.Contains(approved, c.GetHost()) {
		add("breaker", "open")
	}
	if c.GetBy() != "" {
		return // a person asks
	}
	if t.Services[c.GetService()].GetAutonomy() == "observe" {
		add("observe", "the service is only observed")
	}
	if t.taken[Taken{Service: c.GetService()}] && c.GetService() != "" ||
		t.taken[Taken{Host: c.GetHost(), Local: c.GetIncident()}] {
		add("acknowledged", "a person has the incident")
	}
}

func (p Pause) binds(x Target, unit string) bool {
	kind, name, _ := strings.Cut(p.Scope, ":")
	return p.Scope == "all" || kind == "host" && name == x.Host || kind == "service" && name == x.Service ||
		kind == "unit" && name == unit
}

// grant enters the permit that was given.
func (t *Table) grant(h *Host, c *logpb.Request, targets []Target, r *logpb.Result) error {
	t.Token++
	token := Token{t.Generation, t.Token}
	p := &Permit{Host: c.GetHost(), Epoch: c.GetEpoch(), Service: c.GetService(), Rule: c.GetRule(),
		Digest: string(c.GetDigest()), Targets: targets, Undo: c.GetUndo()}
	for _, x := range targets {
		p.AsDown = p.AsDown || x.Resource == "" && t.down(x.Service, x.Host)
	}
	g := r.GetGrant()
	switch {
	case r != nil && g == nil:
		return fmt.Errorf("nothing stands against it, and the answer is no grant: %v", r)
	case r != nil && tokenOf(g.GetToken()) != token:
		return fmt.Errorf("the token is %v after %d grants of generation %s", g.GetToken(), t.Token-1, t.Generation)
	case r != nil && (g.GetEpoch() != c.GetEpoch() || g.GetAsDown() != p.AsDown):
		return fmt.Errorf("the grant is %v, want epoch %d, as down %t", g, c.GetEpoch(), p.AsDown)
	}
	h.LastN, h.Last = c.GetN(), token
	t.Permits[token] = p
	return nil
}
