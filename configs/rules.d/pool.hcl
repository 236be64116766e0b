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

# The first client in the queue waits long. A short queue at a busy moment is what a pool is for.
rule "checkout-waits-for-connections" {
  services = ["checkout"]
  when     = pool.db.max_wait > 2 * s
  clear    = pool.db.waiting == 0
  for      = "10s"
  try      = ["drain-db-pool"]
}

test "clients that queue for stale connections get new ones" {
  series = {
    "pool.db.waiting{checkout}"  = "0x60 12"
    "pool.db.max_wait{checkout}" = "0s x60 0s+1s x600"
  }
  after "drain-db-pool" {
    series = {
      "pool.db.waiting{checkout}"  = "0"
      "pool.db.max_wait{checkout}" = "0s"
    }
  }
  at "2m" {
    attempts  = ["drain-db-pool verified"]
    incidents = { checkout = "resolved" }
  }
}

test "a short queue at a busy moment is what a pool is for" {
  series = {
    "pool.db.waiting{checkout}"  = "5"
    "pool.db.max_wait{checkout}" = "300ms"
  }
  at "10m" { incidents = { checkout = "none" } }
}

test "a pool that new connections do not help is handed to people" {
  series = {
    "pool.db.waiting{checkout}"  = "12"
    "pool.db.max_wait{checkout}" = "10s"
  }
  at "10m" {
    attempts  = ["drain-db-pool ineffective", "drain-db-pool ineffective", "drain-db-pool ineffective"]
    incidents = { checkout = "escalated" }
  }
}

test "a console that does not answer is no reason to act" {
  series = {
    "pool.db.waiting{checkout}"  = "0x60 unknown"
    "pool.db.max_wait{checkout}" = "0s x60 unknown"
  }
  at "10m" {
    attempts  = []
    blind     = ["checkout-waits-for-connections"]
    incidents = { checkout = "escalated" }
  }
}
