package heal

import (
	"testing"
	"time"

	"github.com/salveops/salve/pkg/incident"
)

// one is a service with a rule over its unit's state.
const one = `
autonomy = "full"
allow {
  units   = ["checkout.service", "worker@*.service"]
  actions = ["start", "restart", "reload", "stop", "set_property"]
}
notifier "journald" "log" {}
notifier "journald" "two" {}
escalation "default" {
  step { notify = ["journald.log"] }
}
---
service "checkout" {
  startup = "5s"
  remedy "restart" "restart" {}
}
rule "down" {
  services = ["checkout"]
  severity = "critical"
  when     = unit.failed
  try      = ["restart"]
}
`

func TestCrashIsHealed(t *testing.T) {
	heals(t, one, func(h *rig) {
		h.Advance(5 * time.Second)
		h.Fails("checkout.service")
		h.Advance(50 * time.Millisecond)
		h.WantActs("restart checkout.service")
		h.WantState("checkout", incident.Healing)
		h.Advance(20 * time.Second)
		h.WantOutcomes("checkout", "restart verified")
		h.WantState("checkout", incident.Resolved)
		h.WantSaid("checkout", "restart healed it", "collected: signals, last minute")
		h.WantActs()
		h.WantPages()
	})
}
