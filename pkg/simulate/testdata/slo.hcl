# Objectives are counted from what a test gives, in any order of the blocks.

service "shop" {
  probe "health" { http = "http://127.0.0.1:8080/" }

  slo "up" {
    objective = 95 * percent
    window    = "24h"
    probe     = "health"
  }
}

rule "spent" {
  services = ["shop"]
  when     = slo.up.budget < 25 * percent
}

test "an hour of the 72 minutes that may be bad" {
  series = { "probe.health.ok{shop}" = "true x82800 false x3600 true" }
  at "23h50m" { firing = [] }
  at "24h10m" { firing = ["spent"] }
}

test "half of the window is not known" {
  series = { "probe.health.ok{shop}" = "false x42000 unknown" }
  at "16h" { firing = [] }
}
