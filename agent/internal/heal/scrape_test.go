package heal

import (
	"testing"
	"time"
)

const exemplary = `
notifier "journald" "log" {}
escalation "default" {
  step { notify = ["journald.log"] }
}
---
service "checkout" {
  scrape "app" {
    url       = "http://127.0.0.1:8080/metrics"
    exemplars = true
    native    = true
    metric "traffic" { rate = "http_requests_total" }
  }
}
`

// What the file says of a page reaches the observer, with the unit whose evidence its exemplars are.
func TestScrapesAreTargets(t *testing.T) {
	heals(t, exemplary, func(h *rig) {
		h.Advance(time.Second)
		all := h.p.targets.Load().Scrapes
		if len(all) != 1 || !all[0].Exemplars || !all[0].Native || all[0].Unit != "checkout.service" || all[0].Service != "checkout" ||
			all[0].Name != "app" || all[0].URL != "http://127.0.0.1:8080/metrics" || len(all[0].Metrics) != 1 {
			t.Errorf("%+v", all)
		}
	})
}
