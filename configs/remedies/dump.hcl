# A service hangs: what its threads wait for and what its goroutines do is kept before the restart that destroys it. A dump
# heals nothing, so the restart follows at once and has its own attempts; the evidence of the dumps says where the files are.
service "shop" {
  probe "health" { http = "http://127.0.0.1:8080/healthz" }

  remedy "dump" "keep-threads" {
    how      = "threads"
    attempts = 1
  }

  remedy "dump" "keep-goroutines" {
    how      = "http"
    url      = "http://127.0.0.1:8080/debug/pprof/goroutine?debug=2"
    within   = "5s"
    attempts = 1
  }

  remedy "restart" "restart-it" {}
}

rule "shop-hangs" {
  services = ["shop"]
  when     = !probe.health.ok
  try      = ["keep-threads", "keep-goroutines", "restart-it"]
}

test "what it did is kept, and then it is restarted at once" {
  series = { "probe.health.ok{shop}" = "true x30 false" }
  after "restart-it" {
    series = { "probe.health.ok{shop}" = "true" }
  }
  at "80s" { attempts = ["keep-threads ineffective", "keep-goroutines ineffective", "restart-it verified"] }
}

test "one picture is enough, however often it is restarted" {
  series = { "probe.health.ok{shop}" = "true x30 false" }
  at "40m" {
    attempts = [
      "keep-threads ineffective", "keep-goroutines ineffective",
      "restart-it ineffective", "restart-it ineffective", "restart-it ineffective",
    ]
    incidents = { shop = "escalated" }
  }
}
