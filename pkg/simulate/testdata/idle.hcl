# Nobody uses the service at night. That is no trouble, and no blindness; but it cures nothing either.

service "shop" {
  scrape "app" {
    url = "http://127.0.0.1:8080/metrics"
    metric "error_rate" { ratio = ["http_errors_total", "http_requests_total"] }
  }
}

rule "errors" {
  services = ["shop"]
  when     = metric.error_rate > 5 * percent
}

test "a quiet night" {
  series = { "metric.error_rate{shop}" = "0 x60 idle x3000 0" }
  at "50m" {
    firing = []
    blind  = []
  }
}

test "the traffic goes away while it fires" {
  series = { "metric.error_rate{shop}" = "0 x60 50% x60 idle" }
  at "1m30s" { firing = ["errors"] }
  at "10m" {
    firing = ["errors"]
    blind  = ["errors"]
  }
}

test "the page cannot be read" {
  series = { "metric.error_rate{shop}" = "0 x60 unknown" }
  at "10m" { blind = ["errors"] }
}
