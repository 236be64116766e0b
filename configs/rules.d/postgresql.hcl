# PostgreSQL, by a query of its own, by its sessions, and by prometheus-postgres-exporter. Nothing is tried: what runs in it
# is worth more than any restart. The user needs GRANT pg_read_all_stats TO salve.

service "postgresql" {
  unit    = "postgresql@*.service" # as Debian has it, one for each cluster
  startup = "2m"                   # after a crash it reads its log before it answers

  probe "query" {
    postgres = "/run/postgresql/.s.PGSQL.5432"
    database = "postgres"
    user     = "salve"
  }

  pool "sessions" {
    postgres = "/run/postgresql/.s.PGSQL.5432"
    database = "postgres"
    user     = "salve"
  }

  scrape "exporter" {
    url   = "http://127.0.0.1:9187/metrics"
    every = "10s"

    metric "sessions" { # of all databases, in every state
      value     = "pg_stat_activity_count"
      aggregate = "sum"
    }
    metric "most_sessions" {
      value     = "pg_settings_max_connections"
      aggregate = "max"
    }
    metric "idle_transaction" {
      value     = "pg_stat_activity_max_tx_duration{state='idle in transaction'}"
      aggregate = "max"
      unit      = "seconds"
    }
    metric "wal_failures" { value = "pg_stat_archiver_failed_count" }
    metric "wal_archived" { value = "pg_stat_archiver_archived_count" }
    metric "deadlocks" {
      rate   = "pg_stat_database_deadlocks"
      window = "5m"
    }
    metric "commits" {
      rate   = "pg_stat_database_xact_commit"
      window = "5m"
    }
  }
}

# It runs and answers no query. While it recovers after a crash it says so, and systemd calls it active: that is the time
# to start.
rule "postgresql-silent" {
  services = ["postgresql"]
  severity = "critical"
  when     = unit.failed || unit.active && !probe.query.ok
  clear    = probe.query.ok
  for      = "10s"
}

# The last sessions are for the administrator: everybody else is refused soon. A release that connects twice, with the old
# and the new, has it for a moment.
rule "postgresql-sessions" {
  services = ["postgresql"]
  when     = metric.sessions > 0.9 * metric.most_sessions
  clear    = metric.sessions < 0.8 * metric.most_sessions
  for      = "2m"
}

# Somebody began a transaction, went away, and others wait for its locks. A forgotten session alone hurts nobody yet, and
# sessions that wait for a lock are usual where a batch job writes.
rule "postgresql-idle-transaction" {
  services = ["postgresql"]
  when     = metric.idle_transaction > 2 * minute && pool.sessions.waiting > 0
  clear    = pool.sessions.waiting == 0 || metric.idle_transaction < 1 * minute
  for      = "30s"
}

# The archive takes nothing, so pg_wal grows until the disk is full, and the backup has a hole. One attempt that fails is
# made again at once: it is trouble when none succeeded since. Without failures the archive rests because nothing is written.
rule "postgresql-archive" {
  services = ["postgresql"]
  when     = change(metric.wal_failures, "10m") > 1 && change(metric.wal_archived, "10m") == 0
  clear    = change(metric.wal_archived, "10m") > 0 || change(metric.wal_failures, "30m") == 0
  for      = "1m"
}

# Transactions kill each other faster than a program that tries again can hide: one in a hundred. A deadlock now and then
# is how two programs meet.
rule "postgresql-deadlocks" {
  services = ["postgresql"]
  when     = metric.deadlocks > 0.05 / s && metric.deadlocks > 0.01 * metric.commits
  clear    = metric.deadlocks < 0.01 / s
  for      = "1m"
}

test "a PostgreSQL that answers no query" {
  series = {
    "unit.state{postgresql@15-main.service}" = "active"
    "probe.query.ok{postgresql}"             = "true x60 false x120 true"
  }
  at "65s" { firing = [] }
  at "80s" { firing = ["postgresql-silent"] }
  at "5m" { incidents = { postgresql = "resolved" } }
}

test "it reads its log after a crash" {
  series = {
    "unit.state{postgresql@15-main.service}" = "active x60 activating x2 active"
    "probe.query.ok{postgresql}"             = "true x60 false x90 true"
  }
  at "10m" { incidents = { postgresql = "none" } }
}

test "sessions run out" {
  series = {
    "metric.sessions{postgresql}"      = "40x60 97x240 40"
    "metric.most_sessions{postgresql}" = "100"
  }
  at "2m" { firing = [] }
  at "4m" { firing = ["postgresql-sessions"] }
  at "7m" { incidents = { postgresql = "resolved" } }
}

test "a release connects with the old and the new" {
  series = {
    "metric.sessions{postgresql}"      = "50x60 100x60 50"
    "metric.most_sessions{postgresql}" = "100"
  }
  at "10m" { incidents = { postgresql = "none" } }
}

test "others wait for somebody who went away" {
  series = {
    "metric.idle_transaction{postgresql}" = "0s+1s x400 0s"
    "pool.sessions.waiting{postgresql}"   = "0x60 4x340 0"
  }
  at "2m" { firing = [] }
  at "3m" { firing = ["postgresql-idle-transaction"] }
  at "8m" { incidents = { postgresql = "resolved" } }
}

test "a forgotten session that keeps nobody waiting" {
  series = {
    "metric.idle_transaction{postgresql}" = "0s+1s x600"
    "pool.sessions.waiting{postgresql}"   = "0"
  }
  at "10m" { incidents = { postgresql = "none" } }
}

test "a batch job holds locks while it works" {
  series = {
    "metric.idle_transaction{postgresql}" = "2s"
    "pool.sessions.waiting{postgresql}"   = "3"
  }
  at "10m" { incidents = { postgresql = "none" } }
}

test "the archive takes nothing" {
  every = "10s"
  series = {
    "metric.wal_failures{postgresql}" = "0x120 0+1x90 90"
    "metric.wal_archived{postgresql}" = "7x210 8"
  }
  at "20m" { firing = [] }
  at "25m" { firing = ["postgresql-archive"] }
  at "37m" { incidents = { postgresql = "resolved" } }
}

test "one attempt to archive failed, and the next succeeded" {
  every = "10s"
  series = {
    "metric.wal_failures{postgresql}" = "0x120 1"
    "metric.wal_archived{postgresql}" = "7x126 8"
  }
  at "1h" { incidents = { postgresql = "none" } }
}

test "an idle database archives nothing" {
  every = "10s"
  series = {
    "metric.wal_failures{postgresql}" = "3"
    "metric.wal_archived{postgresql}" = "7"
  }
  at "1h" { incidents = { postgresql = "none" } }
}

test "transactions that kill each other" {
  every = "10s"
  series = {
    "metric.deadlocks{postgresql}" = "0x30 0.5x30 0"
    "metric.commits{postgresql}"   = "10"
  }
  at "5m" { firing = [] }
  at "8m" { firing = ["postgresql-deadlocks"] }
  at "12m" { incidents = { postgresql = "resolved" } }
}

test "a deadlock now and then among many transactions" {
  every = "10s"
  series = {
    "metric.deadlocks{postgresql}" = "0.06"
    "metric.commits{postgresql}"   = "900"
  }
  at "30m" { incidents = { postgresql = "none" } }
}

test "one deadlock in a database that hardly works" {
  every = "10s"
  series = {
    "metric.deadlocks{postgresql}" = "0.003"
    "metric.commits{postgresql}"   = "0.01"
  }
  at "30m" { incidents = { postgresql = "none" } }
}
