package heal

import (
	"testing"
	"time"

	"github.com/salveops/salve/agent/internal/systemd"
)

const wells = `
allow {
  units   = ["checkout.service"]
  actions = ["restart"]
}
notifier "journald" "log" {}
escalation "default" {
  step { notify = ["journald.log"] }
}
---
service "checkout" {
  probe "health" { http = "http://127.0.0.1:1/" }
  remedy "restart" "restart" {}
}
service "postgres" {}
rule "busy" {
  services = ["checkout"]
  when     = host.cpu.busy > 0.9
}
rule "down" {
  services = ["checkout"]
  when     = unit.failed
  try      = ["restart"]
}
`

// A service is well while all that is asked about it is known, and good: a rule that holds, one that nobody can judge, a
// probe that misses or is silent, a unit that is down, and an incident each end that.
func TestWell(t *testing.T) {
	heals(t, wells, func(h *rig) {
		want := func(what string, well bool) {
			t.Helper()
			h.Advance(3 * time.Second)
			got, err := h.p.Well(h.ctx())
			if err != nil || len(got) != 2 || got["checkout"] != well || got["postgres"] {
				t.Errorf("%s: well are %v, %v", what, got, err)
			}
		}
		want("nothing is known", false)
		h.Tells("probe.health.ok{checkout}", 1)
		want("a rule cannot be judged", false)
		h.Tells("host.cpu.busy", .1)
		want("all is known", true)
		h.Tells("probe.health.ok{checkout}", 0)
		want("the probe misses", false)
		h.Silent("probe.health.ok{checkout}")
		want("the probe is silent", false)
		h.Tells("probe.health.ok{checkout}", 1)
		want("it answers", true)
		h.Tells("host.cpu.busy", .95)
		want("a rule holds, not yet for long enough", false)
		h.Tells("host.cpu.busy", .1)
		want("it holds no more", true)
		h.change("checkout.service", func(u *systemd.Unit) { u.Active, u.Stopped = "inactive", systemd.Person })
		want("a person stopped it", false)
		h.change("checkout.service", func(u *systemd.Unit) { u.Active, u.Stopped = "active", "" })
		want("it was started", true)
		h.Fails("checkout.service")
		want("an incident is open", false)
		h.Restarts()
		if got, err := h.p.Well(h.ctx()); err != nil || got["checkout"] {
			t.Errorf("a new process knows at once: %v, %v", got, err)
		}
	})
}
