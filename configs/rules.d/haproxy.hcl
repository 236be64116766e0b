# HAProxy, by its own page: `http-request use-service prometheus-exporter if { path /metrics }` in a frontend of its own.

service "haproxy" {
  startup = "20s" # servers are checked anew

  scrape "own" {
    url   = "http://127.0.0.1:8404/metrics"
    every = "2s"

    metric "backends_down" {
      value     = "haproxy_backend_status{state='DOWN'}"
      aggregate = "sum"
    }
    metric "servers_down" {
      value     = "haproxy_backend_agg_server_status{state='DOWN'}"
      aggregate = "sum"
    }
    metric "servers_up" {
      value     = "haproxy_backend_agg_server_status{state='UP'}"
      aggregate = "sum"
    }
    metric "answers_5xx" {
      rate   = "haproxy_frontend_http_responses_total{code='5xx'}"
      window = "20s"
    }
    metric "error_rate" {
      ratio      = ["haproxy_frontend_http_responses_total{code='5xx'}", "haproxy_frontend_http_responses_total"]
      window     = "20s"
      min_events = 20
    }
    metric "queued" {
      value     = "haproxy_backend_current_queue"
      aggregate = "sum"
    }
    metric "queue_time" { # of the last 1024 requests, so it stays when nobody asks any more
      value     = "haproxy_backend_queue_time_average_seconds"
      aggregate = "max"
      unit      = "seconds"
    }
  }

  remedy "start" "start-haproxy" {}
}

# Nothing that it stands before can be reached. Starting what is dead takes nothing away.
rule "haproxy-failed" {
  services = ["haproxy"]
  severity = "critical"
  when     = unit.failed
  try      = ["start-haproxy"]
}

# A backend has no server left, and users are told so. Without the errors it is one that nobody asks, such as a standby.
rule "haproxy-backend-down" {
  services = ["haproxy"]
  severity = "critical"
  when     = metric.backends_down > 0 && metric.answers_5xx > 0.2 / s
  clear    = metric.backends_down == 0
  for      = "10s"
}

# Users get errors although every backend has servers: it is what stands behind. A share means something only of many
# requests, which is what min_events is for, and a release makes errors for a moment.
rule "haproxy-errors" {
  services = ["haproxy"]
  when     = metric.error_rate > 5 * percent && metric.backends_down == 0
  clear    = metric.error_rate < 1 * percent
  for      = "1m"
}

# Half of the servers fail their checks, so the next failure takes it all. Servers in maintenance count as neither, which
# keeps a rolling release quiet.
rule "haproxy-half-down" {
  services = ["haproxy"]
  when     = metric.servers_down > 0 && metric.servers_down >= metric.servers_up
  clear    = metric.servers_down == 0
  for      = "1m"
}

# Requests wait for a server. A queue is there to take a burst, and the mean of the past outlives it: it is trouble when
# there is one now and waiting takes long.
rule "haproxy-queues" {
  services = ["haproxy"]
  when     = metric.queued > 0 && metric.queue_time > 500 * ms
  clear    = metric.queued == 0
  for      = "30s"
}

test "a backend without servers, and users who notice" {
  series = {
    "metric.backends_down{haproxy}" = "0x60 1x120 0"
    "metric.answers_5xx{haproxy}"   = "0x60 30x120 0"
  }
  at "65s" { firing = [] }
  at "80s" { firing = ["haproxy-backend-down"] }
  at "5m" { incidents = { haproxy = "resolved" } }
}

test "a standby that nobody asks may be down" {
  series = {
    "metric.backends_down{haproxy}" = "1"
    "metric.answers_5xx{haproxy}"   = "0"
  }
  at "10m" { incidents = { haproxy = "none" } }
}

test "a crash of HAProxy is answered by a start" {
  series = { "unit.state{haproxy.service}" = "active x30 failed" }
  at "1m" {
    attempts  = ["start-haproxy verified"]
    incidents = { haproxy = "resolved" }
  }
}

test "errors of the servers" {
  series = {
    "metric.error_rate{haproxy}"    = "0%x60 20%x180 0%"
    "metric.backends_down{haproxy}" = "0"
  }
  at "110s" { firing = [] }
  at "3m" { firing = ["haproxy-errors"] }
  at "6m" { incidents = { haproxy = "resolved" } }
}

test "a release makes errors for a moment" {
  series = {
    "metric.error_rate{haproxy}"    = "0%x60 30%x40 0%"
    "metric.backends_down{haproxy}" = "0"
  }
  at "10m" { incidents = { haproxy = "none" } }
}

test "too few requests to say anything, at night" {
  series = {
    "metric.error_rate{haproxy}"    = "0%x60 unknown x200 0%"
    "metric.backends_down{haproxy}" = "0"
  }
  at "10m" { incidents = { haproxy = "none" } }
}

test "half of the servers are gone" {
  series = {
    "metric.servers_down{haproxy}" = "0x60 2x180 0"
    "metric.servers_up{haproxy}"   = "4x60 2x180 4"
  }
  at "110s" { firing = [] }
  at "3m" { firing = ["haproxy-half-down"] }
  at "6m" { incidents = { haproxy = "resolved" } }
}

test "one server after the other is in maintenance, and then all" {
  series = {
    "metric.servers_down{haproxy}" = "0"
    "metric.servers_up{haproxy}"   = "4x60 3x100 1x100 0x100 4"
  }
  at "10m" { incidents = { haproxy = "none" } }
}

test "requests queue" {
  series = {
    "metric.queued{haproxy}"     = "0x60 12x120 0"
    "metric.queue_time{haproxy}" = "0ms x60 2s"
  }
  at "80s" { firing = [] }
  at "2m" { firing = ["haproxy-queues"] }
  at "5m" { incidents = { haproxy = "resolved" } }
}

test "a short queue at a busy moment" {
  series = {
    "metric.queued{haproxy}"     = "3"
    "metric.queue_time{haproxy}" = "20ms"
  }
  at "10m" { incidents = { haproxy = "none" } }
}

test "nobody asks any more, and the mean of the past stays" {
  series = {
    "metric.queued{haproxy}"     = "0"
    "metric.queue_time{haproxy}" = "2s"
  }
  at "10m" { incidents = { haproxy = "none" } }
}

test "errors that servers make are no lack of servers" {
  series = {
    "metric.backends_down{haproxy}" = "0"
    "metric.answers_5xx{haproxy}"   = "30"
  }
  at "10m" { incidents = { haproxy = "none" } }
}

test "a backend without servers makes errors, and they are not told twice" {
  series = {
    "metric.backends_down{haproxy}" = "0x60 1"
    "metric.answers_5xx{haproxy}"   = "0x60 30"
    "metric.error_rate{haproxy}"    = "0%x60 100%"
  }
  at "5m" { firing = ["haproxy-backend-down"] }
}

test "one server of four is down" {
  series = {
    "metric.servers_down{haproxy}" = "0x60 1"
    "metric.servers_up{haproxy}"   = "4x60 3"
  }
  at "10m" { incidents = { haproxy = "none" } }
}
