# Its logs are rotated and it holds the old file open: it opens them anew on a signal.
service "shop" {
  remedy "kill" "reopen-logs" {
    signal = "SIGUSR1"
  }
}

rule "shop-holds-files" {
  services = ["shop"]
  when     = unit.fds > 900
  clear    = unit.fds < 500
  try      = ["reopen-logs"]
}

test "files are closed on a signal" {
  series = { "unit.fds{shop.service}" = "100x60 1000" }
  after "reopen-logs" {
    series = { "unit.fds{shop.service}" = "100" }
  }
  at "3m" { attempts = ["reopen-logs verified"] }
}
