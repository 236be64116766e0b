package heal

import (
	"slices"
	"testing"
	"time"

	"github.com/salveops/salve/pkg/incident"
	"github.com/salveops/salve/proto/logpb"
)

// budgeted has an objective about one probe, and a rule about another one.
const budgeted = `
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
service "checkout" {
  startup = "5s"
  probe "front" { http = "http://127.0.0.1:8080/" }
  probe "health" { http = "http://127.0.0.1:8080/healthz" }
  slo "answers" {
    objective = 99 * percent
    window    = "24h"
    probe     = "front"
    spent {
      autonomy = "observe"
      severity = "critical"
    }
  }
  remedy "restart" "restart" {}
}
rule "ill" {
  services = ["checkout"]
  when     = !probe.health.ok
  try      = ["restart"]
  escalate { after = "1h" }
}
`

// spends uses up the budget while the rule has nothing to say.
func (r *rig) spends() {
	r.Tells("probe.front.ok{checkout}", 0)
	r.Advance(15 * time.Minute)
}

func TestBudgetHoldsBack(t *testing.T) {
	heals(t, budgeted, func(h *rig) {
		h.Tells("probe.health.ok{checkout}", 1)
		h.spends()
		h.Tells("probe.health.ok{checkout}", 0)
		h.Advance(time.Minute)
		h.WantActs()
		h.WantState("checkout", incident.Open)
		h.WantSaid("checkout", "critical, because the error budget of answers is spent",
			"autonomy is observe while the error budget of answers is spent, nothing is done; otherwise restart is the remedy")
		if got := h.Last("checkout").Severity; got != "critical" {
			t.Errorf("the incident is %s", got)
		}
		status, err := h.p.Status(h.ctx())
		if err != nil || status.Services[0].Autonomy != "observe" {
			t.Errorf("the service is listed as %q: %v", status.Services[0].Autonomy, err)
		}
		alerts, err := h.p.Alerts(h.ctx(), "checkout")
		if err != nil || len(alerts) != 1 || alerts[0].Severity != "critical" {
			t.Errorf("listed as %+v: %v", alerts, err)
		}
	})
}

// TestBudgetSurvives: what was counted holds after a restart of the agent.
func TestBudgetSurvives(t *testing.T) {
	heals(t, budgeted, func(h *rig) {
		h.Tells("probe.health.ok{checkout}", 1)
		h.spends()
		h.Stop()
		var err error
		if h.learned, err = h.p.Baseline(h.ctx()); err != nil {
			t.Fatal(err)
		}
		h.Start()
		h.Tells("probe.front.ok{checkout}", 1)
		h.Tells("probe.health.ok{checkout}", 0)
		h.Advance(time.Minute)
		h.WantActs()
		h.WantSaid("checkout", "while the error budget of answers is spent")
	})
}

// TestBudgetMakesGraver: an incident that is open when the budget is spent becomes graver, also where the controller has it.
func TestBudgetMakesGraver(t *testing.T) {
	heals(t, controlled(budgeted), func(h *rig) {
		h.connected()
		h.Pauses("service:checkout", time.Hour)
		h.Tells("probe.health.ok{checkout}", 0)
		h.Advance(time.Minute)
		if got := h.Last("checkout").Severity; got != "warning" {
			t.Fatalf("with a budget left the incident is %s", got)
		}
		h.spends()
		h.wantTold([]string{"alert: it is"},
			"alert: it is critical from now on, because the error budget of answers is spent")
		if !slices.ContainsFunc(h.node.Events("h"), func(ev *logpb.Event) bool {
			return ev.GetStory().GetSeverity() == "critical"
		}) {
			t.Error("the controller goes on with the old severity")
		}
		h.Restarts()
		h.Advance(time.Minute)
		if got := h.Last("checkout").Severity; got != "critical" {
			t.Errorf("after a restart the incident is %s", got)
		}
	})
}
