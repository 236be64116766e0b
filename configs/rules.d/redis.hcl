# Redis, by its own PING and by prometheus-redis-exporter. Nothing is tried: a restart loses what is in memory only.

service "redis" {
  unit    = "redis-server.service"
  startup = "2m" # it loads its file before it answers

  probe "ping" { redis = "127.0.0.1:6379" }

  scrape "exporter" {
    url   = "http://127.0.0.1:9121/metrics"
    every = "5s"

    metric "up" { value = "redis_up" }
    metric "clients" { value = "redis_connected_clients" }
    metric "most_clients" { value = "redis_config_maxclients" }
    metric "refused" {
      rate   = "redis_rejected_connections_total"
      window = "30s"
    }
    metric "used" {
      value = "redis_memory_used_bytes"
      unit  = "bytes"
    }
    metric "limit" { # 0: there is none
      value = "redis_memory_max_bytes"
      unit  = "bytes"
    }
    metric "errors" {
      rate   = "redis_total_error_replies"
      window = "30s"
    }
    metric "saved" { value = "redis_rdb_last_bgsave_status" }
    metric "unsaved" { value = "redis_rdb_changes_since_last_save" }
  }
}

# Whoever asks waits for nothing. A unit that a person stopped is none of our business, and while it loads its file after
# a start it answers only that it loads.
rule "redis-silent" {
  services = ["redis"]
  severity = "critical"
  when     = unit.failed || unit.active && !probe.ping.ok
  clear    = probe.ping.ok
  for      = "5s"
}

# New clients are turned away at maxclients. Many connections alone are a well used server, and one refusal was a burst
# that is over: it is both, for a while. When nobody gets in any more the exporter does not either, so that it knows
# nothing, while the connection that the probe keeps is answered.
rule "redis-refuses-clients" {
  services = ["redis"]
  severity = "critical"
  when = (
    metric.up == 0 && probe.ping.ok ||
    metric.refused > 0 && metric.clients > 0.9 * metric.most_clients
  )
  clear = metric.up == 1 && metric.refused == 0 && metric.clients < 0.8 * metric.most_clients
  for   = "20s"
}

# At its limit of memory it refuses writes, unless it may evict. A cache that evicts is full all day and well; only
# answers that are errors tell the two apart.
rule "redis-refuses-writes" {
  services = ["redis"]
  severity = "critical"
  when     = metric.limit > 0 * MiB && metric.used > 0.97 * metric.limit && metric.errors > 0.1 / s
  clear    = metric.errors == 0 || metric.used < 0.9 * metric.limit
  for      = "30s"
}

# What was written since the last save is lost with the next crash. Without new writes nothing is at stake, and one save
# that failed is tried again by Redis itself within seconds.
rule "redis-cannot-save" {
  services = ["redis"]
  when     = metric.saved == 0 && metric.unsaved > 0
  clear    = metric.saved == 1
  for      = "3m"
}

test "a Redis that answers nobody" {
  series = { "probe.ping.ok{redis}" = "true x60 false x120 true" }
  at "1m2s" { firing = [] }
  at "1m10s" { firing = ["redis-silent"] }
  at "4m" { incidents = { redis = "resolved" } }
}

test "a Redis that loads its file after a restart is not silent" {
  series = {
    "unit.state{redis-server.service}" = "active x60 deactivating x2 activating x1 active"
    "probe.ping.ok{redis}"             = "true x60 false x90 true"
  }
  at "10m" { incidents = { redis = "none" } }
}

test "clients are turned away" {
  series = {
    "probe.ping.ok{redis}"       = "true"
    "metric.up{redis}"           = "1"
    "metric.clients{redis}"      = "40x60 100x120 40"
    "metric.most_clients{redis}" = "100"
    "metric.refused{redis}"      = "0x60 5x120 0"
  }
  at "75s" { firing = [] }
  at "2m" { firing = ["redis-refuses-clients"] }
  at "5m" { incidents = { redis = "resolved" } }
}

test "many clients of whom none is refused are a well used server" {
  series = {
    "probe.ping.ok{redis}"       = "true"
    "metric.up{redis}"           = "1"
    "metric.clients{redis}"      = "98"
    "metric.most_clients{redis}" = "100"
    "metric.refused{redis}"      = "0"
  }
  at "10m" { incidents = { redis = "none" } }
}

test "a deployment connects twice for a moment" {
  series = {
    "probe.ping.ok{redis}"       = "true"
    "metric.up{redis}"           = "1"
    "metric.clients{redis}"      = "60x60 100x15 60"
    "metric.most_clients{redis}" = "100"
    "metric.refused{redis}"      = "0x60 3x45 0"
  }
  at "10m" { incidents = { redis = "none" } }
}

test "nobody gets in any more, the exporter neither" {
  series = {
    "probe.ping.ok{redis}"       = "true"
    "metric.up{redis}"           = "1x60 0x120 1"
    "metric.clients{redis}"      = "40x60 unknown x120 40"
    "metric.most_clients{redis}" = "100x60 unknown x120 100"
    "metric.refused{redis}"      = "0x60 unknown x150 0"
  }
  at "70s" { firing = [] }
  at "2m" { firing = ["redis-refuses-clients"] }
  at "5m" { incidents = { redis = "resolved" } }
}

test "a Redis that is started again by a deployment lets nobody in for a moment" {
  series = {
    "probe.ping.ok{redis}"       = "true x60 false x4 true"
    "metric.up{redis}"           = "1x60 0x10 1"
    "metric.clients{redis}"      = "40x60 unknown x10 40"
    "metric.most_clients{redis}" = "100x60 unknown x10 100"
    "metric.refused{redis}"      = "0x60 unknown x40 0"
  }
  at "10m" { incidents = { redis = "none" } }
}

test "memory is full and writes fail" {
  series = {
    "metric.used{redis}"   = "90MiB x60 99MiB x120 50MiB"
    "metric.limit{redis}"  = "100MiB"
    "metric.errors{redis}" = "0x60 20x120 0"
  }
  at "80s" { firing = [] }
  at "2m" { firing = ["redis-refuses-writes"] }
  at "5m" { incidents = { redis = "resolved" } }
}

test "a cache that evicts is full and well" {
  series = {
    "metric.used{redis}"   = "100MiB"
    "metric.limit{redis}"  = "100MiB"
    "metric.errors{redis}" = "0"
  }
  at "10m" { incidents = { redis = "none" } }
}

test "errors of a client that asks wrongly, without any limit of memory" {
  series = {
    "metric.used{redis}"   = "900MiB"
    "metric.limit{redis}"  = "0MiB"
    "metric.errors{redis}" = "20"
  }
  at "10m" { incidents = { redis = "none" } }
}

test "saves fail, and there is something to lose" {
  series = {
    "metric.saved{redis}"   = "1x60 0x300 1"
    "metric.unsaved{redis}" = "10+10x400 0"
  }
  at "3m" { firing = [] }
  at "5m" { firing = ["redis-cannot-save"] }
  at "8m" { incidents = { redis = "resolved" } }
}

test "one backup that failed and was made again" {
  series = {
    "metric.saved{redis}"   = "1x60 0x20 1"
    "metric.unsaved{redis}" = "500"
  }
  at "10m" { incidents = { redis = "none" } }
}

test "an idle Redis whose last save failed loses nothing" {
  series = {
    "metric.saved{redis}"   = "0"
    "metric.unsaved{redis}" = "0"
  }
  at "10m" { incidents = { redis = "none" } }
}

test "one page that does not come changes nothing" {
  series = {
    "probe.ping.ok{redis}"       = "true"
    "metric.up{redis}"           = "1x120 unknown x10 1"
    "metric.clients{redis}"      = "100x120 unknown x10 100"
    "metric.most_clients{redis}" = "100x120 unknown x10 100"
    "metric.refused{redis}"      = "5x120 unknown x10 5"
  }
  at "100s" { firing = ["redis-refuses-clients"] }
  at "4m" {
    firing = ["redis-refuses-clients"]
    blind  = []
  }
}

test "errors of a client that asks wrongly, with memory to spare" {
  series = {
    "metric.used{redis}"   = "10MiB"
    "metric.limit{redis}"  = "100MiB"
    "metric.errors{redis}" = "20"
  }
  at "10m" { incidents = { redis = "none" } }
}
