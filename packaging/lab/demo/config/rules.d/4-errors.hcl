# The service is up and its health page is green, but half of what it does fails. It reports its own
# share of errors: /errors is no longer 200 when more than 5 % of the recent requests failed.

service "payment" {
  unit    = "salve-demo-payment.service"
  startup = "2s"

  probe "health" {
    http    = "http://@PAYMENT@/healthz"
    every   = "200ms"
    timeout = "200ms"
  }
  probe "errors" {
    http    = "http://@PAYMENT@/errors"
    every   = "200ms"
    timeout = "200ms"
  }

  remedy "restart" "restart-payment" {
    verify {
      when   = probe.errors.ok && probe.health.ok
      within = "15s"
      hold   = "1s"
    }
  }
}

rule "payment-fails" {
  services  = ["payment"]
  severity  = "critical"
  when      = probe.health.ok && !probe.errors.ok
  clear     = probe.errors.ok
  for       = "500ms"
  clear_for = "1s"
  try       = ["restart-payment"]
}
