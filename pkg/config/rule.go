package config

import (
	"github.com/hashicorp/hcl/v2"

	"github.com/salveops/salve/pkg/defaults"
	"github.com/salveops/salve/pkg/expr"
	"github.com/salveops/salve/pkg/remedy"
)

// ruleDraft is a rule whose references are still words and whose conditions are not compiled yet.
type ruleDraft struct {
	*Rule
	when, clear hcl.Expression // clear is nil when the rule does not say
	services    []word
	try         []word
	to          word
	forSet      bool
	about       []*Service // what the rule's globs match; empty for a rule about the host
	labelAt     hcl.Range
}

func (l *loader) decodeRule(b *block) {
	r := &Rule{
		Name: b.name("rule", checkName), Range: b.header, Severity: Severity(b.text("severity")),
		For: b.duration("for"), ClearFor: b.duration("clear_for"),
		Escalate: EscalateTo{To: defaults.EscalateTo, After: defaults.EscalateAfter},
	}
	d := &ruleDraft{
		Rule: r, when: b.condition("when"), clear: b.condition("clear"), forSet: b.has("for"),
		services: b.globs("services", anyGlob), try: b.texts("try"), labelAt: b.labelAt,
	}
	if r.Name == builtInRule {
		l.fail(b.labelAt, "Wrong name", "%q is the name of a rule that Salve makes itself.", r.Name)
	}
	if b.has("unit") {
		r.Unit = b.checked("unit", func(s string) string { return remedy.CheckUnitName(s, true) })
	}
	if b.has("services") && len(d.services) == 0 {
		b.fail("services", "No services", "An empty list is no service; leave services out for a rule about the host.")
	}
	r.Services, r.Try = plain(d.services), plain(d.try)
	if e := b.single("escalate"); e != nil {
		r.Escalate.After = e.duration("after")
		if e.has("to") {
			r.Escalate.To = e.text("to")
			d.to = word{r.Escalate.To, e.at("to")}
		}
	}
	seen := map[string]bool{}
	for _, w := range d.try {
		if seen[w.text] {
			l.fail(w.at, "Duplicate remedy", "%q is in try already.", w.text)
		}
		seen[w.text] = true
	}
	l.rules = append(l.rules, d)
}

// thresholdDraft is a threshold that is not compiled yet.
type thresholdDraft struct {
	name  string
	def   hcl.Expression
	cases []expr.Case
}

func (l *loader) decodeThreshold(b *block) {
	d := thresholdDraft{name: b.name("threshold", checkWord), def: b.condition("default")}
	for _, c := range b.blocks("case") {
		d.cases = append(d.cases, expr.Case{When: c.condition("when"), Value: c.condition("value")})
	}
	l.thresholds = append(l.thresholds, d)
}
