# Somebody broke the configuration file, and then the process died: no start will ever succeed. One try,
# and then a person gets the whole story.

service "shipping" {
  unit    = "salve-demo-shipping.service"
  startup = "1s"

  probe "health" {
    http    = "http://@SHIPPING@/healthz"
    every   = "200ms"
    timeout = "200ms"
  }

  remedy "start" "start-shipping" {
    attempts = 1
    verify {
      when   = unit.active && probe.health.ok
      within = "3s"
      hold   = "1s"
    }
  }
}

rule "shipping-down" {
  services  = ["shipping"]
  severity  = "critical"
  when      = unit.failed
  clear_for = "1s"
  try       = ["start-shipping"]

  escalate {
    to    = "default"
    after = "1m"
  }
}
