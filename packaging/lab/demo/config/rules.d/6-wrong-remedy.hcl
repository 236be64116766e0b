# A cache on disk is corrupt. A restart reads the same file again and helps nobody; serving old answers
# does not help either and is taken back; removing the file does.

service "catalog" {
  unit    = "salve-demo-catalog.service"
  startup = "1s"

  probe "work" {
    http    = "http://@CATALOG@/work"
    every   = "200ms"
    timeout = "200ms"
  }

  remedy "restart" "restart-catalog" {
    cooldown = "0s"
    verify {
      when   = probe.work.ok
      within = "3s"
      hold   = "1s"
    }
  }
  remedy "exec" "serve-stale" {
    command  = ["@DIR@/hooks/serve-stale", "on", "@DIR@/catalog.stale"]
    undo     = ["@DIR@/hooks/serve-stale", "off", "@DIR@/catalog.stale"]
    cooldown = "0s"
    verify {
      when   = probe.work.ok
      within = "3s"
      hold   = "1s"
    }
  }
  remedy "exec" "drop-cache" {
    command  = ["@DIR@/hooks/drop-cache", "@DIR@/catalog.cache"]
    cooldown = "0s"
    verify {
      when   = probe.work.ok
      within = "10s"
      hold   = "1s"
    }
  }
}

rule "catalog-fails" {
  services  = ["catalog"]
  severity  = "critical"
  when      = !probe.work.ok
  for       = "0s"
  clear_for = "1s"
  try       = ["restart-catalog", "serve-stale", "drop-cache"]
}
