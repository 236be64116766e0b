# A remedy that is proved by a signal of once a minute gets the time for enough samples of it, without being told.

service "proxy" {
  probe "certificate" { tls = "127.0.0.1:8443" }

  remedy "reload" "reload-proxy" {}
}

rule "certificate-ends" {
  services = ["proxy"]
  when     = probe.certificate.expires < 48 * h
  for      = "0s"
  try      = ["reload-proxy"]
}

test "it helped" {
  series = { "probe.certificate.expires{proxy}" = "100h x60 40h" }
  after "reload-proxy" {
    series = { "probe.certificate.expires{proxy}" = "2000h" }
  }
  at "3m" { attempts = ["reload-proxy verifying"] }
  at "5m" { attempts = ["reload-proxy verified"] }
}

test "it did not" {
  series = { "probe.certificate.expires{proxy}" = "100h x60 40h" }
  at "5m" { attempts = ["reload-proxy verifying"] }
  at "310s" { attempts = ["reload-proxy ineffective"] }
}
