# The queue grows: two more workers, up to eight. What a person stopped stays stopped.
service "worker" {
  unit = "worker@*.service"

  scrape "queue" {
    url = "http://127.0.0.1:9419/metrics"
    metric "waiting" { value = "queue_jobs_waiting" }
  }

  remedy "scale" "more-workers" {
    unit = "worker@.service"
    by   = 2
    max  = 8
  }
}

rule "queue-grows" {
  services = ["worker"]
  when     = metric.waiting > 1000
  clear    = metric.waiting < 100
  try      = ["more-workers"]
}

test "two more workers empty the queue" {
  series = { "metric.waiting{worker}" = "20x60 4000" }
  after "more-workers" {
    series = { "metric.waiting{worker}" = "20" }
  }
  at "5m" { attempts = ["more-workers verified"] }
}

test "a queue that grows all the same goes to people" {
  series = { "metric.waiting{worker}" = "20x60 4000" }
  at "30m" { incidents = { worker = "escalated" } }
}
