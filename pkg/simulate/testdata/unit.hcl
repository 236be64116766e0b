# Units, and what systemd and the executor do with them. All of these pass.

service "app" {
  startup = "5s"

  probe "health" { tcp = "127.0.0.1:80" }

  remedy "stop" "stop" { cooldown = "0s" }
  remedy "start" "start" { cooldown = "0s" }
  remedy "restart" "restart" { cooldown = "0s" }
}

rule "app-harms" {
  services = ["app"]
  when     = unit.memory_bytes > 1 * GiB
  clear    = !unit.active
  for      = "0s"
  try      = ["stop"]
}

rule "app-is-down" {
  services = ["app"]
  when     = !unit.active
  for      = "20s"
  try      = ["start"]
}

rule "app-hangs" {
  services = ["app"]
  when     = !probe.health.ok
  for      = "0s"
  try      = ["restart"]
}

rule "app-is-new" {
  services  = ["app"]
  when      = unit.uptime < 15 * s
  for       = "0s"
  clear_for = "0s"
}

rule "app-slow" {
  services = ["app"]
  when     = unit.cpu > 90 * percent
  clear    = unit.cpu < 50 * percent
  for      = "0s"
  try      = ["start"]
}

rule "disk" {
  when = host.disk["*"].used_ratio > 95 * percent
  for  = "0s"
}

service "counted" {}

rule "counted-afresh" {
  services = ["counted"]
  when     = unit.restarts < 3
  clear    = unit.restarts >= 3
  for      = "0s"
}

test "restarts of which nothing is known are not none" {
  series = { "unit.restarts{counted.service}" = "5x10 unknown x10 1" }
  at "15s" { firing = [] }
  at "30s" { firing = ["counted-afresh"] }
}

test "what Salve stopped, Salve may start" {
  series = { "unit.memory_bytes{app.service}" = "100MiB x10 2GiB" }
  after "stop" { series = { "unit.memory_bytes{app.service}" = "unknown" } }
  after "start" { series = { "unit.memory_bytes{app.service}" = "100MiB" } }
  at "12s" { attempts = ["stop verifying"] }
  at "1m" { attempts = ["stop verified", "start verified"] }
}

test "what a person stopped, Salve may not" {
  series = { "unit.state{app.service}" = "active x10 inactive" }
  at "1m" {
    attempts = []
    said     = ["was stopped by a person"]
  }
}

test "a restart is a new life, also of a unit that was up" {
  series = { "probe.health.ok{app}" = "true x10 false" }
  after "restart" { series = { "probe.health.ok{app}" = "true" } }
  at "9s" { firing = [] }
  at "17s" { firing = ["app-hangs", "app-is-new"] }
  at "30s" { firing = [] }
}

test "a proof ends the alert at once, before its clear_for is over" {
  series = { "probe.health.ok{app}" = "true x10 false" }
  after "restart" { series = { "probe.health.ok{app}" = "true" } }
  at "11s" { attempts = ["restart verifying"] }
  at "18s" {
    attempts = ["restart verified"]
    firing   = ["app-is-new"]
  }
}

test "a refusal is forgotten when the unit changes" {
  series = {
    "unit.cpu{app.service}"   = "10%x5 95%"
    "unit.state{app.service}" = "active x20 failed"
  }
  at "10s" { attempts = [] }
  at "22s" {
    attempts = ["start verifying"]
    said     = ["app.service is active already"]
  }
}

test "a signal is sampled at its own period, as on a host" {
  series = { "host.disk[/].used_ratio" = "90% 99%x9 90% 99%x9 90%" }
  at "5s" { firing = [] }
  at "15s" { firing = [] }
}
