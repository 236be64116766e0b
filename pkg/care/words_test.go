package care

import (
	"testing"

	"github.com/salveops/salve/pkg/config"
	"github.com/salveops/salve/pkg/incident"
	"github.com/salveops/salve/pkg/rule"
)

// TestRaiseIsForBudgets: a rule that was made graver by a reload says nothing of a budget.
func TestRaiseIsForBudgets(t *testing.T) {
	i := &incident.Incident{Severity: "warning"}
	a := &rule.Alert{Rule: &config.Rule{Severity: config.Critical}}
	if text := Raise(i, []*rule.Alert{a}); text != "" || i.Severity != "warning" {
		t.Errorf("it is %s: %q", i.Severity, text)
	}
}
