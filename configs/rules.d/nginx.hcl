# nginx, by prometheus-nginx-exporter, which reads its stub_status. What users see of it is the probe of service.hcl.

service "nginx" {
  startup = "15s"

  scrape "exporter" {
    url   = "http://127.0.0.1:9113/metrics"
    every = "5s"

    metric "accepted" {
      rate   = "nginx_connections_accepted"
      window = "30s"
    }
    metric "handled" {
      rate   = "nginx_connections_handled"
      window = "30s"
    }
    metric "requests" {
      rate   = "nginx_http_requests_total"
      window = "30s"
    }
    metric "writing" { value = "nginx_connections_writing" }
  }

  remedy "start" "start-nginx" {}
}

# Starting what is dead takes nothing away. A configuration with a mistake fails again, which goes to people.
rule "nginx-failed" {
  services = ["nginx"]
  severity = "critical"
  when     = unit.failed
  try      = ["start-nginx"]
}

# Connections are accepted and dropped at once, for lack of worker_connections, and the log tells of few. The two counters
# are not read in the same moment, so a small difference that goes is none.
rule "nginx-drops-connections" {
  services = ["nginx"]
  severity = "critical"
  when     = metric.accepted - metric.handled > 1 / s
  clear    = metric.accepted - metric.handled < 0.1 / s
  for      = "30s"
}

# Requests pile up: by Little's law as many are there as come in the time that one takes. Many alone are much traffic, and a long time alone is somebody's large download.
rule "nginx-piles-up" {
  services = ["nginx"]
  when     = metric.writing > 50 && metric.writing > 5 * s * metric.requests
  clear    = metric.writing < 50 || metric.writing < 2 * s * metric.requests
  for      = "1m"
}

# Nobody comes any more, at once: a balancer, a name or a network failed before it. At night traffic goes slowly, and
# then the mean of five minutes has gone as well.
rule "nginx-nobody-comes" {
  services = ["nginx"]
  when     = metric.requests < 0.1 / s && avg(metric.requests, "5m") > 5 / s
  clear    = metric.requests > 1 / s
  for      = "2m"
}

test "a crash of nginx is answered by a start" {
  series = { "unit.state{nginx.service}" = "active x30 failed" }
  at "1m" {
    attempts  = ["start-nginx verified"]
    incidents = { nginx = "resolved" }
  }
}

test "a mistake in its configuration goes to people" {
  series = { "unit.state{nginx.service}" = "active x30 failed" }
  after "start-nginx" {
    series = { "unit.state{nginx.service}" = "failed" }
  }
  at "15m" { incidents = { nginx = "escalated" } }
}

test "connections are dropped" {
  series = {
    "metric.accepted{nginx}" = "100x60 140x120 100"
    "metric.handled{nginx}"  = "100"
  }
  at "80s" { firing = [] }
  at "2m" { firing = ["nginx-drops-connections"] }
  at "5m" { incidents = { nginx = "resolved" } }
}

test "two counters that are not read at once" {
  series = {
    "metric.accepted{nginx}" = "100.2x60 102x20 100.2"
    "metric.handled{nginx}"  = "100"
  }
  at "10m" { incidents = { nginx = "none" } }
}

test "requests that pile up" {
  series = {
    "metric.writing{nginx}"  = "5x60 400x180 5"
    "metric.requests{nginx}" = "100x60 20x180 100"
  }
  at "110s" { firing = [] }
  at "3m" { firing = ["nginx-piles-up"] }
  at "6m" { incidents = { nginx = "resolved" } }
}

test "much traffic, well answered" {
  series = {
    "metric.writing{nginx}"  = "400"
    "metric.requests{nginx}" = "4000"
  }
  at "10m" { incidents = { nginx = "none" } }
}

test "one large download on a quiet site" {
  series = {
    "metric.writing{nginx}"  = "3"
    "metric.requests{nginx}" = "0.1"
  }
  at "10m" { incidents = { nginx = "none" } }
}

test "a balancer that sends nobody any more" {
  every  = "5s"
  series = { "metric.requests{nginx}" = "50x400 0x60 50" }
  at "34m" { firing = [] }
  at "36m" { firing = ["nginx-nobody-comes"] }
  at "45m" { incidents = { nginx = "resolved" } }
}

test "a night without visitors comes slowly" {
  every  = "1m"
  series = { "metric.requests{nginx}" = "50x30 50-1x50 0" }
  at "4h" { incidents = { nginx = "none" } }
}

test "a service that is always idle" {
  series = { "metric.requests{nginx}" = "0" }
  at "40m" { incidents = { nginx = "none" } }
}
