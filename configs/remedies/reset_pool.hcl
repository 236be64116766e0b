# Four pools that clog: connections that are dead, sessions that hold their locks, requests that never end, and one of the
# service's own.
service "shop" {
  pool "front" {
    pgbouncer = "/run/postgresql/.s.PGSQL.6432"
    database  = "shop"
    user      = "salve"
  }

  pool "db" {
    postgres = "/run/postgresql/.s.PGSQL.5432"
    database = "shop"
    user     = "salve"
  }

  pool "web" {
    haproxy = "/run/haproxy/admin.sock"
    backend = "shop"
  }

  # HikariCP within the service, through Jolokia, which answers 200 whatever comes of it.
  pool "hikari" {
    http   = "http://127.0.0.1:8080/jolokia/read/com.zaxxer.hikari:type=Pool%20(shop)/ThreadsAwaitingConnection"
    fields = { waiting = "value" }

    reset {
      url        = "http://127.0.0.1:8080/jolokia/"
      body       = "{\"type\": \"exec\", \"mbean\": \"com.zaxxer.hikari:type=Pool (shop)\", \"operation\": \"softEvictConnections\"}"
      expect     = { status = "200" }
      repeatable = true
      token_file = "/etc/salve/jolokia.token"
    }
  }

  # No query is cut: connections are replaced as they become free.
  remedy "reset_pool" "reconnect" {
    pool = "front"
  }

  # All connections at once; new queries wait until those under way have ended.
  remedy "reset_pool" "swap" {
    pool = "front"
    mode = "pause"
    wait = "5s"
  }

  # Transactions that somebody has opened and forgotten.
  remedy "reset_pool" "hang-up" {
    pool                = "db"
    mode                = "terminate"
    idle_in_transaction = true
    older_than          = "2m"
    most                = 5
  }

  # Requests get ten seconds to end, others go to the other servers meanwhile.
  remedy "reset_pool" "out-and-in" {
    pool   = "web"
    mode   = "drain"
    server = "shop1"
  }

  # Connections are replaced as they become free: asked twice, it does no more.
  remedy "reset_pool" "evict" {
    pool = "hikari"
    mode = "call"
  }
}

rule "shop-waits-for-its-own-pool" {
  services = ["shop"]
  when     = pool.hikari.waiting > 5
  clear    = pool.hikari.waiting == 0
  try      = ["evict"]
}

rule "shop-waits-for-connections" {
  services = ["shop"]
  when     = pool.front.waiting > 0 && pool.front.max_wait > 2 * s
  clear    = pool.front.waiting == 0
  try      = ["reconnect", "swap"]
}

rule "shop-waits-for-locks" {
  services = ["shop"]
  when     = pool.db.waiting > 5 && pool.db.max_wait > 1 * minute
  clear    = pool.db.waiting < 2
  try      = ["hang-up"]
}

rule "shop-takes-no-requests" {
  services = ["shop"]
  when     = pool.web.used_ratio > 95 * percent && pool.web.waiting > 10
  clear    = pool.web.waiting == 0
  try      = ["out-and-in"]
}

test "clients that queue for dead connections get new ones" {
  series = {
    "pool.front.waiting{shop}"  = "0x60 12"
    "pool.front.max_wait{shop}" = "0s x60 5s"
  }
  after "reconnect" {
    series = {
      "pool.front.waiting{shop}"  = "0"
      "pool.front.max_wait{shop}" = "0s"
    }
  }
  at "3m" { attempts = ["reconnect verified"] }
}

test "the service replaces connections of its own" {
  series = { "pool.hikari.waiting{shop}" = "0x60 9" }
  after "evict" {
    series = { "pool.hikari.waiting{shop}" = "0" }
  }
  at "3m" { attempts = ["evict verified"] }
}

test "who forgot a transaction is sent home" {
  series = {
    "pool.db.waiting{shop}"  = "0x60 9"
    "pool.db.max_wait{shop}" = "0s x60 90s"
  }
  after "hang-up" {
    series = {
      "pool.db.waiting{shop}"  = "0"
      "pool.db.max_wait{shop}" = "0s"
    }
  }
  at "3m" { attempts = ["hang-up verified"] }
}

test "a server that is stuck is taken out and in" {
  series = {
    "pool.web.used_ratio{shop}" = "20% x60 100%"
    "pool.web.waiting{shop}"    = "0x60 40"
  }
  after "out-and-in" {
    series = {
      "pool.web.used_ratio{shop}" = "20%"
      "pool.web.waiting{shop}"    = "0"
    }
  }
  at "3m" { attempts = ["out-and-in verified"] }
}
