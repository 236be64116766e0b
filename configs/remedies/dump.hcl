# A service hangs: what its threads wait for and what its goroutines do is kept before the restart that destroys it. A dump
# heals nothing, so the restart follows at once and has its own attempts; the evidence of the dumps, which `salve agent explain`
# shows, says where the files are.
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

# A program that is no Go has no such page. The functions in which its threads are take milliseconds; its memory takes the
# controller's leave, if there is one, because nobody is served while it is read.
service "mill" {
  probe "health" { http = "http://127.0.0.1:8081/healthz" }

  remedy "dump" "keep-stacks" {
    how      = "stacks"
    attempts = 1
  }

  remedy "dump" "keep-memory" {
    how      = "core"
    max_mib  = 512
    within   = "20s"
    attempts = 1
  }

  remedy "restart" "start-anew" {}
}

rule "mill-hangs" {
  services = ["mill"]
  when     = !probe.health.ok
  try      = ["keep-stacks", "keep-memory", "start-anew"]
}

test "stacks and memory are kept, and then it is restarted at once" {
  series = { "probe.health.ok{mill}" = "true x30 false" }
  after "start-anew" {
    series = { "probe.health.ok{mill}" = "true" }
  }
  at "80s" { attempts = ["keep-stacks ineffective", "keep-memory ineffective", "start-anew verified"] }
}

# A JVM prints the stacks of its threads when it is sent SIGQUIT, and goes on: they are in the journal of the unit, from where
# `journalctl -u orders` shows them. A signal may end what does not expect it, as it ends a Go program; so this is no dump, but a
# kill, with its right, its permit and its verdict, for which ten seconds are enough.
service "orders" {
  probe "health" { http = "http://127.0.0.1:8082/healthz" }

  remedy "kill" "print-stacks" {
    signal   = "SIGQUIT"
    attempts = 1
    verify {
      within = "10s"
      hold   = "1s"
    }
  }

  remedy "restart" "start-jvm" {}
}

rule "orders-hangs" {
  services = ["orders"]
  when     = !probe.health.ok
  try      = ["print-stacks", "start-jvm"]
}

test "a JVM prints its stacks before it is restarted" {
  series = { "probe.health.ok{orders}" = "true x30 false" }
  after "start-jvm" {
    series = { "probe.health.ok{orders}" = "true" }
  }
  at "80s" { attempts = ["print-stacks ineffective", "start-jvm verified"] }
}
