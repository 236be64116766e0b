# A nightly report eats a whole CPU beside the shop. It is not restarted, it is held: a quota that
# systemd sets and the kernel enforces, and the unit's own CPU figure must then show it.

service "reports" {
  unit    = "salve-demo-reports.service"
  startup = "1s"
  every   = "200ms"

  remedy "set_property" "hold-reports" {
    properties = { CPUQuota = "20%" }
    verify {
      when   = unit.cpu < 0.4
      within = "15s"
      hold   = "1s"
    }
  }
}

rule "reports-eat-cpu" {
  services  = ["reports"]
  when      = unit.cpu > 0.8
  clear     = unit.cpu < 0.4
  for       = "1s"
  clear_for = "1s"
  try       = ["hold-reports"]
}
