# A service behind PgBouncer. When clients queue for connections although the database answers, stale
# server connections are the usual cause: replacing them costs no query that runs.

service "checkout" {
  depends_on = ["postgresql"] # while that has an open incident, this one's alerts wait

  pool "db" {
    pgbouncer = "/run/postgresql/.s.PGSQL.6432"
    database  = "checkout"
    user      = "salve" # needs a place in PgBouncer's admin_users
    # password_file = "/etc/salve/pgbouncer.password"
  }

  remedy "reset_pool" "drain-db-pool" {
    pool = "db"
  }
}

rule "checkout-waits-for-connections" {
  services = ["checkout"]
  when     = pool.db.waiting > 0 && pool.db.max_wait > 2 * s
  clear    = pool.db.waiting == 0
  for      = "10s"
  try      = ["drain-db-pool"]
}
