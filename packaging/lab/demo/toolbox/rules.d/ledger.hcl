# Beside the ledger, on the same disk, are logs. When it cannot be written to because the disk is full, the oldest of the
# rotated logs go; the ledger itself is in no allow block.

service "ledger" {
  unit    = "salve-demo-ledger.service"
  startup = "1s"

  scrape "app" {
    url   = "http://@SHOP@/metrics"
    every = "500ms"
    metric "refused" {
      ratio      = ["writes_total{to='ledger',result='refused'}", "writes_total{to='ledger'}"]
      window     = "2s"
      min_events = 5
    }
  }

  remedy "free_space" "oldest-logs" {
    path    = "@DISK@/logs"
    free    = 20 * percent
    files   = ["*.log.*"]
    min_age = "1h"
    verify {
      when   = metric.refused < 1 * percent
      within = "30s"
      hold   = "1s"
    }
  }
}

rule "no-room-to-write" {
  services  = ["ledger"]
  severity  = "critical"
  when      = metric.refused > 20 * percent && host.disk["@DISK@"].used_ratio > 95 * percent
  clear     = metric.refused < 1 * percent
  for       = "0s"
  clear_for = "1s"
  try       = ["oldest-logs"]
}
