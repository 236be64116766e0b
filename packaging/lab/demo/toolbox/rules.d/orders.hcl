# The database is well, and its pool hands out connections on which every query is slow.

service "orders" {
  unit    = "salve-demo-orders.service"
  startup = "1s"

  pool "db" {
    pgbouncer = "@PGBOUNCER@"
    database  = "@DATABASE@"
    every     = "500ms"
  }
  probe "db" {
    postgres = "@PGBOUNCER@" # by way of the pool, as the customers
    database = "@DATABASE@"
    user     = "app"
    every    = "500ms"
  }

  remedy "reset_pool" "reconnect" {
    pool = "db"
    verify {
      when   = pool.db.waiting < 2 && probe.db.ok && probe.db.latency < 100 * ms
      within = "30s"
      hold   = "1s"
    }
  }
}

rule "queries-wait-for-connections" {
  services  = ["orders"]
  severity  = "critical"
  when      = pool.db.waiting > 2
  clear     = pool.db.waiting < 2
  for       = "1s"
  clear_for = "1s"
  try       = ["reconnect"]
}
