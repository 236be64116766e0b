# It runs and does not answer: a restart, if there is memory to start with, proved by the probe.
service "shop" {
  probe "health" { http = "http://127.0.0.1:8080/healthz" }

  remedy "restart" "restart-shop" {
    precondition = host.memory.available_ratio > 5 * percent
    verify {
      when   = probe.health.ok
      within = "60s"
    }
  }
}

rule "shop-hangs" {
  services = ["shop"]
  when     = !probe.health.ok
  try      = ["restart-shop"]
}

test "a hang is healed by a restart" {
  series = {
    "probe.health.ok{shop}"       = "true x30 false"
    "host.memory.available_ratio" = "40%"
  }
  after "restart-shop" {
    series = { "probe.health.ok{shop}" = "false x5 true" }
  }
  at "90s" { attempts = ["restart-shop verified"] }
}
