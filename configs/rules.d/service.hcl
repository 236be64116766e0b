# A web service of any kind: what is watched, what counts as ill, and what is tried. Copy it, and change the names.

service "web" {
  # unit     = "web.service"        # default: NAME.service; a glob such as "worker@*.service" is
  #                                 # a service with one alert per instance
  startup = "15s" # nobody judges it for so long after any start
  tier    = "critical"

  # probe.health.ok turns false after three misses in a row; the second and third follow the first at
  # once, so that a hang is known in about a second and a half.
  probe "health" {
    http    = "http://127.0.0.1:80/"
    status  = [200, 204, 301, 302, 404]
    every   = "1s"
    timeout = "500ms"
  }

  # Lines that its units write to the journal, by a regular expression (RE2). What a group with a name
  # stands for is shown with the incident.
  log "errors" {
    match  = "\\[(crit|alert|emerg)\\] (?P<reason>.*)"
    window = "10s" # log.errors.rate is taken over so long
  }

  remedy "start" "start" {}

  remedy "reload" "reload" {}

  remedy "restart" "restart" {
    # Asked just before acting; if it does not hold, the next remedy is tried.
    precondition = host.memory.available_ratio > 5 * percent
    verify {
      when   = probe.health.ok
      within = "60s"
      hold   = "5s"
    }
  }
}

# The unit failed: systemd says so itself, and the rule fires at once.
rule "web-failed" {
  services = ["web"]
  severity = "critical"
  when     = unit.failed
  try      = ["start"]
}

# It runs and does not answer: remedies are tried in this order, each verified by itself.
rule "web-hangs" {
  services = ["web"]
  severity = "critical"
  when     = unit.active && !probe.health.ok
  clear    = probe.health.ok
  for      = "0s"
  try      = ["reload", "restart"]
  escalate {
    to    = "default"
    after = "2m"
  }
}

# What is slow is stricter while people are at work.
threshold "slow" {
  default = 1 * s
  case {
    when  = between("08:00", "18:00", "Europe/Berlin") && weekday()
    value = 300 * ms
  }
}

# It answers, but slowly: one answer in ten of a minute, since a single slow one is no slow server.
rule "web-slow" {
  services = ["web"]
  when     = quantile(0.9, probe.health.latency, "1m") > threshold.slow
  clear    = quantile(0.9, probe.health.latency, "1m") < 200 * ms
}

# It leaks: memory over the limit, measured where systemd accounts for it.
rule "web-leaks" {
  services = ["web"]
  when     = unit.memory_bytes > 1 * GiB
  clear    = unit.memory_bytes < 512 * MiB
  for      = "30s"
  try      = ["restart"]
}

# It complains: told to people, who see the last lines.
rule "web-complains" {
  services = ["web"]
  when     = log.errors.rate > 0.2 / s
  for      = "30s"
}

# systemd starts it again and again by itself: it is up at each look, and its users see that it is not.
rule "web-crash-loop" {
  services = ["web"]
  severity = "critical"
  when     = change(unit.restarts, "5m") > 3
  clear    = change(unit.restarts, "10m") == 0
  for      = "0s"
}

# The kernel killed a process of it: the others go on, so the unit did not fail, and a request was lost.
rule "web-oom" {
  services = ["web"]
  when     = change(unit.oom_kills, "10m") > 0
  clear    = change(unit.oom_kills, "30m") == 0
}

# Its own CPU quota holds it back, not the host: more machines would not help. Pressure says that it hurts, and
# throttling says why.
rule "web-quota-too-small" {
  services = ["web"]
  when     = avg(unit.psi.cpu.some, "2m") > 30 * percent && avg(unit.throttled, "2m") > 25 * percent
  clear    = avg(unit.throttled, "2m") < 5 * percent
}

test "a crash is answered by a start" {
  series = { "unit.state{web.service}" = "active x30 failed" }
  at "29s" { firing = [] }
  at "1m" {
    attempts  = ["start verified"]
    incidents = { web = "resolved" }
  }
}

test "a unit that does not stay up goes to people after three starts" {
  series = { "unit.state{web.service}" = "active x30 failed" }
  after "start" {
    series = { "unit.state{web.service}" = "active x2 failed" }
  }
  at "5m" {
    attempts  = ["start ineffective", "start ineffective", "start ineffective"]
    incidents = { web = "escalated" }
  }
}

test "what a person stopped stays stopped" {
  series = {
    "unit.state{web.service}" = "active x30 inactive"
    "probe.health.ok{web}"    = "true x30 false"
  }
  at "10m" { incidents = { web = "none" } }
}

test "a hang: a reload does not help, a restart does" {
  series = {
    "probe.health.ok{web}"        = "true x60 false"
    "host.memory.available_ratio" = "50%"
  }
  after "restart" {
    series = { "probe.health.ok{web}" = "false x3 true" }
  }
  at "62s" { attempts = ["reload verifying"] }
  at "3m" {
    attempts  = ["reload ineffective", "restart verified"]
    incidents = { web = "resolved" }
  }
}

test "no restart while there is no memory to start with" {
  series = {
    "probe.health.ok{web}"        = "true x60 false"
    "host.memory.available_ratio" = "2%"
  }
  at "10m" {
    attempts  = ["reload ineffective", "reload ineffective", "reload ineffective"]
    incidents = { web = "escalated" }
    said      = ["the precondition of restart does not hold"]
  }
}

test "nobody judges a unit that is starting" {
  series = {
    "unit.state{web.service}" = "failed x5 activating x5 active"
    "probe.health.ok{web}"    = "false x14 true"
  }
  at "40s" {
    firing   = []
    attempts = ["start verified"]
  }
}

test "half a second is slow at noon on a working day" {
  start  = "2026-03-04T12:00:00+01:00"
  series = { "probe.health.latency{web}" = "500ms" }
  at "3m" { firing = ["web-slow"] }
}

test "and good enough at night" {
  start  = "2026-03-04T02:00:00+01:00"
  series = { "probe.health.latency{web}" = "500ms" }
  at "3m" { incidents = { web = "none" } }
}

test "one slow answer in a minute is no slow server" {
  start  = "2026-03-04T12:00:00+01:00"
  series = { "probe.health.latency{web}" = "50ms x100 3s x3 50ms" }
  at "5m" { incidents = { web = "none" } }
}

test "a leak is ended by a restart" {
  series = {
    "unit.memory_bytes{web.service}" = "200MiB+10MiB x200"
    "probe.health.ok{web}"           = "true"
    "host.memory.available_ratio"    = "50%"
  }
  after "restart" {
    series = { "unit.memory_bytes{web.service}" = "150MiB" }
  }
  at "80s" { firing = [] }
  at "4m" {
    attempts  = ["restart verified"]
    incidents = { web = "resolved" }
  }
}

test "a crash loop of systemd's own restarts is told" {
  every  = "10s"
  series = { "unit.restarts{web.service}" = "0x60 0+1x10 9" }
  at "10m" { firing = [] }
  at "11m" { firing = ["web-crash-loop"] }
  at "30m" { incidents = { web = "resolved" } }
}

test "one automatic restart is systemd at work" {
  every  = "10s"
  series = { "unit.restarts{web.service}" = "0x60 1" }
  at "30m" { incidents = { web = "none" } }
}

test "a worker that the kernel killed is told, though the unit goes on" {
  every  = "10s"
  series = { "unit.oom_kills{web.service}" = "0x90 1" }
  at "14m50s" { firing = [] }
  at "16m" { firing = ["web-oom"] }
  at "1h" { incidents = { web = "resolved" } }
}

test "pressure without throttling is the host's, not the quota's" {
  series = {
    "unit.psi.cpu.some{web.service}" = "60%"
    "unit.throttled{web.service}"    = "0%"
  }
  at "15m" { incidents = { web = "none" } }
}

test "a quota that hurts" {
  series = {
    "unit.psi.cpu.some{web.service}" = "0%x180 60%x600 0%"
    "unit.throttled{web.service}"    = "0%x180 50%x600 0%"
  }
  at "6m" { firing = ["web-quota-too-small"] }
  at "20m" { incidents = { web = "resolved" } }
}

test "a few complaints are no trouble, a stream of them is" {
  series = { "log.errors.rate{web}" = "0x60 0.1x120 2x120 0" }
  at "3m" { firing = [] }
  at "4m" { firing = ["web-complains"] }
  at "10m" { incidents = { web = "resolved" } }
}

test "a quota that holds back what is in no hurry" {
  series = {
    "unit.psi.cpu.some{web.service}" = "5%"
    "unit.throttled{web.service}"    = "50%"
  }
  at "15m" { incidents = { web = "none" } }
}
