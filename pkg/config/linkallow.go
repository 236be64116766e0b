package config

import (
	"fmt"
	"slices"

	"github.com/hashicorp/hcl/v2"

	"github.com/salveops/salve/pkg/glob"
	"github.com/salveops/salve/pkg/remedy"
)

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
			l.checkTarget(d, d.Kind, target)
		}
		for _, part := range remedy.Parts(d.Args) {
			l.checkTarget(d, part.Kind, word{part.Name, d.targetAt})
		}
		if a, ok := d.Args.(*remedy.ScaleArgs); ok && d.balancer() != "" {
			l.checkTarget(d, remedy.ResetPool, word{a.Balancer, d.targetAt})
		}
	}
}

// checkTarget reports that no allow block permits the remedy to do that to the target.
func (l *loader) checkTarget(d *remedyDraft, does remedy.Kind, target word) {
	spec, _ := remedy.Lookup(string(does))
	permitted := allows(l.agent.Allow, string(does), spec.Target,
		func(pattern string) bool { return glob.Overlap(pattern, target.text) })
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
	what, named := fmt.Sprintf("the %s %q", spec.Target, target.text), fmt.Sprintf("[%q]", target.text)
	if does.OnHost() {
		what, named = "this host", "true"
	}
	l.diags = append(l.diags, problem(severity, target.at, "Not allowed",
		"No allow block permits %s on %s, so the remedy %q could never run. In agent.hcl, an allow block would need %s = %s and actions = [%q].",
		does, what, d.Name, allowKeys[spec.Target], named, does))
}

// targets are what the remedy may act on: what it names, else the unit of the rules that try it,
// else that of its service.
func (l *loader) targets(d *remedyDraft) []word {
	if among := d.Among(); among != nil {
		var found []word
		for _, one := range among {
			found = append(found, word{one, d.targetAt})
		}
		return found
	}
	if a, ok := d.Args.(*remedy.RollbackArgs); ok && a.Link == "" {
		return nil // reported by checkReturn
	}
	if name := d.Args.Names(); name != "" || d.spec.Target != remedy.OnUnit {
		return []word{{name, d.targetAt}}
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
			l.fail(d.targetAt, "No unit", "The remedy %q names no unit, and the rule %q that tries it is not about one.",
				d.Name, r.Name)
		}
	}
	if len(tried) == 0 && d.Service != nil {
		add(d.Service.Unit)
	}
	return found
}
