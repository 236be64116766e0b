# Memory grows. The service still answers; it is restarted before the kernel has to kill something.

service "basket" {
  unit    = "salve-demo-basket.service"
  startup = "1s"
  every   = "200ms"

  probe "health" {
    http    = "http://@BASKET@/healthz"
    every   = "200ms"
    timeout = "200ms"
  }

  remedy "restart" "restart-basket" {
    verify {
      when   = unit.memory_bytes < 48 * MiB && probe.health.ok
      within = "10s"
      hold   = "1s"
    }
  }
}

rule "basket-leaks" {
  services  = ["basket"]
  when      = unit.memory_bytes > 64 * MiB
  clear     = unit.memory_bytes < 48 * MiB
  for       = "0s"
  clear_for = "1s"
  try       = ["restart-basket"]
}
