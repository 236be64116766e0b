# A bad upgrade: the packages came a moment ago, and requests fail since. Going back to the versions that last ran well is never
# done without a person. A rule may try it nevertheless: people are told then that it could be done, and by which command, here
# salve agent run shop/previous-packages
service "shop" {
  scrape "app" {
    url = "http://127.0.0.1:8080/metrics"
    metric "error_rate" {
      ratio  = ["http_requests_total{code=~'5..'}", "http_requests_total"]
      window = "30s"
    }
  }

  remedy "rollback_packages" "previous-packages" {
    packages     = ["shop", "shop-common"]
    precondition = recent_change("6h", "package")
    timeout      = "5m"
    verify { within = "2m" }
  }
}

rule "errors" {
  services = ["shop"]
  when     = metric.error_rate > 5 * percent
  clear    = metric.error_rate < 1 * percent
  try      = ["previous-packages"]
}

test "errors after an upgrade are told to people, who can say so" {
  series = { "metric.error_rate{shop}" = "0%x120 20%" }
  change "110s" {
    kind    = "package"
    service = "shop"
  }
  at "5m" {
    attempts  = []
    incidents = { shop = "escalated" }
  }
}
