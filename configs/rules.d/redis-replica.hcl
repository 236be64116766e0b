# A replica of Redis, by prometheus-redis-exporter. A primary has no such metrics, so this is not part of redis.hcl: on a
# host that has nothing but the replica, put the metrics and the rule there.

service "redis-replica" {
  unit = "redis-server@replica.service"

  scrape "exporter" {
    url   = "http://127.0.0.1:9121/metrics"
    every = "5s"

    metric "link" {
      value     = "redis_master_link_up"
      aggregate = "min"
    }
    metric "syncing" {
      value     = "redis_master_sync_in_progress"
      aggregate = "max"
    }
  }
}

# It answers with what was true a while ago, and takes over with that. While it fetches everything anew its link is down
# as well, and that is the cure.
rule "redis-replica-cut-off" {
  services = ["redis-replica"]
  when     = metric.link == 0 && metric.syncing == 0
  clear    = metric.link == 1
  for      = "1m"
}

test "a replica that lost its primary" {
  series = {
    "metric.link{redis-replica}"    = "1x60 0x180 1"
    "metric.syncing{redis-replica}" = "0"
  }
  at "110s" { firing = [] }
  at "3m" { firing = ["redis-replica-cut-off"] }
  at "6m" { incidents = { redis-replica = "resolved" } }
}

test "a replica that catches up, after its primary was started again" {
  series = {
    "metric.link{redis-replica}"    = "1x60 0x600 1"
    "metric.syncing{redis-replica}" = "0x60 0x20 1x580 0"
  }
  at "20m" { incidents = { redis-replica = "none" } }
}
