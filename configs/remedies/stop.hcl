# A job that eats what the shop needs is stopped; if that does not help it is started again.
service "report" {}

service "shop" {
  probe "health" { http = "http://127.0.0.1:8080/healthz" }

  remedy "stop" "stop-report" {
    unit    = "report.service"
    affects = ["report"]
  }
}

rule "shop-starves" {
  services = ["shop"]
  when     = probe.health.latency > 2 * s && host.psi.memory.full > 20 * percent
  clear    = probe.health.latency < 500 * ms
  try      = ["stop-report"]
}

test "the shop answers once the job is gone" {
  series = {
    "probe.health.latency{shop}" = "50ms x60 4s"
    "host.psi.memory.full"       = "0%x60 40%"
    "unit.state{report.service}" = "active"
  }
  after "stop-report" {
    series = { "probe.health.latency{shop}" = "50ms" }
  }
  at "3m" { attempts = ["stop-report verified"] }
}
