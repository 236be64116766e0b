package heal

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/salveops/salve/agent/internal/local"
	"github.com/salveops/salve/pkg/incident"
)

// contextual is a host of which more is expected while its market is nervous.
const contextual = `
notifier "journald" "log" {}
escalation "default" {
  step { notify = ["journald.log"] }
}
---
context "market" {
  http = "http://desk.example/state.json"
  field "volatility" {
    path = "indices.0.vol"
    unit = "ratio"
  }
}
context "batch" {
  file  = "/run/batch.json"
  every = "20s"
  field "backlog" { path = "backlog" }
}
threshold "busy" {
  default = 50 * percent
  case {
    when  = context.market.volatility > 40 * percent
    value = 90 * percent
  }
}
rule "busy" {
  when  = host.cpu.busy > threshold.busy
  clear = host.cpu.busy < 10 * percent
  for   = "0s"
}
`

// The threshold follows its context, and is unknown while that is: then nothing fires, also not by the default.
func TestThresholdByContext(t *testing.T) {
	heals(t, contextual, func(h *rig) {
		h.Silent("context.market.volatility")
		h.Tells("host.cpu.busy", .7)
		h.Advance(10 * time.Second)
		h.WantState("", "")
		h.Tells("context.market.volatility", .6)
		h.Advance(10 * time.Second)
		h.WantState("", "")
		h.Tells("context.market.volatility", .1)
		h.Advance(10 * time.Second)
		h.WantState("", incident.Escalated)
	})
}

// What the file says of a document reaches the observer, and every field is listed though no rule reads it.
func TestContextsAreTargets(t *testing.T) {
	heals(t, contextual, func(h *rig) {
		h.Advance(time.Second)
		var got []string
		for _, c := range h.p.targets.Load().Contexts {
			got = append(got, c.Name+" "+c.HTTP+c.File+" "+c.Every.String()+" "+c.Timeout.String()+" "+c.MaxAge.String()+" "+
				c.Fields[0].Signal.String()+" "+c.Fields[0].Path.String())
		}
		want := []string{"market http://desk.example/state.json 10s 2s 0s context.market.volatility indices.0.vol",
			"batch /run/batch.json 20s 0s 1h0m0s context.batch.backlog backlog"}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
		all, err := h.p.Signals(h.ctx())
		if err != nil {
			t.Fatal(err)
		}
		var backlog local.Signal
		for _, s := range all {
			if s.Name == "context.batch.backlog" {
				backlog = s
			}
		}
		if backlog.Dimension != "count" || backlog.Every != 20*time.Second || backlog.Known || backlog.Source == "" {
			t.Errorf("listed as %+v", backlog)
		}
	})
}
