# A process is there and does nothing. Only asking it from outside tells: three probes in a row that
# time out, the second and third in quick succession.

service "search" {
  unit    = "salve-demo-search.service"
  startup = "1s"

  probe "health" {
    http    = "http://@SEARCH@/healthz"
    every   = "200ms"
    timeout = "200ms"
    misses  = 3
  }

  remedy "restart" "restart-search" {
    verify {
      when   = probe.health.ok
      within = "10s"
      hold   = "1s"
    }
  }
}

rule "search-hangs" {
  services  = ["search"]
  severity  = "critical"
  when      = !probe.health.ok
  for       = "0s"
  clear_for = "1s"
  try       = ["restart-search"]
}
