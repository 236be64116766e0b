# A bad release: it was put in place a moment ago, and requests fail since. The link leads back to the release that last ran
# well on this host. What is wrong long after a deployment is left to other remedies and to people.
service "shop" {
  release = "/srv/shop/current"

  scrape "app" {
    url = "http://127.0.0.1:8080/metrics"
    metric "error_rate" {
      ratio  = ["http_requests_total{code=~'5..'}", "http_requests_total"]
      window = "30s"
    }
  }

  remedy "rollback" "previous-release" {
    releases     = "/srv/shop/releases"
    precondition = recent_change("30m", "release")
    verify { within = "2m" }
  }
}

rule "errors" {
  services = ["shop"]
  when     = metric.error_rate > 5 * percent
  clear    = metric.error_rate < 1 * percent
  try      = ["previous-release"]
}

test "the release before works" {
  series = { "metric.error_rate{shop}" = "0%x120 20%" }
  change "110s" {
    kind    = "release"
    service = "shop"
  }
  after "previous-release" {
    series = { "metric.error_rate{shop}" = "0%" }
  }
  at "5m" { attempts = ["previous-release verified"] }
}

test "errors without a deployment are not blamed on the release" {
  series = { "metric.error_rate{shop}" = "0%x120 20%" }
  at "20m" {
    attempts  = []
    incidents = { shop = "escalated" }
  }
}
