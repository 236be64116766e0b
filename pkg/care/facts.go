// Package care holds what becomes of an alert once it fires, as far as it only computes: the facts that a decision
// gets, the trial of an attempt, the words of an incident. The agent's engine and the simulator of rule tests both
// run this code, so that a test says what a host would do. It is pure; one goroutine owns what it makes.
package care

import (
	"fmt"

	"github.com/salveops/salve/pkg/clock"
	"github.com/salveops/salve/pkg/config"
	"github.com/salveops/salve/pkg/expr"
	"github.com/salveops/salve/pkg/healing"
	"github.com/salveops/salve/pkg/incident"
	"github.com/salveops/salve/pkg/rule"
)

// Alert is a firing alert as a decision looks at it. fired is when it fired, as records keep it.
func Alert(a *rule.Alert, fired clock.Stamp) healing.Alert {
	return healing.Alert{
		Rule: a.Rule.Name, Service: Service(a), Instance: a.Instance,
		Firing: true, Clearing: recovering(a), Flapping: a.Flapping, Blind: a.Blind,
		Unknown: a.Holds == expr.Unknown,
		Fired:   fired, EscalateAfter: a.Rule.Escalate.After,
	}
}

// recovering reports whether the alert is seen to clear. What cannot be seen any more is not recovering,
// and people must hear of it.
func recovering(a *rule.Alert) bool {
	return a.State == rule.Clearing && !a.Blind && a.Holds != expr.Unknown
}

// Observes is why nothing is done alone for the service: autonomy as configured is observe, or an objective asks for it.
// "" if something may be done.
func Observes(observe bool, rules *rule.Engine, s *config.Service) string {
	const why = "autonomy is observe"
	if observe {
		return why
	}
	if slo := rules.Restrains(s); slo != "" {
		return fmt.Sprintf("%s while %s", why, overspent(slo))
	}
	return ""
}

// Story is an incident as a decision looks at it.
func Story(i *incident.Incident) healing.Story {
	return healing.Story{ID: i.ID, AckBy: i.AckBy, KeepHealing: i.Keep, Told: !i.Escalate.Since.IsZero(),
		Released: i.Released}
}

// Candidate is a remedy as a decision looks at it, when it is tried for the unit ("" if there is none) because of
// the rule ("" counts outcomes under every rule). What only the host can tell is left to the caller: Allowed,
// Refusal, Denied, and Unit if the target is another unit.
func Candidate(
	now clock.Instant, rem *config.Remedy, unit, ruleName string, rules *rule.Engine, past *healing.Past,
) healing.Candidate {
	c := healing.Candidate{
		Name: rem.Name, Kind: rem.Kind, Target: rem.Target(unit), Waits: rem.Waits(), Locks: rem.Locks(unit), Attempts: rem.Attempts, Recurring: rem.Recurring,
		Cooldown: rem.Cooldown, Prior: rem.Confidence, Conditional: rem.Precondition != nil,
	}
	if c.Conditional {
		c.Precondition = rules.Bind(rule.Subject{Service: rem.Service, Unit: unit}, rem.Precondition).Eval(now)
	}
	c.Verified, c.Failed = past.Record(rem, ruleName)
	return c
}
