# What users get stands in Prometheus, and not on any one host: this host heals what it can, and the query tells whether
# that helped. It looks back a minute and no further, so that what it says after a restart is about the time after it.

query "kiosk_errors" {
  url        = "http://127.0.0.1:9090"
  expr       = "sum by (instance) (rate(failures_total[1m])) / sum by (instance) (rate(requests_total[1m]))"
  unit       = "ratio"
  host_label = "instance"
}

service "kiosk" {
  remedy "restart" "restart-kiosk" {}
}

# What all its customers see, from wherever they come; a probe of this host would see itself only.
rule "kiosk-errors" {
  services = ["kiosk"]
  when     = query.kiosk_errors > 5 * percent
  clear    = query.kiosk_errors < 1 * percent
  for      = "30s"
  try      = ["restart-kiosk"]
}

test "the restart helps, which is seen once the minute before it is over" {
  series = {
    "unit.state{kiosk.service}" = "active"
    "query.kiosk_errors"        = "0x60 20%"
  }
  after "restart-kiosk" {
    series = { "query.kiosk_errors" = "20%x30 0" }
  }
  at "1m20s" { firing = [] }
  at "2m20s" { attempts = ["restart-kiosk verifying"] }
  at "5m" {
    attempts = ["restart-kiosk verified"]
    firing   = []
  }
}

test "the restart does not help" {
  series = {
    "unit.state{kiosk.service}" = "active"
    "query.kiosk_errors"        = "0x60 20%"
  }
  at "10m" { incidents = { kiosk = "escalated" } }
}

test "no requests, no answer, no alert" {
  series = {
    "unit.state{kiosk.service}" = "active"
    "query.kiosk_errors"        = "unknown"
  }
  at "4m" { firing = [] }
}
