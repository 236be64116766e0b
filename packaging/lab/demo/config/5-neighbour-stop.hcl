# Takes the place of rules.d/5-neighbour.hcl where the CPU controller cannot be had: there a quota
# would be accepted and have no effect, so the neighbour is stopped.

service "reports" {
  unit    = "salve-demo-reports.service"
  startup = "1s"
  every   = "200ms"

  remedy "stop" "stop-reports" {
    verify {
      when   = !unit.active
      within = "10s"
      hold   = "1s"
    }
  }
}

rule "reports-eat-cpu" {
  services  = ["reports"]
  when      = unit.active && unit.cpu > 0.8
  clear     = !unit.active || unit.cpu < 0.4
  for       = "1s"
  clear_for = "1s"
  try       = ["stop-reports"]
}
