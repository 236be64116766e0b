# What users get stands in Prometheus, and not on any one host: this host heals what it can, and the query tells whether
# that helped. It looks back a minute and no further, so that what it says after a restart is about the time after it.

query "storefront_errors" {
  url        = "http://127.0.0.1:9090"
  expr       = "sum by (instance) (rate(failures_total[1m])) / sum by (instance) (rate(requests_total[1m]))"
  unit       = "ratio"
  host_label = "instance"
}

service "storefront" {
  remedy "restart" "restart-storefront" {}
}

rule "storefront-errors" {
  services = ["storefront"]
  when     = query.storefront_errors > 5 * percent
  clear    = query.storefront_errors < 1 * percent
  for      = "30s"
  try      = ["restart-storefront"]
}

test "the restart helps, which is seen once the minute before it is over" {
  series = {
    "unit.state{storefront.service}" = "active"
    "query.storefront_errors"        = "0x60 20%"
  }
  after "restart-storefront" {
    series = { "query.storefront_errors" = "20%x30 0" }
  }
  at "1m20s" { firing = [] }
  at "2m20s" { attempts = ["restart-storefront verifying"] }
  at "5m" {
    attempts = ["restart-storefront verified"]
    firing   = []
  }
}

test "the restart does not help" {
  series = {
    "unit.state{storefront.service}" = "active"
    "query.storefront_errors"        = "0x60 20%"
  }
  at "10m" { incidents = { storefront = "escalated" } }
}

test "no requests, no answer, no alert" {
  series = {
    "unit.state{storefront.service}" = "active"
    "query.storefront_errors"        = "unknown"
  }
  at "4m" { firing = [] }
}
