# A driver hangs now and then: what waits for the disk cannot be killed, and no restart ends that. Only with a controller, which
# permits one host at a time and never the last one that serves; the agent needs allow { host = true  actions = ["reboot"] }.
service "shop" {
  probe "health" { http = "http://127.0.0.1:8080/healthz" }
}

remedy "reboot" "reboot-it" {
  min_uptime = "6h"
  verify {
    within = "5m"
  }
}

rule "disk-hangs" {
  when  = host.psi.io.full > 90 * percent
  clear = host.psi.io.full < 20 * percent
  for   = "10m"
  try   = ["reboot-it"]
}

test "the disk answers again after a reboot" {
  series = { "host.psi.io.full" = "1%x60 99%" }
  after "reboot-it" {
    series = { "host.psi.io.full" = "1%" }
  }
  at "20m" { attempts = ["reboot-it verified"] }
}

test "a burst is no reason" {
  series = { "host.psi.io.full" = "1%x60 99%x300 1%" }
  at "20m" { attempts = [] }
}
