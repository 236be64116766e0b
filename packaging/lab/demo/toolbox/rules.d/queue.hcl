# More jobs come than one worker does.

service "queue" {
  unit    = "salve-demo-worker@*.service"
  startup = "1s"

  scrape "app" {
    url   = "http://@SHOP@/metrics"
    every = "500ms"
    metric "waiting" { value = "jobs_waiting" }
  }

  remedy "scale" "more-workers" {
    unit = "salve-demo-worker@.service"
    by   = 2
    max  = 4
    verify {
      when   = metric.waiting < 10
      within = "30s"
      hold   = "1s"
    }
  }
}

rule "queue-grows" {
  services  = ["queue"]
  when      = metric.waiting > 30
  clear     = metric.waiting < 10
  for       = "1s"
  clear_for = "1s"
  try       = ["more-workers"]
}
