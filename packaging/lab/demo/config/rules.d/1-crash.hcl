# A process dies. systemd says so at once, so there is nothing to poll and nothing to wait for.

service "checkout" {
  unit    = "salve-demo-checkout.service"
  startup = "1s"

  probe "health" {
    http    = "http://@CHECKOUT@/healthz"
    every   = "200ms"
    timeout = "200ms"
  }

  remedy "restart" "start-again" {
    verify {
      when   = unit.active && probe.health.ok
      within = "10s"
      hold   = "1s"
    }
  }
}

rule "checkout-down" {
  services  = ["checkout"]
  severity  = "critical"
  when      = unit.failed
  clear_for = "1s"
  try       = ["start-again"]
}
