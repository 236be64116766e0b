package config

import (
	"fmt"
	"slices"

	"github.com/hashicorp/hcl/v2"

	"github.com/salveops/salve/pkg/defaults"
	"github.com/salveops/salve/pkg/expr"
	"github.com/salveops/salve/pkg/remedy"
)

// checkGlobs warns about globs of services that match none.
func (l *loader) checkGlobs(d *ruleDraft) {
	for _, w := range d.services {
		if slices.ContainsFunc(l.agent.Services, func(s *Service) bool { return match(w.text, s.Name) }) {
			continue
		}
		l.warn(w.at, "No service", "No service matches %q, so this rule is about fewer than it says.%s", w.text,
			meant(w.text, l.serviceNames()))
	}
}

// checkSources reports a probe or pool that some service of the rule does not have: there the
// condition could never be known.
func (l *loader) checkSources(d *ruleDraft) {
	for _, p := range []*expr.Program{d.When, d.Clear} {
		if p == nil {
			continue
		}
		for _, ref := range p.Refs() {
			for _, s := range d.about {
				if lacks(s, ref) {
					l.fail(p.Range(), "Missing source", "The rule is also about the service %q, which has no %s %q.",
						s.Name, ref.Path.Family, ref.Path.Key)
				}
			}
		}
	}
}

func lacks(s *Service, ref expr.Ref) bool {
	switch ref.Path.Family {
	case "probe":
		return named(s.Probes, ref.Path.Key, func(p *Probe) string { return p.Name }) == nil
	case "pool":
		return named(s.Pools, ref.Path.Key, func(p *Pool) string { return p.Name }) == nil
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

// checkAllowed reports remedies and programs that no allow block permits: they could never run.
// Where autonomy is observe nothing runs anyway, and they may be there to be watched.
func (l *loader) checkAllowed() {
	if l.rulesOnly {
		return
	}
	for _, p := range l.programs {
		if !l.agent.Allows(p.action, remedy.OnExec, p.text) {
			l.fail(p.at, "Not allowed", "No allow block permits the action %q on the program %s. "+
				"In agent.hcl, an allow block would need exec = [%q] and actions = [%q].", p.action, p.text, p.text, p.action)
		}
	}
	for _, d := range l.eachRemedy() {
		if d.spec.Target == remedy.OnExec {
			continue // among the programs
		}
		for _, target := range l.targets(d) {
			l.checkTarget(d, target)
		}
	}
}

func (l *loader) checkTarget(d *remedyDraft, target word) {
	permitted := allows(l.agent.Allow, string(d.Kind), d.spec.Target,
		func(pattern string) bool { return overlap(pattern, target.text) })
	if permitted {
		return
	}
	severity, autonomy := hcl.DiagError, l.agent.Autonomy
	if d.Service != nil {
		autonomy = d.Service.Autonomy
	}
	if autonomy == Observe {
		severity = hcl.DiagWarning
	}
	l.diags = append(l.diags, problem(severity, target.at, "Not allowed",
		"No allow block permits %s on the %s %q, so the remedy %q could never run. "+
			"In agent.hcl, an allow block would need %ss = [%q] and actions = [%q].",
		d.Kind, d.spec.Target, target.text, d.Name, d.spec.Target, target.text, d.Kind))
}

// targets are what the remedy may act on: what it names, else the unit of the rules that try it,
// else that of its service.
func (l *loader) targets(d *remedyDraft) []word {
	if d.spec.Target == remedy.OnPool {
		return []word{{d.Args.Pool, d.targetAt}}
	}
	if d.Args.Unit != "" {
		return []word{{d.Args.Unit, d.targetAt}}
	}
	var found []word
	add := func(unit string) {
		if unit != "" && !slices.ContainsFunc(found, func(w word) bool { return w.text == unit }) {
			found = append(found, word{unit, d.targetAt})
		}
	}
	tried := l.tries(d.Remedy)
	for _, r := range tried {
		switch {
		case r.Unit != "":
			add(r.Unit)
		case d.Service != nil:
			add(d.Service.Unit)
		default:
			l.fail(d.targetAt, "No unit", "The remedy %q names no unit, and the rule %q that tries it is not about one.", d.Name, r.Name)
		}
	}
	if len(tried) == 0 && d.Service != nil {
		add(d.Service.Unit)
	}
	return found
}

// checkPeople resolves who is told.
func (l *loader) checkPeople() {
	if l.rulesOnly {
		return
	}
	var notifiers, escalations []string
	for _, n := range l.agent.Notifiers {
		notifiers = append(notifiers, n.ID())
	}
	for _, e := range l.agent.Escalations {
		escalations = append(escalations, e.Name)
	}
	for _, w := range l.told {
		if l.agent.Notifier(w.text) == nil {
			l.fail(w.at, "Unknown notifier", "There is no notifier %q; a step names one as KIND.NAME.%s", w.text, meant(w.text, notifiers))
		}
	}
	lacking := ""
	for _, d := range l.rules {
		switch {
		case l.agent.Escalation(d.Escalate.To) != nil:
		case d.to.text != "":
			l.fail(d.to.at, "Unknown escalation", "There is no escalation %q.%s", d.to.text, meant(d.to.text, escalations))
		case lacking == "":
			lacking = fmt.Sprintf("The rule %q escalates to %q", d.Name, defaults.EscalateTo)
		}
	}
	if lacking != "" {
		at := hcl.Range{Filename: l.sources.names[0], Start: hcl.InitialPos, End: hcl.InitialPos}
		l.warn(at, "Nobody to tell", "%s, and there is no escalation of that name: nobody would hear of what "+
			"Salve cannot heal.", lacking)
	}
}

// checkUse warns about what has no effect, and reports pools that a remedy names in vain.
func (l *loader) checkUse() {
	for _, d := range l.eachRemedy() {
		l.checkPool(d)
	}
	for _, d := range l.services {
		if !slices.ContainsFunc(l.rules, func(r *ruleDraft) bool { return slices.Contains(r.about, d.Service) }) && !l.ruled(d.Unit) {
			l.warn(d.Range, "No rule", "No rule is about the service %q: nobody would notice that it is ill.", d.Name)
		}
	}
	for _, w := range l.agent.Windows {
		for _, glob := range w.Services {
			if !slices.ContainsFunc(l.agent.Services, func(s *Service) bool { return match(glob, s.Name) }) {
				l.warn(w.Range, "No service", "No service matches %q of the window %q.%s", glob, w.Name, meant(glob, l.serviceNames()))
			}
		}
	}
}

// ruled reports whether a rule about units is about the unit.
func (l *loader) ruled(unit string) bool {
	return slices.ContainsFunc(l.rules, func(r *ruleDraft) bool { return r.Unit != "" && overlap(r.Unit, unit) })
}

func (l *loader) checkPool(d *remedyDraft) {
	if d.spec.Target != remedy.OnPool {
		return
	}
	if d.Service == nil {
		l.fail(d.targetAt, "Unknown pool", "A remedy of the host has no pools; put it into the service of the pool.")
		return
	}
	var known []string
	for _, p := range d.Service.Pools {
		known = append(known, p.Name)
	}
	if !slices.Contains(known, d.Args.Pool) {
		l.fail(d.targetAt, "Unknown pool", "The service %q has no pool %q.%s", d.Service.Name, d.Args.Pool,
			meant(d.Args.Pool, known))
	}
}
