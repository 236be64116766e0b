# A unit that died is started again.
service "shop" {
  remedy "start" "start-shop" {}
}

rule "shop-failed" {
  services = ["shop"]
  when     = unit.failed
  try      = ["start-shop"]
}

test "a crash is answered by a start" {
  series = { "unit.state{shop.service}" = "active x30 failed" }
  at "1m" { attempts = ["start-shop verified"] }
}
