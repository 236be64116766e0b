package heal

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/salveops/salve/agent/internal/local"
	"github.com/salveops/salve/agent/internal/observe"
	"github.com/salveops/salve/pkg/promql"
)

const asked = `
notifier "journald" "log" {}
escalation "default" {
  step { notify = ["journald.log"] }
}
---
query "orders" {
  url           = "https://prometheus.example"
  expr          = "sum by (instance) (rate(orders_total[2m]))"
  unit          = "per_second"
  every         = "20s"
  host_label    = "instance"
  user          = "salve"
  password_file = "/etc/salve/prometheus"
}
rule "quiet" {
  when = query.orders < 1
}
`

// What the file says of a query reaches the observer, and what its answer means reaches who lists signals.
func TestQueriesAreTargets(t *testing.T) {
	heals(t, asked, func(h *rig) {
		h.Tells("query.orders", .5)
		h.Advance(30 * time.Second)
		want := []observe.QueryTarget{{Name: "orders", Every: 20 * time.Second, Host: "h", Window: 2 * time.Minute,
			Server: promql.Query{URL: "https://prometheus.example", Expr: "sum by (instance) (rate(orders_total[2m]))",
				Timeout: 5 * time.Second, Label: "instance", User: "salve", SecretFile: "/etc/salve/prometheus"}}}
		if diff := cmp.Diff(want, h.p.targets.Load().Queries); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
		all, err := h.p.Signals(h.ctx())
		if err != nil {
			t.Fatal(err)
		}
		var orders local.Signal
		for _, s := range all {
			if s.Name == "query.orders" {
				orders = s
			}
		}
		if orders.Dimension != "per second" || orders.Every != 20*time.Second || !orders.Known || orders.Value != .5 {
			t.Errorf("listed as %+v", orders)
		}
	})
}
