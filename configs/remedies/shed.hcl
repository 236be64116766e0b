# The shop runs short of memory: of the reports and backups, the one that holds most is stopped for ten minutes.
service "shop" {}

remedy "shed" "best-effort-first" {
  victims = ["report.service", "backup*.service"]
  by      = "memory"
  how     = "stop"
  for     = "10m"
}

rule "memory-is-short" {
  when  = host.memory.available_ratio < 5 * percent
  clear = host.memory.available_ratio > 10 * percent
  try   = ["best-effort-first"]
}

test "the shop has room again" {
  series = { "host.memory.available_ratio" = "40%x60 3%" }
  after "best-effort-first" {
    series = { "host.memory.available_ratio" = "25%" }
  }
  at "5m" { attempts = ["best-effort-first verified"] }
}

test "memory that others hold goes to people" {
  series = { "host.memory.available_ratio" = "40%x60 3%" }
  at "30m" { incidents = { host = "escalated" } }
}
