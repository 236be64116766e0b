package heal

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/salveops/salve/agent/internal/change"
	"github.com/salveops/salve/pkg/incident"
)

// afterChange is a host on which people decide about errors that follow a change.
const afterChange = `
notifier "journald" "log" {}
escalation "default" {
  step { notify = ["journald.log"] }
}
---
service "checkout" {
  startup = "1s"
  probe "health" { http = "http://127.0.0.1:1/" }
}
service "postgres" {}
rule "sick-after-a-change" {
  services = ["checkout"]
  when     = !probe.health.ok && recent_change("30m")
  clear    = probe.health.ok
  for      = "0s"
}
rule "packages" {
  when     = host.cpu.busy > 90 * percent && recent_change("10m", "package")
  clear    = host.cpu.busy < 50 * percent
  for      = "0s"
  severity = "info"
}
`

// says reports whether what was changed before, in the evidence of the service's newest incident, has the text.
func says(h *rig, service, text string) bool {
	s := h.Last(service)
	for _, e := range s.Evidence {
		if e.Title == "changes before" && strings.Contains(e.Text, text) {
			return true
		}
	}
	return false
}

func TestRecentChange(t *testing.T) {
	heals(t, afterChange, func(h *rig) {
		h.Tells("probe.health.ok{checkout}", 0)
		h.Advance(10 * time.Second)
		h.WantState("checkout", "") // sick, but nothing has changed
		h.p.ledger.Record("deployment", "postgres", "another service", "ann")
		h.Advance(10 * time.Second)
		h.WantState("checkout", "")
		h.p.ledger.Record("deployment", "checkout", "release 7", "ann")
		h.Advance(4 * time.Minute)
		h.WantState("checkout", incident.Escalated)
		h.WantSaid("checkout", "1s before: deployment of checkout by ann: release 7")
		if !says(h, "checkout", "before: deployment of checkout by ann: release 7") || says(h, "checkout", "another service") {
			t.Errorf("evidence: %+v", h.Last("checkout").Evidence)
		}
	})
}

// TestChangesOutliveTheAgent: what was changed before the agent began counts, and no longer than it should.
func TestChangesOutliveTheAgent(t *testing.T) {
	heals(t, afterChange, func(h *rig) {
		h.Tells("host.cpu.busy", 1)
		h.p.ledger.Record("configuration", "", "kernel parameters", "ann")
		h.Advance(time.Minute)
		h.WantState("", "") // no package
		h.Tells("host.cpu.busy", .1)
		h.p.ledger.Record("package", "", "libc6 2.36-9 → 2.36-10", "salve-agent")
		h.Advance(9 * time.Minute)
		h.Restarts()
		h.Tells("host.cpu.busy", 1)
		h.Advance(10 * time.Second)
		h.WantState("", incident.Escalated)
		h.Tells("host.cpu.busy", .1)
		h.Advance(2 * time.Minute)
		h.WantState("", incident.Resolved)
		h.Tells("host.cpu.busy", 1)
		h.Advance(time.Minute)
		h.WantState("", incident.Resolved) // ten minutes are over
	})
}

// TestChangesToTheController: what is noticed here is told there once, whatever breaks off.
func TestChangesToTheController(t *testing.T) {
	heals(t, controlled(afterChange), func(h *rig) {
		h.Advance(5 * time.Second)
		told := func() (out []string) {
			for _, ev := range h.node.Events("h") {
				if c := ev.GetChange(); c != nil {
					out = append(out, c.GetLocal()+" "+c.GetChange().GetText())
				}
			}
			return out
		}
		h.p.ledger.Record("deployment", "checkout", "release 7", "ann")
		h.Advance(time.Second)
		h.node.Cut()
		h.Advance(10 * time.Second)
		h.Restarts()
		h.Advance(10 * time.Second)
		if got := told(); len(got) != 1 || !strings.HasSuffix(got[0], "/change-1 release 7") {
			t.Errorf("told %q", got)
		}
		if all := h.p.ledger.All(); len(all) != 1 || !all[0].Told {
			t.Errorf("known are %+v", all)
		}
	})
}

// TestOpenChangeIsNotTold: while more of a change is to come the controller hears nothing of it.
func TestOpenChangeIsNotTold(t *testing.T) {
	heals(t, controlled(afterChange), func(h *rig) {
		for i, open := range []bool{true, false} {
			x := change.Change{N: uint64(i + 1), ID: "x", At: h.stampNow(), Kind: "package", Text: "libc6", Open: open}
			if err := h.noted.PutSoon(fmt.Sprintf("change/%d", i), x); err != nil {
				t.Fatal(err)
			}
		}
		h.Restarts()
		h.Advance(5 * time.Second)
		told := 0
		for _, ev := range h.node.Events("h") {
			if ev.GetChange() != nil {
				told++
			}
		}
		if told != 1 {
			t.Errorf("told of %d changes", told)
		}
	})
}

// TestChangesFromTheController: what is recorded there counts here from the moment at which it was done, and is not told
// back.
func TestChangesFromTheController(t *testing.T) {
	heals(t, controlled(afterChange), func(h *rig) {
		h.Tells("probe.health.ok{checkout}", 0)
		h.Advance(5 * time.Second)
		recorded := func(ago time.Duration) {
			h.node.Change("checkout", "deployment", "release 7", h.clock.Now().Wall.Add(-ago).UnixNano())
			h.Advance(5 * time.Second)
		}
		recorded(31 * time.Minute)
		h.WantState("checkout", "")
		recorded(29 * time.Minute)
		h.WantState("checkout", incident.Escalated)
		if !says(h, "checkout", "before: deployment of checkout by ci: release 7") {
			t.Errorf("evidence: %+v", h.Last("checkout").Evidence)
		}
		h.Restarts()
		h.Advance(5 * time.Second)
		if all := h.p.ledger.All(); len(all) != 2 {
			t.Errorf("known are %+v", all)
		}
		for _, ev := range h.node.Events("h") {
			if ev.GetChange() != nil {
				t.Errorf("told back: %v", ev)
			}
		}
	})
}
