# What the invented host does, in the language of tests. All of these pass.

service "db" {
  startup = "5s"
  remedy "restart" "restart-db" {}
}

rule "db-down" {
  services = ["db"]
  when     = unit.failed
  try      = ["restart-db"]
}

service "web" {
  startup    = "5s"
  depends_on = ["db"]

  probe "health" { tcp = "127.0.0.1:80" }

  remedy "set_property" "limit" {
    properties = { CPUQuota = "20%" }
    verify {
      when   = probe.health.ok
      within = "10s"
    }
  }
  remedy "start" "start" {}
  remedy "restart" "restart" {
    cooldown = "0s"
    verify {
      when   = probe.health.ok
      within = "20s"
    }
  }
}

rule "web-ill" {
  services = ["web"]
  when     = !probe.health.ok
  for      = "2s"
  try      = ["limit", "restart"]
}

rule "web-start" {
  services = ["web"]
  severity = "critical"
  when     = unit.cpu > 90 * percent
  clear    = unit.cpu < 50 * percent
  for      = "0s"
  try      = ["start"]
}

threshold "load" {
  default = 4
  case {
    when  = label.stage == "test"
    value = 100
  }
}

rule "load" {
  when  = host.load.per_cpu > threshold.load
  clear = host.load.per_cpu < 2
  for   = "0s"
}

rule "busy" {
  when      = host.cpu.busy > 50 * percent
  for       = "0s"
  clear_for = "0s"
}

window "night" {
  from     = "01:00"
  to       = "02:00"
  services = ["web"]
}

test "what an attempt changed is as before once it is taken back" {
  series = {
    "probe.health.ok{web}" = "true x10 false"
    "host.load.per_cpu"    = "1"
  }
  after "limit" { series = { "host.load.per_cpu" = "50" } }
  after "restart" { series = { "probe.health.ok{web}" = "true" } }
  at "20s" { firing = ["web-ill", "load"] }
  at "1m" {
    attempts = ["limit ineffective", "restart verified"]
    firing   = []
    said     = ["limit was taken back"]
  }
}

test "each run of a remedy has its own consequences, the last ones stay" {
  series = { "unit.state{db.service}" = "active x10 failed" }
  after "restart-db" { series = { "unit.state{db.service}" = "active x2 failed" } }
  after "restart-db" {
    takes  = "3s"
    series = { "unit.state{db.service}" = "active" }
  }
  at "12s" { attempts = ["restart-db ineffective"] }
  at "72s" { attempts = ["restart-db ineffective", "restart-db running"] }
  at "74s" { attempts = ["restart-db ineffective", "restart-db verifying"] }
  at "2m" {
    attempts  = ["restart-db ineffective", "restart-db verified"]
    incidents = { db = "resolved" }
  }
}

test "an action that fails is ineffective at once" {
  series = { "probe.health.ok{web}" = "true x10 false" }
  after "limit" { fails = "no such property" }
  at "13s" {
    attempts = ["limit ineffective", "restart verifying"]
    said     = ["the action itself failed: no such property"]
  }
}

test "a start of what runs does not begin" {
  series = { "unit.cpu{web.service}" = "10%x10 95%" }
  at "30s" {
    attempts  = []
    incidents = { web = "escalated" }
    said      = ["web.service is active already"]
  }
}

test "a dependent waits for what it depends on" {
  series = {
    "probe.health.ok{web}"   = "true x10 false x30 true"
    "unit.state{db.service}" = "active x10 failed"
  }
  after "restart-db" { takes = "20s" }
  at "25s" {
    firing   = ["db-down", "web-ill"]
    attempts = ["restart-db running"]
    said     = ["muted: web depends on db"]
  }
}

test "nothing is done in a window" {
  start  = "2026-03-02T01:30:00Z"
  series = { "probe.health.ok{web}" = "false" }
  at "1m" {
    firing   = ["web-ill"]
    attempts = []
    said     = ["window night is open"]
  }
}

test "observe decides and does nothing" {
  autonomy = "observe"
  series   = { "probe.health.ok{web}" = "true x5 false x60 true" }
  at "30s" {
    would    = ["limit"]
    attempts = []
  }
  at "2m" {
    would     = []
    incidents = { web = "resolved" }
  }
}

test "silence and a source that does not know are no recovery" {
  series = { "probe.health.ok{web}" = "true x5 false x5 _x600" }
  at "9m" { blind = ["web-ill"] }
}

test "labels choose thresholds" {
  labels = { stage = "test" }
  series = { "host.load.per_cpu" = "50" }
  at "10s" { firing = [] }
}

test "without the label the default holds" {
  series = { "host.load.per_cpu" = "50" }
  at "10s" { firing = ["load"] }
}

test "what comes and goes is flapping, and goes to people" {
  every  = "5s"
  series = { "host.cpu.busy" = "90% 10% 90% 10% 90% 10% 90% 10% 90% 10% 90% 10% 90% 10%" }
  at "5m" {
    incidents = { host = "escalated" }
    said      = ["flapping"]
  }
}
