# A disk fills up: logs are rotated, what was removed and is held open is let go, and then the oldest rotated files go until
# a fifth is free. The newest of each stays, and so does whatever was written to in the last hour.
service "shop" {}

remedy "free_space" "tidy-logs" {
  path     = "/var/log/shop"
  free     = 20 * percent
  cleaners = ["logrotate.service"]
  reopen   = ["shop.service"]
  files    = ["*.log.*", "old/*.gz"]
}

rule "logs-fill-the-disk" {
  when  = host.disk["/var/log"].used_ratio > 90 * percent
  clear = host.disk["/var/log"].used_ratio < 85 * percent
  try   = ["tidy-logs"]
}

test "rotated logs make room" {
  series = { "host.disk[/var/log].used_ratio" = "70%x60 97%" }
  after "tidy-logs" {
    series = { "host.disk[/var/log].used_ratio" = "80%" }
  }
  at "5m" { attempts = ["tidy-logs verified"] }
}

test "a disk that is full of something else goes to people" {
  series = { "host.disk[/var/log].used_ratio" = "70%x60 97%" }
  at "20m" {
    attempts  = ["tidy-logs ineffective", "tidy-logs ineffective", "tidy-logs ineffective"]
    incidents = { host = "escalated" }
  }
}
