# Carts and cached pages are in one Redis. When it is full, carts are refused; pages can be forgotten, carts cannot.

service "cart" {
  unit    = "salve-demo-cart.service"
  startup = "1s"

  scrape "app" {
    url   = "http://@SHOP@/metrics"
    every = "500ms"
    metric "refused" {
      ratio      = ["writes_total{to='cart',result='refused'}", "writes_total{to='cart'}"]
      window     = "2s"
      min_events = 5
    }
  }
  cache "pages" {
    redis         = "@REDIS@"
    password_file = "@DIR@/redis.key"
    private       = true # no other host uses it
  }

  remedy "clear_cache" "forget-pages" {
    cache        = "pages"
    prefix       = "page:"
    precondition = host.memory.available_ratio > 2 * percent # pages are made anew here
    verify {
      when   = metric.refused < 1 * percent
      within = "30s"
      hold   = "1s"
    }
  }
}

rule "carts-are-refused" {
  services  = ["cart"]
  severity  = "critical"
  when      = metric.refused > 20 * percent
  clear     = metric.refused < 1 * percent
  for       = "1s"
  clear_for = "1s"
  try       = ["forget-pages"]
}
