package heal

import (
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/salveops/salve/agent/internal/local"
	"github.com/salveops/salve/pkg/incident"
)

// golden is a service with the rule of golden signals from the design.
const golden = `
autonomy = "full"
allow {
  units   = ["checkout.service"]
  actions = ["start", "restart"]
}
allow {
  pools   = ["db"]
  actions = ["reset_pool"]
}
notifier "journald" "log" {}
escalation "default" {
  step { notify = ["journald.log"] }
}
escalation "on-call" {
  step { notify = ["journald.log"] }
}
---
service "checkout" {
  unit    = "checkout.service"
  startup = "45s"
  probe "health" {
    http    = "http://127.0.0.1:8080/healthz"
    every   = "1s"
    timeout = "500ms"
  }
  scrape "app" {
    url = "http://127.0.0.1:8080/metrics"
    metric "error_rate" {
      ratio      = ["http_requests_total{code=~'5..'}", "http_requests_total"]
      window     = "10s"
      min_events = 20
    }
    metric "traffic" { rate = "http_requests_total" }
    metric "p99_latency" {
      quantile = 0.99
      of       = "http_request_duration_seconds"
    }
  }
  pool "db" {
    pgbouncer = "/run/postgresql/.s.PGSQL.6432"
    database  = "checkout"
  }
  remedy "reset_pool" "drain-db-pool" {
    pool       = "db"
    confidence = 0.80
  }
  remedy "restart" "restart-app" {
    confidence   = 0.75
    precondition = host.memory.available_ratio > 10 * percent
    verify {
      when   = metric.error_rate < 1 * percent && probe.health.ok
      within = "60s"
      hold   = "5s"
    }
  }
}
threshold "slow" {
  default = 2000 * ms
  case {
    when  = between("09:00", "18:00", "Europe/Berlin") && weekday()
    value = 800 * ms
  }
}
rule "high-error-rate-with-latency" {
  services = ["checkout"]
  severity = "critical"
  when     = metric.error_rate > 5 * percent && metric.p99_latency > threshold.slow && change(metric.error_rate, "1m") > 10 * percent
  clear    = metric.error_rate < 1 * percent && probe.health.ok
  for      = "10s"
  try      = ["drain-db-pool", "restart-app"]
  escalate {
    to    = "on-call"
    after = "5m"
  }
}
`

// fine and failing are what the service's metrics tell.
func (r *rig) fine() {
	r.Tells("metric.error_rate{checkout}", 0)
	r.Tells("metric.p99_latency{checkout}", 0.1)
}

func (r *rig) failing() {
	r.Tells("metric.error_rate{checkout}", 0.3)
	r.Tells("metric.p99_latency{checkout}", 3)
}

func (r *rig) goldenHost() {
	r.fine()
	r.Tells("probe.health.ok{checkout}", 1)
	r.Tells("host.memory.available_ratio", 0.5)
	r.Advance(2 * time.Minute)
}

func TestGoldenSignalsAreHealed(t *testing.T) {
	heals(t, golden, func(h *rig) {
		h.goldenHost()
		h.failing()
		h.Advance(10 * time.Second)
		h.WantActs()
		h.Advance(2 * time.Second)
		h.WantActs("reset_pool db")
		h.Until("restarted, because that was not enough", 2*time.Minute, func() bool { return h.count() > 1 })
		h.WantActs("restart checkout.service")
		h.fine()
		// For ten seconds the figures speak about the time before the restart, too. Then come three samples, and five
		// seconds in which it must hold.
		h.Advance(16 * time.Second)
		h.WantOutcomes("checkout", "drain-db-pool ineffective", "restart-app acted")
		h.Advance(6 * time.Second)
		h.WantOutcomes("checkout", "drain-db-pool ineffective", "restart-app verified")
		h.WantState("checkout", incident.Resolved)
		h.WantActs()
		h.WantPages()
	})
}

// A service that answers nobody after a restart has not recovered: too few events are no good ones.
func TestNoTrafficIsNoRecovery(t *testing.T) {
	heals(t, golden, func(h *rig) {
		h.goldenHost()
		h.failing()
		h.Until("the pool was reset", time.Minute, func() bool { return h.count() > 0 })
		h.WantActs("reset_pool db")
		h.Silent("metric.error_rate{checkout}")
		h.Silent("metric.p99_latency{checkout}")
		h.Advance(5 * time.Minute)
		h.WantOutcomes("checkout", "drain-db-pool inconclusive")
		h.WantState("checkout", incident.Escalated)
	})
}

// Nobody uses the service at night: no alert, and nobody is told that something cannot be known.
func TestIdleServiceIsNoIncident(t *testing.T) {
	heals(t, golden, func(h *rig) {
		h.goldenHost()
		h.Tells("metric.error_rate{checkout}", math.NaN())
		h.Tells("metric.p99_latency{checkout}", math.NaN())
		h.Advance(10 * time.Minute)
		h.WantState("checkout", "")
		all, err := h.p.Signals(h.ctx())
		if !slices.ContainsFunc(all, func(s local.Signal) bool { return s.Name == "metric.error_rate" && s.Text == "idle" }) {
			t.Errorf("the error rate is not shown as idle: %+v, %v", all, err)
		}
		h.Silent("metric.error_rate{checkout}")
		h.Advance(6 * time.Minute)
		h.WantState("checkout", incident.Escalated)
		h.Tells("metric.error_rate{checkout}", math.NaN())
		h.Advance(5 * time.Second)
		h.WantState("checkout", incident.Resolved)
	})
}

// What the file says of a database's certificate reaches the observer.
func TestSecureTargets(t *testing.T) {
	const secure = `secure = true
    ca_file   = "/etc/salve/ca.pem"
    `
	conf := strings.Replace(golden, `pgbouncer = "/run/postgresql/.s.PGSQL.6432"`, `pgbouncer = "db:6432"
    `+secure, 1)
	conf = strings.Replace(conf, `http    = "http://127.0.0.1:8080/healthz"`, `postgres = "db:5432"
    `+secure, 1)
	heals(t, conf, func(h *rig) {
		h.Advance(time.Second)
		targets := h.p.targets.Load()
		pool, probe := targets.Pools[0], targets.Probes[0]
		if !pool.Secure || pool.CAFile != "/etc/salve/ca.pem" || !probe.Secure || probe.CAFile != pool.CAFile {
			t.Errorf("pool %+v, probe %+v", pool, probe)
		}
	})
}

func TestMetricsAreListed(t *testing.T) {
	heals(t, golden, func(h *rig) {
		h.goldenHost()
		all, err := h.p.Signals(h.ctx())
		if err != nil {
			t.Fatal(err)
		}
		seen := map[string]string{}
		for _, s := range all {
			seen[s.Name] = s.Text + " " + s.Dimension + " " + s.Every.String() + " " + s.Help
		}
		for name, want := range map[string]string{
			"metric.error_rate": `0 % ratio 2s growth of http_requests_total{code=~"5.."} as a share of ` +
				"http_requests_total, over 10s",
			"metric.traffic": "unknown per second 2s growth of http_requests_total a second, over 10s",
		} {
			if seen[name] != want {
				t.Errorf("%s is listed as %q, want %q", name, seen[name], want)
			}
		}
	})
}
