# Clients queue although the database answers: the pool holds connections that are dead.
service "shop" {
  pool "db" {
    pgbouncer = "/run/postgresql/.s.PGSQL.6432"
    database  = "shop"
    user      = "salve"
  }

  remedy "reset_pool" "reconnect" {
    pool = "db"
  }
}

rule "shop-waits-for-connections" {
  services = ["shop"]
  when     = pool.db.waiting > 0 && pool.db.max_wait > 2 * s
  clear    = pool.db.waiting == 0
  try      = ["reconnect"]
}

test "clients that queue for dead connections get new ones" {
  series = {
    "pool.db.waiting{shop}"  = "0x60 12"
    "pool.db.max_wait{shop}" = "0s x60 5s"
  }
  after "reconnect" {
    series = {
      "pool.db.waiting{shop}"  = "0"
      "pool.db.max_wait{shop}" = "0s"
    }
  }
  at "3m" { attempts = ["reconnect verified"] }
}
