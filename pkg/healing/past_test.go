package healing

import (
	"testing"

	"github.com/salveops/salve/pkg/config"
	"github.com/salveops/salve/pkg/incident"
	"github.com/salveops/salve/pkg/remedy"
)

// What only looks and heals nothing has no record, neither a good one nor a bad one.
func TestRecord(t *testing.T) {
	var past Past
	for i, a := range []incident.Attempt{
		{Remedy: "restart", Kind: "restart", Outcome: incident.Verified}, {Remedy: "restart", Kind: "restart", Outcome: incident.Ineffective},
		{Remedy: "restart", Kind: "restart", Outcome: incident.Worse, Rule: "other"}, {Remedy: "restart", Service: "other", Outcome: incident.Worse},
		{Remedy: "look", Kind: "dump", Outcome: incident.Ineffective},
	} {
		a.ID = string(rune('a' + i))
		past.Put(&a)
	}
	for _, c := range []struct {
		rem              config.Remedy
		rule             string
		verified, failed int
	}{
		{config.Remedy{Kind: remedy.Restart, Name: "restart"}, "", 1, 2},
		{config.Remedy{Kind: remedy.Restart, Name: "restart"}, "other", 0, 1},
		{config.Remedy{Kind: remedy.Dump, Name: "look"}, "", 0, 0},
	} {
		if verified, failed := past.Record(&c.rem, c.rule); verified != c.verified || failed != c.failed {
			t.Errorf("%s under %q: %d verified, %d failed", c.rem.Name, c.rule, verified, failed)
		}
	}
}
