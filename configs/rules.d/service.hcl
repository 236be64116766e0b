# A web server: what is watched, what counts as ill, and what is tried. Copy it, and change the names.

service "nginx" {
  # unit     = "nginx.service"      # default: NAME.service; a glob such as "worker@*.service" is
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
rule "nginx-failed" {
  services = ["nginx"]
  severity = "critical"
  when     = unit.failed
  try      = ["start"]
}

# It runs and does not answer: remedies are tried in this order, each verified by itself.
rule "nginx-hangs" {
  services = ["nginx"]
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

# It answers, but slowly; the limit is stricter while people are at work.
threshold "slow" {
  default = 1 * s
  case {
    when  = between("08:00", "18:00", "Europe/Berlin") && weekday()
    value = 300 * ms
  }
}

rule "nginx-slow" {
  services = ["nginx"]
  when     = quantile(0.9, probe.health.latency, "1m") > threshold.slow
  clear    = quantile(0.9, probe.health.latency, "1m") < 200 * ms
}

# It leaks: memory over the limit, measured where systemd accounts for it.
rule "nginx-leaks" {
  services = ["nginx"]
  when     = unit.memory_bytes > 1 * GiB
  clear    = unit.memory_bytes < 512 * MiB
  for      = "30s"
  try      = ["restart"]
}

# It complains: told to people, who see the last lines.
rule "nginx-complains" {
  services = ["nginx"]
  when     = log.errors.rate > 0.2 / s
  for      = "30s"
}
