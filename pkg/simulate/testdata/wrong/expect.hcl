# Each expectation of these tests is wrong, each in another way.

service "web" {
  probe "health" { tcp = "127.0.0.1:80" }
  remedy "restart" "restart" {}
}

rule "ill" {
  services = ["web"]
  when     = !probe.health.ok
  try      = ["restart"]
}

rule "busy" {
  when = host.cpu.busy > 90 * percent
}

test "wrong" {
  series = { "probe.health.ok{web}" = "true x10 false" }
  at "15s" {
    firing  = ["ill"]
    pending = []
    blind   = ["ill"]
  }
  at "30s" {
    firing    = ["ill", "ill", "busy"]
    attempts  = ["restart verified"]
    would     = ["restart"]
    incidents = { web = "none", host = "open" }
    said      = ["restart", "nobody says so"]
  }
}
