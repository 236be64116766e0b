package config

import (
	"slices"
	"strings"

	"github.com/salveops/salve/pkg/defaults"
	"github.com/salveops/salve/pkg/expr"
	"github.com/salveops/salve/pkg/glob"
	"github.com/salveops/salve/pkg/remedy"
	"github.com/salveops/salve/pkg/signal"
)

// checkGlobs warns about globs of services that match none. A bundle is for many hosts, of which each has some.
func (l *loader) checkGlobs(d *ruleDraft) {
	if d.Bundle != "" {
		return
	}
	for _, w := range d.services {
		if slices.ContainsFunc(l.agent.Services, func(s *Service) bool { return glob.Match(w.text, s.Name) }) {
			continue
		}
		l.warn(w.at, "No service", "No service matches %q, so this rule is about fewer than it says.%s", w.text,
			meant(w.text, l.serviceNames()))
	}
}

// checkSources reports a probe, metric, pool, log or objective that some service of the rule does not have: there the
// condition could never be known.
func (l *loader) checkSources(d *ruleDraft) {
	for _, p := range []*expr.Program{d.When, d.Clear} {
		if p == nil {
			continue
		}
		for _, ref := range p.Refs() {
			for _, s := range d.about {
				if lacks(s, ref) {
					l.fail(p.Range(), "Missing source", "The rule is also about the service %q, which has no %s.", s.Name, ref.Path)
				} else if m := s.Metric(ref.Path.Field); ref.Path.Family == signal.Metric && m.Dim != ref.Info.Dim {
					l.fail(p.Range(), "Different dimensions", "The metric %q of the service %q is %s, and not %s as in "+
						"another service of the rule.", m.Name, s.Name, m.Dim, ref.Info.Dim)
				}
			}
		}
	}
}

func lacks(s *Service, ref expr.Ref) bool { return lacksSource(s, ref.Path) }

func lacksSource(s *Service, of signal.Path) bool {
	if of.Key == signal.AnyKey {
		return false // a rule about every instance is about none where there is none
	}
	switch of.Family {
	case "probe":
		p := named(s.Probes, of.Key, func(p *Probe) string { return p.Name })
		return p == nil || !p.Gives(of.Field)
	case signal.Metric:
		return s.Metric(of.Field) == nil
	case "pool":
		p := named(s.Pools, of.Key, func(p *Pool) string { return p.Name })
		return p == nil || !slices.Contains(p.Signals(), of.Field)
	case "log":
		return named(s.Logs, of.Key, (*Log).name) == nil
	case signal.SLO:
		return s.SLO(of.Key) == nil
	}
	return false
}

// checkTry reports remedies that no service of the rule has. A rule about several services may list
// remedies that only some of them have.
func (l *loader) checkTry(d *ruleDraft) {
	var known []string
	for _, r := range l.within(d) {
		known = append(known, r.Name)
	}
	for _, w := range d.try {
		if slices.Contains(known, w.text) || len(d.about) == 0 && len(d.Services) > 0 {
			continue
		}
		where := "The services of this rule have no remedy"
		if len(d.Services) == 0 {
			where = "A rule without services tries remedies of the host, that stand outside any service; there is none"
		}
		l.fail(w.at, "Unknown remedy", "%s %q.%s", where, w.text, meant(w.text, known))
	}
}

// within are the remedies that the rule can name.
func (l *loader) within(d *ruleDraft) []*Remedy {
	if len(d.Services) == 0 {
		return l.agent.Remedies
	}
	var all []*Remedy
	for _, s := range d.about {
		all = append(all, s.Remedies...)
	}
	return all
}

// checkVerify sees to it that a recovery can be seen at all within the time that a remedy is given.
func (l *loader) checkVerify() {
	for _, d := range l.eachRemedy() {
		if d.Verify == nil || d.Verify.Within == 0 {
			continue
		}
		for _, r := range l.tries(d.Remedy) {
			if window := d.Verification(r.Rule).When.Window(); window >= d.Verify.Within {
				l.fail(d.withinAt, "Out of bounds", "within (%s) must be longer than the longest window of what is "+
					"verified (%s, rule %q).", defaults.Duration(d.Verify.Within), defaults.Duration(window), r.Name)
				break
			}
		}
	}
}

// tries lists the rules that try the remedy.
func (l *loader) tries(r *Remedy) []*ruleDraft {
	var found []*ruleDraft
	for _, d := range l.rules {
		if slices.Contains(d.Try, r.Name) && slices.Contains(l.within(d), r) {
			found = append(found, d)
		}
	}
	return found
}

// checkUse warns about what has no effect, and reports pools, caches and circuits that a remedy names in vain.
func (l *loader) checkUse() {
	for _, d := range l.eachRemedy() {
		switch d.spec.Target {
		case remedy.OnPool:
			l.checkPool(d)
		case remedy.OnCache:
			l.checkCache(d)
		case remedy.OnCircuit:
			l.checkCircuit(d)
		case remedy.OnGroup:
			l.checkGroup(d)
		}
		l.checkVictims(d)
		l.checkReturn(d)
		l.checkBalancer(d)
	}
	for _, d := range l.services {
		if !l.ruled(d.Service) {
			l.warn(d.Range, "No rule", "No rule is about the service %q: nobody would notice that it is ill.", d.Name)
		}
	}
	for _, w := range l.agent.Windows {
		for _, pattern := range w.Services {
			if !slices.ContainsFunc(l.agent.Services, func(s *Service) bool { return glob.Match(pattern, s.Name) }) {
				l.warn(w.Range, "No service", "No service matches %q of the window %q.%s", pattern, w.Name,
					meant(pattern, l.serviceNames()))
			}
		}
	}
}

// checkReturn reports a way back to what ran well that has no service, no link, no unit, or another one beside it.
func (l *loader) checkReturn(d *remedyDraft) {
	a, ok := d.Args.(remedy.Returning)
	if !ok {
		return
	}
	link, leads := a.(*remedy.RollbackArgs)
	switch {
	case leads && link.Link == "":
		l.fail(d.Range, "No release", "The remedy %q lets the link to a service's release lead back. It stands in a service that says "+
			"release = \"/path/of/the/link\".", d.Name)
	case d.Service == nil:
		l.fail(d.Range, "No service", "The remedy %q goes back to what a service ran well with; put it into that service.", d.Name)
	case len(a.Returns().Units) == 0:
		l.fail(d.Range, "No unit", "The service %q has several units; name those that are started anew, such as units = [%q].",
			d.Service.Name, strings.ReplaceAll(d.Service.Unit, "*", "1"))
	case slices.ContainsFunc(d.Service.Remedies, func(r *Remedy) bool { return r.Kind == d.Kind && r != d.Remedy }):
		l.fail(d.Range, "Two ways back", "The service %q has two remedies of the kind %s; there is one way back.", d.Service.Name, d.Kind)
	}
	if unit := remedy.DropIn(a.Names()); unit != "" && !slices.Contains(a.Returns().Units, unit) {
		l.fail(d.targetAt, "Another unit", "%q has drop-ins of %s, which is none of the units that the remedy %q starts anew.", a.Names(),
			unit, d.Name)
	}
}

// ruled reports whether some rule is about the service or its unit.
func (l *loader) ruled(s *Service) bool {
	return slices.ContainsFunc(l.rules, func(r *ruleDraft) bool {
		return slices.Contains(r.about, s) || r.Unit != "" && glob.Overlap(r.Unit, s.Unit)
	})
}

// checkVictims reports a shed that could take what it is tried for.
func (l *loader) checkVictims(d *remedyDraft) {
	if d.Kind != remedy.Shed {
		return
	}
	for _, r := range l.tries(d.Remedy) {
		own := []string{r.Unit}
		for _, s := range r.about {
			own = append(own, s.Unit)
		}
		for _, victim := range d.Among() {
			for _, unit := range own {
				if unit != "" && glob.Overlap(victim, unit) {
					l.fail(d.targetAt, "Wrong victim", "The rule %q tries %q for %s, which %q among its victims means, too.",
						r.Name, d.Name, unit, victim)
				}
			}
		}
	}
}

// checkBalancer reports a balancer of scale that the service has not.
func (l *loader) checkBalancer(d *remedyDraft) {
	a, ok := d.Args.(*remedy.ScaleArgs)
	if !ok || a.Balancer == "" {
		return
	}
	if d.Service == nil || !slices.ContainsFunc(d.Service.Pools, func(p *Pool) bool { return p.Name == a.Balancer && p.HAProxy != "" }) {
		l.fail(d.targetAt, "Unknown balancer", "The service has no pool %q that is a backend of a HAProxy.", a.Balancer)
	}
}

func (l *loader) checkPool(d *remedyDraft) {
	p := ofService(l, d, func(s *Service) []*Pool { return s.Pools }, func(p *Pool) string { return p.Name })
	if p != nil && d.Kind == remedy.ResetPool {
		l.checkReset(d, p)
	}
}

// checkReset refuses a way of resetting a pool that this kind of pool has not.
func (l *loader) checkReset(d *remedyDraft, p *Pool) {
	mode, modes := d.Args.(*remedy.PoolArgs).Mode, remedy.ResetModes(p.Source())
	switch {
	case p.HTTP != "" && p.Reset == nil:
		l.fail(d.targetAt, "Wrong pool", "Nothing says how the pool %q is reset: give it a reset block for mode = %q. If its service does "+
			"it on a signal, use a remedy of the kind kill; by a program, exec; else reload or restart.", p.Name, remedy.CallReset)
	case !slices.Contains(modes, mode):
		l.fail(d.targetAt, "Wrong mode", "The pool %q is of the kind %s, which has no mode %q. It has %s.", p.Name, p.Source(), mode,
			strings.Join(modes, ", "))
	}
}

// checkUntil reports an end that cannot come before the remedy is over anyway: only what happens after its action counts.
func (l *loader) checkUntil(d *remedyDraft) {
	limit := d.Args.(remedy.Limited).Lasts()
	switch p := d.Until; {
	case p == nil:
	case len(p.Refs()) == 0:
		l.fail(p.Range(), "No effect", "until reads no signal.")
	case limit > 0 && p.Window() >= limit:
		l.fail(p.Range(), "Out of bounds", "until looks back over %s, and the remedy ends after %s anyway.", p.Window(), limit)
	}
}

// checkCache refuses a remedy that nothing would hold back under overload: what a cache forgets is asked of what stands behind it.
func (l *loader) checkCache(d *remedyDraft) {
	c := ofService(l, d, func(s *Service) []*Cache { return s.Caches }, func(c *Cache) string { return c.Name })
	if c == nil {
		return
	}
	if a, ok := d.Args.(*remedy.CacheArgs); ok {
		begins := func(path string) bool { return strings.HasPrefix(path, a.Prefix) }
		switch {
		case a.AtOnce && c.Nginx+c.Purge != "":
			l.fail(d.targetAt, "Wrong cache", "What is in the cache %q goes one by one: at_once is for Redis and memcached.", c.Name)
		case c.Purge != "" && !slices.ContainsFunc(c.Paths, begins):
			l.fail(d.targetAt, "Wrong cache", "No path of the cache %q begins with %q.", c.Name, a.Prefix)
		}
	}
	if d.Precondition == nil {
		l.fail(d.Range, "Cold cache", "While the cache %q is cold, what stands behind it has more to do, and nothing says when it can "+
			"take that. Say so with precondition, such as pool.db.waiting < 5; or precondition = true, if that never matters.", c.Name)
	}
}

// ofService is what the remedy acts on by a name that its service declares; nil, and reported, if there is none.
func ofService[T any](l *loader, d *remedyDraft, declared func(*Service) []*T, name func(*T) string) *T {
	what := d.spec.Target
	if d.Service == nil {
		l.fail(d.targetAt, "Unknown "+string(what), "A remedy of the host has no %ss; put it into the service of the %s.", what, what)
		return nil
	}
	var known []string
	for _, one := range declared(d.Service) {
		known = append(known, name(one))
	}
	found := named(declared(d.Service), d.Args.Names(), name)
	if found == nil {
		l.fail(d.targetAt, "Unknown "+string(what), "The service %q has no %s %q.%s", d.Service.Name, what, d.Args.Names(),
			meant(d.Args.Names(), known))
	}
	return found
}
