# A cache holds what is wrong: after a release it is asked for and misses. Its keys of the old form go, a thousand a second, while
# the database behind it has nothing to wait for, and it is right when most look-ups are hits again.
service "shop" {
  scrape "app" {
    url = "http://127.0.0.1:8080/metrics"
    metric "hits" {
      ratio = ["cache_lookups_total{result='hit'}", "cache_lookups_total"]
    }
  }
  pool "db" {
    pgbouncer = "/run/postgresql/.s.PGSQL.6432"
    database  = "shop"
  }
  cache "pages" {
    redis   = "127.0.0.1:6379"
    private = true # no other host uses it
  }

  remedy "clear_cache" "forget-pages" {
    cache        = "pages"
    prefix       = "page:"
    precondition = pool.db.waiting < 5
    verify {
      when   = metric.hits > 80 * percent
      within = "10m"
      hold   = "30s"
    }
  }
}

rule "cache-misses" {
  services = ["shop"]
  when     = metric.hits < 50 * percent
  clear    = metric.hits > 80 * percent
  for      = "1m"
  try      = ["forget-pages"]
}

test "the cache fills anew" {
  series = {
    "metric.hits{shop}"     = "95%x60 20%"
    "pool.db.waiting{shop}" = "0"
  }
  after "forget-pages" {
    series = { "metric.hits{shop}" = "0%x60 95%" }
  }
  at "8m" { attempts = ["forget-pages verified"] }
}

# cold-cache: to clear it now would keep the outage going.
test "not while the database has too much to do" {
  series = {
    "metric.hits{shop}"     = "95%x60 20%"
    "pool.db.waiting{shop}" = "30"
  }
  at "20m" {
    attempts  = []
    incidents = { shop = "escalated" }
  }
}
