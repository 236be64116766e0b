# Golden signals from the page on which a service tells its own metrics, in Prometheus' text format or
# OpenMetrics. Each metric block makes one figure, which conditions know as metric.NAME. What cannot be
# known (the page does not come, no series matches, too few requests) is unknown, and never zero.

service "shop" {
  startup = "20s"

  scrape "app" {
    url     = "http://127.0.0.1:8080/metrics"
    every   = "2s" # the page costs the service more than the agent
    timeout = "1s"
    # exemplars = true # ask for OpenMetrics: the newest trace of each metric is evidence of an incident
    # native    = true # ask for protocol buffers: quantiles are of native histograms, and 19 % wrong at most

    # How much of the second grew as a share of the first, within the window. Counters may begin again.
    metric "error_rate" {
      ratio      = ["http_requests_total{code=~'5..'}", "http_requests_total"]
      window     = "10s"
      min_events = 20 # one failure in one request is not 100 %
    }

    # Requests a second. With unit = "bytes" it would be a throughput, with "seconds" a share of the time.
    metric "traffic" {
      rate   = "http_requests_total"
      window = "10s"
    }

    # From the buckets of a classic histogram, added up over all series that match; with native = true of a native one.
    # Then a histogram that has both kinds of buckets is read as a native one.
    metric "p99_latency" {
      quantile   = 0.99
      of         = "http_request_duration_seconds"
      window     = "30s"
      min_events = 100
    }

    # A gauge as it is. If several series match, aggregate says what to make of them: sum, max or min.
    metric "queue" {
      value     = "queue_depth{queue!='bulk'}"
      aggregate = "max"
    }
  }

  # Of all requests of 30 days, that is: one in a thousand may fail. slo.answers.burn is how fast that is used up, where 1
  # uses it up in 30 days. With `probe = "NAME"` instead it would be the time in which a probe is not ok.
  slo "answers" {
    objective = 99.9 * percent
    errors    = "error_rate"
    traffic   = "traffic"
  }

  # With shop.service and the action restart in an allow block. After the restart come ten seconds in
  # which the error rate still looks back at the time before, then three samples, then hold.
  #
  # remedy "restart" "restart-shop" {
  #   verify {
  #     when   = metric.error_rate < 1 * percent
  #     within = "60s"
  #     hold   = "5s"
  #   }
  # }
}

# A share alone is no trouble where nobody asks.
rule "shop-fails" {
  services = ["shop"]
  severity = "critical"
  when     = metric.error_rate > 5 * percent && metric.traffic > 1 / s
  clear    = metric.error_rate < 1 * percent
  for      = "10s"
  # try    = ["restart-shop"]
}

# Nothing is tried here: a restart would only lose what waits.
rule "shop-is-slow" {
  services = ["shop"]
  when     = metric.p99_latency > 2 * s || metric.queue > 1000
  clear    = metric.p99_latency < 1 * s && metric.queue < 100
  for      = "1m"
}

# Slower than this service is at this hour, by what the host has learned, and a little more fails than may: each alone is
# no trouble, and together they come before users call. Unusual alone never fires, so a quiet Sunday wakes nobody.
rule "shop-ails" {
  services = ["shop"]
  when     = anomaly(metric.p99_latency) > 0.9 && metric.error_rate > 1 * percent
  clear    = anomaly(metric.p99_latency) < 0.5 && metric.error_rate < 0.5 * percent
  for      = "10s"
}

# A fiftieth of the budget of a month in an hour, and it still goes on. Each share may be too small for a rule of its own.
rule "shop-burns" {
  services = ["shop"]
  severity = "critical"
  when     = slo.answers.burn > 14.4
}

# A twentieth of it in six hours: nobody need be woken, but somebody has to look.
rule "shop-wears" {
  services = ["shop"]
  when     = slo.answers.slow_burn > 6
}

test "one request in ten fails" {
  series = {
    "metric.error_rate{shop}" = "0%x60 10%x60 0%"
    "metric.traffic{shop}"    = "50"
  }
  at "65s" { firing = [] }
  at "80s" { firing = ["shop-fails"] }
  at "3m" { incidents = { shop = "resolved" } }
}

test "a few failures at night, when nobody comes" {
  series = {
    "metric.error_rate{shop}" = "50%"
    "metric.traffic{shop}"    = "0.2"
  }
  at "3m" { incidents = { shop = "none" } }
}

test "a page that does not come is neither sick nor well" {
  series = {
    "metric.error_rate{shop}" = "0%x30 unknown"
    "metric.traffic{shop}"    = "50x30 unknown"
  }
  at "4m" { firing = [] }
  at "7m" { blind = ["shop-fails", "shop-burns", "shop-wears"] }
}

test "answers that come late, or work that piles up" {
  series = {
    "metric.p99_latency{shop}" = "100msx60 3sx120 100ms"
    "metric.queue{shop}"       = "10x400 2000x120 10"
  }
  at "90s" { firing = [] }
  at "130s" { firing = ["shop-is-slow"] }
  at "6m" { firing = [] }
  at "8m" { firing = ["shop-is-slow"] }
  at "10m" { incidents = { shop = "resolved" } }
}

test "unusual alone, some failures alone, and both" {
  series = { # a day to learn what is usual, then each for two minutes
    "metric.p99_latency{shop}" = "90msx40000 110msx46700 400msx120 110msx1080 700msx120 110ms"
    "metric.error_rate{shop}"  = "0%x87300 2%x120 0%x480 2%x120 0%"
    "metric.traffic{shop}"     = "50"
  }
  at "24h6m50s" { firing = [] }
  at "24h16m50s" { firing = [] }
  at "24h26m" {
    firing = ["shop-ails"]
    said   = ["700 ms where 86 ms to 396.5 ms was expected"]
  }
  at "24h30m" { incidents = { shop = "resolved" } }
}

test "one request in twenty fails, for too long" {
  series = {
    "metric.error_rate{shop}" = "0%x3000 5%x1500 0%"
    "metric.traffic{shop}"    = "50"
  }
  at "65m" { firing = [] }
  at "72m" { firing = ["shop-burns"] }
  at "85m" { firing = [] }
}

test "one request in a hundred fails, for hours" {
  series = {
    "metric.error_rate{shop}" = "0%x10800 1%"
    "metric.traffic{shop}"    = "50"
  }
  at "6h" { firing = [] }
  at "6h45m" { firing = ["shop-wears"] }
}

test "too little is known at the beginning, which is nobody's fault" {
  series = {
    "metric.error_rate{shop}" = "5%"
    "metric.traffic{shop}"    = "50"
  }
  at "29m" {
    firing = []
    blind  = []
  }
  at "31m" { firing = ["shop-burns"] }
}
