# PgBouncer itself, asked through it and past it. What its clients feel is the pool of the service that they are: pool.hcl.

service "pgbouncer" {
  startup = "10s"

  probe "through" {
    postgres = "/run/postgresql/.s.PGSQL.6432"
    database = "checkout"
    user     = "salve"
    every    = "2s"
    timeout  = "2s"
  }

  probe "past" {
    postgres = "/run/postgresql/.s.PGSQL.5432"
    database = "checkout"
    user     = "salve"
    every    = "2s"
    timeout  = "2s"
  }

  remedy "start" "start-pgbouncer" {}

  remedy "restart" "restart-pgbouncer" {
    verify {
      when   = probe.through.ok
      within = "30s"
      hold   = "5s"
    }
  }
}

# Nobody reaches the database. Starting what is dead takes nothing away.
rule "pgbouncer-failed" {
  services = ["pgbouncer"]
  severity = "critical"
  when     = unit.failed
  try      = ["start-pgbouncer"]
}

# The database answers, and through PgBouncer it does not. Connections that cannot be used are all that a restart loses.
# While the database itself is started again, PgBouncer waits for it, which is what it is for.
rule "pgbouncer-silent" {
  services = ["pgbouncer"]
  severity = "critical"
  when     = unit.active && !probe.through.ok && probe.past.ok
  clear    = probe.through.ok
  for      = "15s"
  try      = ["restart-pgbouncer"]
}

test "a crash of PgBouncer is answered by a start" {
  series = { "unit.state{pgbouncer.service}" = "active x30 failed" }
  at "1m" {
    attempts  = ["start-pgbouncer verified"]
    incidents = { pgbouncer = "resolved" }
  }
}

test "PgBouncer hangs, and a restart helps" {
  series = {
    "probe.through.ok{pgbouncer}" = "true x60 false"
    "probe.past.ok{pgbouncer}"    = "true"
  }
  after "restart-pgbouncer" {
    series = { "probe.through.ok{pgbouncer}" = "false x2 true" }
  }
  at "70s" { attempts = [] }
  at "3m" {
    attempts  = ["restart-pgbouncer verified"]
    incidents = { pgbouncer = "resolved" }
  }
}

test "the database is started again, for a release or a backup" {
  series = {
    "probe.through.ok{pgbouncer}" = "true x60 false x120 true"
    "probe.past.ok{pgbouncer}"    = "true x60 false x120 true"
  }
  at "10m" { incidents = { pgbouncer = "none" } }
}

test "nobody knows whether the database answers" {
  series = {
    "probe.through.ok{pgbouncer}" = "true x60 false"
    "probe.past.ok{pgbouncer}"    = "true x60 unknown"
  }
  at "4m" {
    firing   = []
    attempts = []
  }
}

test "a person stopped PgBouncer" {
  series = {
    "unit.state{pgbouncer.service}" = "active x60 inactive"
    "probe.through.ok{pgbouncer}"   = "true x60 false"
    "probe.past.ok{pgbouncer}"      = "true"
  }
  at "10m" { incidents = { pgbouncer = "none" } }
}
