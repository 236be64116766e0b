# A certificate that was renewed on disk is taken over.
service "proxy" {
  probe "certificate" { tls = "127.0.0.1:8443" }

  remedy "reload" "reload-proxy" {}
}

rule "certificate-ends" {
  services = ["proxy"]
  when     = probe.certificate.expires < 48 * h
  try      = ["reload-proxy"]
}

test "an old certificate is replaced by the one on disk" {
  series = { "probe.certificate.expires{proxy}" = "100h x60 40h" }
  after "reload-proxy" {
    series = { "probe.certificate.expires{proxy}" = "2000h" }
  }
  at "5m" { attempts = ["reload-proxy verified"] }
}
