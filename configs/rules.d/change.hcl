# What begins right after a change is mostly its doing. A restart rarely mends it, and can make it worse: here people decide.

service "storefront" {
  startup = "20s"

  # The link that a deployment turns. Packages, unit files, and programs replaced under the running unit are noticed anyway;
  # what else changes is recorded: salve agent change record --service storefront "price list of May".
  release = "/srv/storefront/current"

  probe "health" {
    http = "http://127.0.0.1:8081/healthz"
  }

  # With storefront.service and the action restart in an allow block. The precondition keeps the hands of every rule off it
  # while a release is young.
  #
  # remedy "restart" "restart-storefront" {
  #   precondition = !recent_change("15m", "release") && !recent_change("15m", "deployment")
  # }
}

# Another service of the host: its releases explain nothing about the first.
service "warehouse" {}

# It failed, whatever changed.
rule "warehouse-failed" {
  services = ["warehouse"]
  when     = unit.failed
}

# Sick, and something changed in the quarter of an hour before: the service, or its host. People are told at once, with
# what it was in the incident's evidence.
rule "storefront-sick-after-a-change" {
  services = ["storefront"]
  severity = "critical"
  when     = !probe.health.ok && recent_change("15m")
  clear    = probe.health.ok
  for      = "0s"
}

# Sick by itself.
rule "storefront-sick" {
  services = ["storefront"]
  when     = !probe.health.ok && !recent_change("15m")
  clear    = probe.health.ok
  # try    = ["restart-storefront"]
}

# What is unusual on a host is expected for a while after its packages were upgraded: caches are cold.
rule "host-busy-without-a-reason" {
  when  = avg(host.io["*"].busy, "5m") > 95 * percent && !recent_change("30m", "package")
  clear = avg(host.io["*"].busy, "5m") < 70 * percent
}

test "sick after a release: people decide" {
  series = { "probe.health.ok{storefront}" = "true x60 false" }
  change "50s" {
    kind    = "release"
    service = "storefront"
  }
  at "59s" { firing = [] }
  at "61s" { firing = ["storefront-sick-after-a-change"] }
  at "5m" {
    firing    = ["storefront-sick-after-a-change"]
    incidents = { storefront = "escalated" }
  }
}

test "a warehouse that failed is told" {
  series = { "unit.state{warehouse.service}" = "active x30 failed" }
  at "1m" { firing = ["warehouse-failed"] }
}

test "sick after another service's release" {
  series = { "probe.health.ok{storefront}" = "true x60 false" }
  change "50s" {
    kind    = "release"
    service = "warehouse"
  }
  at "75s" { firing = ["storefront-sick"] }
}

test "a change without harm, and harm long after" {
  series = { "probe.health.ok{storefront}" = "true x1000 false" }
  change "10s" { service = "storefront" }
  at "16m" { incidents = { storefront = "none" } }
  at "17m" { firing = ["storefront-sick"] }
}

test "disks at work are no trouble" {
  series = { "host.io[sda].busy" = "80%" }
  at "30m" { incidents = { host = "none" } }
}

test "busy disks, and the upgrade that explains them" {
  series = { "host.io[sda].busy" = "100%" }
  change "1m" { kind = "package" }
  at "30m" { firing = [] }
  at "32m" { firing = ["host-busy-without-a-reason"] }
}
