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

rule "backup-hogs-cpu" {
  services = ["backup"]
  when     = unit.cpu > 80 * percent && host.psi.cpu.some > 20 * percent
  clear    = unit.cpu < 40 * percent
  for      = "30s"
  try      = ["limit-cpu"]
}
