# systemd's own daemons: journald, logind, networkd, resolved, timesyncd, udevd, oomd. Without them the host still runs,
# and loses logs, names, logins or the time. They are no services of yours, so people are told and nothing is tried.

# One of them failed, by systemd's own word. What an administrator stopped is none of our business.
rule "system-daemon-failed" {
  unit     = "systemd-*d.service"
  severity = "critical"
  when     = unit.failed
}

# Started again by systemd each time, so that it never shows as failed.
rule "system-daemon-crash-loop" {
  unit  = "systemd-*d.service"
  when  = change(unit.restarts, "10m") > 3
  clear = change(unit.restarts, "30m") == 0
  for   = "0s"
}

test "a daemon that failed is told, by name" {
  series = {
    "unit.state{systemd-resolved.service}" = "active x30 failed x300 active"
    "unit.state{systemd-logind.service}"   = "active"
  }
  at "29s" { firing = [] }
  at "1m" {
    firing    = ["system-daemon-failed{systemd-resolved.service}"]
    attempts  = []
    incidents = { host = "escalated" }
  }
  at "8m" { incidents = { host = "resolved" } }
}

test "a daemon that an administrator stopped is none of our business" {
  series = { "unit.state{systemd-timesyncd.service}" = "active x30 inactive" }
  at "10m" { incidents = { host = "none" } }
}

test "units of others are not looked at" {
  series = { "unit.state{cron.service}" = "active x30 failed" }
  at "10m" { incidents = { host = "none" } }
}

test "restarts by systemd count, an upgrade's single one does not" {
  every = "10s"
  series = {
    "unit.restarts{systemd-journald.service}" = "0x180 1+1x6 6"
    "unit.restarts{systemd-udevd.service}"    = "2x180 3"
  }
  at "29m" { firing = [] }
  at "32m" { firing = ["system-daemon-crash-loop{systemd-journald.service}"] }
  at "70m" { incidents = { host = "resolved" } }
}
