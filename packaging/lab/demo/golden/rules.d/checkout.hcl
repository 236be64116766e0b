# What users feel: how many of their requests fail, and how long they wait. The service tells both on its own page of
# metrics.

service "checkout" {
  unit    = "@UNIT@"
  startup = "45s" # nobody judges it while it starts
  tier    = "critical"

  probe "health" {
    http    = "http://@CHECKOUT@/healthz"
    every   = "1s"
    timeout = "500ms"
  }

  scrape "app" {
    url = "http://@CHECKOUT@/metrics"
    metric "error_rate" {
      ratio      = ["http_requests_total{code=~'5..'}", "http_requests_total"]
      window     = "10s"
      min_events = 20 # one failure in one request is not 100 %
    }
    metric "traffic" { rate = "http_requests_total" }
    metric "p99_latency" {
      quantile = 0.99
      of       = "http_request_duration_seconds"
    }
  }

  pool "db" {
    pgbouncer = "@PGBOUNCER@"
    database  = "@DATABASE@"
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
  try      = ["drain-db-pool", "restart-app"] # in this order
  escalate {
    to    = "on-call"
    after = "5m"
  }
}

rule "down" {
  services = ["checkout"]
  when     = unit.failed
  try      = ["restart-app"]
}
