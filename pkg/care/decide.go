package care

import (
	"time"

	"github.com/salveops/salve/pkg/defaults"
	"github.com/salveops/salve/pkg/healing"
	"github.com/salveops/salve/pkg/incident"
	"github.com/salveops/salve/pkg/rule"
)

// recheck is how often a standing decision is looked at again, whatever the facts.
const recheck = 5 * time.Second

// Again is after what time a decision is made again if no fact changes before.
func Again(d healing.Decision) time.Duration {
	if d.Wait > 0 {
		return min(d.Wait, recheck)
	}
	return recheck
}

// EscalateTo is the escalation of the gravest alert that names one; of equals, of the first.
func EscalateTo(firing []*rule.Alert) string {
	to, severity := defaults.EscalateTo, ""
	for _, a := range firing {
		if a.Rule.Escalate.To != "" && (severity == "" || incident.Graver(string(a.Rule.Severity), severity)) {
			to, severity = a.Rule.Escalate.To, string(a.Rule.Severity)
		}
	}
	return to
}
