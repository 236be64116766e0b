service "@SERVICE@" {
  unit    = "@UNIT@"
  startup = "1s"

  probe "health" {
    http    = "http://@ADDR@/healthz"
    every   = "1s"
    timeout = "500ms"
  }
  probe "work" {
    http    = "http://@ADDR@/work"
    every   = "1s"
    timeout = "500ms"
  }

  # The names change with each shift: a remedy that helps for the fourth time in a day goes to a person instead.
  remedy "start" "start-@SHIFT@" {
    cooldown = "0s"
  }
  remedy "restart" "unhang-@SHIFT@" {
    cooldown = "0s"
  }
  remedy "restart" "unfail-@SHIFT@" {
    cooldown = "0s"
    verify {
      when   = probe.health.ok && probe.work.ok
      within = "15s"
      hold   = "2s"
    }
  }
}

rule "@SERVICE@-down" {
  services  = ["@SERVICE@"]
  severity  = "critical"
  when      = unit.failed
  clear     = unit.active && probe.health.ok
  clear_for = "2s"
  try       = ["start-@SHIFT@"]
}

rule "@SERVICE@-hangs" {
  services  = ["@SERVICE@"]
  when      = unit.active && !probe.health.ok
  for       = "0s"
  clear     = probe.health.ok
  clear_for = "2s"
  try       = ["unhang-@SHIFT@"]
}

rule "@SERVICE@-fails" {
  services  = ["@SERVICE@"]
  when      = probe.health.ok && !probe.work.ok
  for       = "1s"
  clear     = probe.work.ok
  clear_for = "2s"
  try       = ["unfail-@SHIFT@"]
}
