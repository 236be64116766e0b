package config

import (
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"github.com/salveops/salve/pkg/defaults"
	"github.com/salveops/salve/pkg/glob"
	"github.com/salveops/salve/pkg/remedy"
)

// builtInRule is the rule about services that were made for bare allowed units.
const builtInRule = "unit-failed"

// addImplicit gives each allowed unit that may be started and has no service one of its own, and all
// of them a rule that starts them again when they failed. Where only restart is allowed, that does
// the same.
func (l *loader) addImplicit() {
	var made []*Service
	for _, u := range l.allowed {
		kind, ok := l.revival(u.text)
		if !ok || l.covered(u.text) {
			continue
		}
		s := l.implicit(u, kind)
		made = append(made, s)
		l.agent.Services = append(l.agent.Services, s)
	}
	if len(made) == 0 {
		return
	}
	rule := &Rule{
		Name: builtInRule, Severity: defaults.Severity, ClearFor: defaults.ClearFor, BuiltIn: true, Range: made[0].Range,
		Try:      []string{string(remedy.Start), string(remedy.Restart)}, // each service has one of them
		Escalate: EscalateTo{To: defaults.EscalateTo, After: defaults.EscalateAfter},
	}
	for _, s := range made {
		rule.Services = append(rule.Services, literally(s.Name))
	}
	l.rules = append(l.rules, &ruleDraft{Rule: rule, when: l.builtIn("unit.failed"), labelAt: rule.Range})
}

// revival is the mildest action that is allowed to bring a failed unit back.
func (l *loader) revival(unit string) (remedy.Kind, bool) {
	for _, kind := range []remedy.Kind{remedy.Start, remedy.Restart} {
		if l.agent.Allows(string(kind), remedy.OnUnit, unit) {
			return kind, true
		}
	}
	return "", false
}

// covered reports whether a service that people wrote, or the same pattern before, looks after all that
// the pattern can mean.
func (l *loader) covered(pattern string) bool {
	return slices.ContainsFunc(l.agent.Services, func(s *Service) bool {
		return s.Unit == pattern || !s.Implicit && !glob.Is(pattern) && s.Covers(pattern)
	})
}

// implicit makes the service of an allowed unit. It is named after the unit, in full when another
// service has the short name.
func (l *loader) implicit(u word, kind remedy.Kind) *Service {
	name := strings.TrimSuffix(u.text, ".service")
	if l.agent.Service(name) != nil {
		name = u.text
	}
	s := &Service{
		Name: name, Unit: u.text, Startup: defaults.Startup, Tier: defaults.Tier, Autonomy: l.agent.Autonomy,
		Every: defaults.UnitEvery, Alone: AloneWait, Implicit: true, Range: u.at,
	}
	for _, other := range l.agent.Services {
		switch {
		case !glob.Overlap(s.Unit, other.Unit):
		case glob.Is(s.Unit):
			s.Except = append(s.Except, other.Unit)
		case other.Implicit: // the name has it before the glob
			other.Except = append(other.Except, s.Unit)
		}
	}
	s.Remedies = []*Remedy{{
		Kind: kind, Name: string(kind), Service: s, Args: &remedy.UnitArgs{}, Confidence: defaults.Confidence, Attempts: defaults.Attempts,
		Recurring: defaults.Recurring, Cooldown: defaults.Cooldown, Timeout: defaults.ActionTimeout, Range: u.at,
	}}
	return s
}

// builtIn parses a condition of Salve's own.
func (l *loader) builtIn(condition string) hcl.Expression {
	file, diags := l.sources.parser.ParseHCL([]byte("when = "+condition), "built in: "+condition)
	attrs, more := file.Body.JustAttributes()
	if diags = append(diags, more...); diags.HasErrors() {
		panic("config: " + diags.Error())
	}
	return attrs["when"].Expr
}
