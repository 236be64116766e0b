# One service on two hosts. A restart takes away what the host still serves, so it asks the controller; the
# start of a process that is gone takes nothing away and needs no leave.

service "shop" {
  unit    = "@UNIT@"
  startup = "1s"
  every   = "200ms"

  probe "health" {
    http    = "http://@SHOP@/healthz"
    every   = "200ms"
    timeout = "200ms"
  }
  probe "work" {
    http    = "http://@SHOP@/work"
    every   = "200ms"
    timeout = "200ms"
  }

  remedy "restart" "restart-leaking-shop" {
    verify {
      when   = unit.memory_bytes < 48 * MiB && probe.work.ok
      within = "15s"
      hold   = "1s"
    }
  }
  remedy "restart" "restart-failing-shop" {
    verify {
      when   = probe.health.ok && probe.work.ok
      within = "15s"
      hold   = "1s"
    }
  }
  remedy "start" "start-shop" {
    cooldown = "0s"
    verify {
      when   = unit.active && probe.health.ok
      within = "3s"
      hold   = "1s"
    }
  }
}

rule "shop-leaks" {
  services  = ["shop"]
  when      = unit.memory_bytes > 64 * MiB
  clear     = unit.memory_bytes < 48 * MiB
  for       = "0s"
  clear_for = "1s"
  try       = ["restart-leaking-shop"]
}

# Half dead: it answers, and what it answers is wrong.
rule "shop-fails" {
  services  = ["shop"]
  severity  = "critical"
  when      = probe.health.ok && !probe.work.ok
  clear     = probe.work.ok
  for       = "500ms"
  clear_for = "1s"
  try       = ["restart-failing-shop"]
}

rule "shop-down" {
  services  = ["shop"]
  severity  = "critical"
  when      = unit.failed
  clear_for = "1s"
  try       = ["start-shop"]

  escalate {
    after = "3s"
  }
}
