# A condition about recent changes goes by what the test changes: of the service or of its host, by kind, for so long as it says.

service "web" {}
service "db" {}

rule "any" {
  services  = ["web", "db"]
  when      = recent_change("1m")
  clear     = !recent_change("1m")
  clear_for = "0s"
}

rule "packages" {
  when      = recent_change("1m", "package")
  clear     = !recent_change("1m", "package")
  clear_for = "0s"
}

test "of one service" {
  series = { "unit.state{web.service}" = "active", "unit.state{db.service}" = "active" }
  change "10s" { service = "web" }
  at "9s" { firing = [] }
  at "10s" { firing = ["any{web.service}"] }
  at "70s" { firing = ["any{web.service}"] }
  at "71s" { firing = [] }
}

test "of the host" {
  series = { "unit.state{web.service}" = "active", "unit.state{db.service}" = "active" }
  change "10s" { kind = "package" }
  change "40s" { kind = "configuration" }
  at "11s" { firing = ["any{web.service}", "any{db.service}", "packages"] }
  at "71s" { firing = ["any{web.service}", "any{db.service}"] }
  at "101s" { firing = [] }
}
