# A payment provider hangs, and whoever waits for its answer hangs, too. Connections to it are rejected at once for five
# minutes at most, so that the shop sells on account instead. The agent's own probe goes through all the time, and when it has
# had good answers for half a minute, so does everything else.
service "shop" {
  circuit "payments" {
    addresses = ["203.0.113.5", "203.0.113.6"]
    ports     = [443]
  }

  probe "health" { http = "http://127.0.0.1:8080/healthz" }
  probe "payments" { tcp = "203.0.113.5:443" }

  remedy "isolate" "cut-payments" {
    circuit = "payments"
    for     = "5m"
    until   = held(probe.payments.ok, "30s")
  }
}

rule "payments-drag-the-shop-down" {
  services = ["shop"]
  when     = !probe.health.ok && !probe.payments.ok
  clear    = probe.health.ok
  try      = ["cut-payments"]
}

test "the shop lives without payments" {
  series = {
    "probe.health.ok{shop}"   = "true x60 false"
    "probe.payments.ok{shop}" = "true x60 false"
  }
  after "cut-payments" {
    series = { "probe.health.ok{shop}" = "true" }
  }
  at "5m" { attempts = ["cut-payments verified"] }
}

test "a shop that is ill by itself keeps its payments" {
  series = {
    "probe.health.ok{shop}"   = "true x60 false"
    "probe.payments.ok{shop}" = "true"
  }
  at "5m" { attempts = [] }
}
