# A neighbour that takes the CPU away from what matters. It is limited, not stopped, and the limit is
# verified by the kernel's own figures: a limit that is accepted and has no effect counts as failed.

service "backup" {
  tier = "best_effort"

  remedy "set_property" "limit-cpu" {
    properties = { CPUQuota = "20%" }
    for        = "30m" # taken back by itself, also if the agent is dead then: needs salve-agent-helper.socket
    verify {
      when   = unit.cpu < 40 * percent
      within = "30s"
    }
  }
}

# It takes more than its share while others wait. A backup that takes what nobody wants is well used.
rule "backup-hogs-cpu" {
  services = ["backup"]
  when     = unit.cpu > 80 * percent && host.psi.cpu.some > 20 * percent
  clear    = unit.cpu < 40 * percent
  for      = "30s"
  try      = ["limit-cpu"]
}

test "a backup that takes the CPU away is limited, and the limit is seen to hold" {
  series = {
    "unit.cpu{backup.service}" = "10%x60 95%"
    "host.psi.cpu.some"        = "2%x60 40%"
  }
  after "limit-cpu" {
    series = {
      "unit.cpu{backup.service}" = "20%"
      "host.psi.cpu.some"        = "2%"
    }
  }
  at "80s" { attempts = [] }
  at "3m" {
    attempts  = ["limit-cpu verified"]
    incidents = { backup = "resolved" }
  }
}

test "a backup that takes what nobody wants is left alone" {
  series = {
    "unit.cpu{backup.service}" = "95%"
    "host.psi.cpu.some"        = "3%"
  }
  at "10m" { incidents = { backup = "none" } }
}

test "a limit without effect is taken back, and people are told" {
  series = {
    "unit.cpu{backup.service}" = "95%"
    "host.psi.cpu.some"        = "40%"
  }
  at "20m" {
    attempts  = ["limit-cpu ineffective", "limit-cpu ineffective", "limit-cpu ineffective"]
    incidents = { backup = "escalated" }
    said      = ["limit-cpu was taken back"]
  }
}

test "others make the host wait, while the backup rests" {
  series = {
    "unit.cpu{backup.service}" = "10%"
    "host.psi.cpu.some"        = "40%"
  }
  at "10m" { incidents = { backup = "none" } }
}
