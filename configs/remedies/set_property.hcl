# The backup takes the processor from the shop: it gets a fifth of one for ten minutes, whoever lives then.
service "backup" {}

service "shop" {
  probe "health" { http = "http://127.0.0.1:8080/healthz" }

  remedy "set_property" "slow-the-backup" {
    unit       = "backup.service"
    properties = { CPUQuota = "20%" }
    for        = "10m"
    affects    = ["backup"]
  }
}

rule "shop-starves" {
  services = ["shop"]
  when     = probe.health.latency > 1 * s && host.psi.cpu.some > 30 * percent
  clear    = probe.health.latency < 300 * ms
  try      = ["slow-the-backup"]
}

test "the shop answers once the backup is slow" {
  series = {
    "probe.health.latency{shop}" = "50ms x60 2s"
    "host.psi.cpu.some"          = "0%x60 50%"
    "unit.state{backup.service}" = "active"
  }
  after "slow-the-backup" {
    series = { "probe.health.latency{shop}" = "50ms" }
  }
  at "3m" { attempts = ["slow-the-backup verified"] }
}
