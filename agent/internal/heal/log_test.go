package heal

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/salveops/salve/pkg/incident"
)

// logs is a service whose lines are counted, and a host whose kernel's are.
const logs = `
autonomy = "full"
allow {
  units   = ["checkout.service"]
  actions = ["restart"]
}
notifier "journald" "log" {}
escalation "default" {
  step { notify = ["journald.log"] }
}
---
log "disk" { match = "I/O error" }
service "checkout" {
  startup = "2s"
  log "errors" {
    match  = "error (?P<code>[0-9]+)"
    window = "20s"
  }
  remedy "restart" "restart" {}
}
rule "errors" {
  services = ["checkout"]
  when     = log.errors.rate > 1 / s
  for      = "0s"
  try      = ["restart"]
}
rule "disks" {
  when = host.log["*"].rate > 0
  for  = "0s"
}
`

// A rate is taken over time, and what was written before the action is in it for as long: the verification waits.
func TestLogIsHealed(t *testing.T) {
	heals(t, logs, func(h *rig) {
		h.Tells("log.errors.rate{checkout}", 0)
		h.Tells(`host.log["disk"].rate`, 0)
		h.Advance(5 * time.Second)
		h.Tells("log.errors.rate{checkout}", 5)
		h.Advance(3 * time.Second)
		h.WantActs("restart checkout.service")
		h.Advance(19 * time.Second)
		h.Tells("log.errors.rate{checkout}", 0)
		h.Advance(10 * time.Second)
		h.WantOutcomes("checkout", "restart verified")
		h.WantState("checkout", incident.Resolved)
		h.WantActs()
	})
}

// A log of the kernel is an instance of its rule, and what is looked for reaches the observer as it stands in the file.
func TestLogsAreTargets(t *testing.T) {
	heals(t, logs, func(h *rig) {
		h.Tells(`host.log["disk"].rate`, .1)
		h.Advance(3 * time.Second)
		h.WantState("", incident.Escalated)
		var got []string
		for _, l := range h.p.targets.Load().Logs {
			got = append(got, l.Service+" "+l.Name+" "+l.Unit+" "+l.Match.String()+" "+l.Window.String())
		}
		want := []string{"checkout errors checkout.service error (?P<code>[0-9]+) 20s", " disk  I/O error 10s"}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
	})
}
