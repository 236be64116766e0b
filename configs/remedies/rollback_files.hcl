# A bad edit: nginx answers with errors since somebody changed its configuration. The files come back that it last ran well with
# on this host, if nginx itself takes them. The drop-ins of a unit are put back likewise, with
# path = "/etc/systemd/system/NAME.service.d"; systemd then reads them before the unit starts.
service "nginx" {
  scrape "requests" {
    url = "http://127.0.0.1:9113/metrics"
    metric "error_rate" {
      ratio  = ["http_requests_total{code=~'5..'}", "http_requests_total"]
      window = "30s"
    }
  }

  remedy "rollback_files" "previous-configuration" {
    path         = "/etc/nginx"
    files        = ["nginx.conf", "conf.d/*.conf"]
    check        = ["/usr/sbin/nginx", "-t", "-q"]
    reload       = true
    precondition = recent_change("30m", "configuration")
    verify { within = "2m" }
  }
}

rule "errors" {
  services = ["nginx"]
  when     = metric.error_rate > 5 * percent
  clear    = metric.error_rate < 1 * percent
  try      = ["previous-configuration"]
}

test "the configuration before works" {
  series = { "metric.error_rate{nginx}" = "0%x120 20%" }
  change "110s" {
    kind    = "configuration"
    service = "nginx"
  }
  after "previous-configuration" {
    series = { "metric.error_rate{nginx}" = "0%" }
  }
  at "5m" { attempts = ["previous-configuration verified"] }
}

test "errors without an edit are not blamed on the configuration" {
  series = { "metric.error_rate{nginx}" = "0%x120 20%" }
  at "20m" {
    attempts  = []
    incidents = { nginx = "escalated" }
  }
}
