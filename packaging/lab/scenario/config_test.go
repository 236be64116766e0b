//go:build lab

package scenario

import (
	"fmt"
	"strings"

	"github.com/salveops/salve/packaging/lab/booted"
)

// breakerWindow is short, so that onsets can be further apart than that within a test.
const breakerWindow = "10s"

// controllerConfig is a node's file.
func (f *fleet) controllerConfig(h *booted.Host) string {
	return fmt.Sprintf(`
node = %[1]q
listen {
  grpc = "%[1]s:7600"
  raft = "%[1]s:7601"
}
tls {
  ca     = "/etc/salve/tls/ca.pem"
  cert   = "/etc/salve/tls/%[1]s.pem"
  key    = "/etc/salve/tls/%[1]s-key.pem"
  ca_key = "/etc/salve/tls/ca-key.pem"
}
raft {
  bootstrap_expect = 3
  peers            = [%[2]s]
}
service "shop" {
  max_unavailable = 1
}
breaker {
  share  = 75 * percent
  window = %[3]q
}
`, h.Name, f.quoted(":7601"), breakerWindow) + f.people()
}

// quoted are the nodes with a port, as a list in HCL.
func (f *fleet) quoted(port string) string {
	return `"` + strings.ReplaceAll(f.addresses(port), ",", `", "`) + `"`
}

// people is whom a node or an agent tells.
func (f *fleet) people() string {
	return fmt.Sprintf(`
notifier "webhook" "pager" {
  url         = "http://%s/page"
  secret_file = "/etc/salve/pager.key"
}
escalation "default" {
  step { notify = ["webhook.pager"] }
}
`, f.pager.Addr)
}

func (f *fleet) agentConfig(h *booted.Host) string {
	return fmt.Sprintf(`
host     = %q
autonomy = "full"
per_hour = 1000
controller { addresses = [%s] }
allow {
  units   = ["shop.service"]
  actions = ["start", "restart"]
}
`, h.Name, f.quoted(":7600")) + f.people()
}

// cacheFile belongs to the release of the shop: a corrupt one makes it fail, and no restart helps.
const cacheFile = "/var/lib/shop/cache"

// shopUnit takes a moment to start, so that repairs would overlap if nobody kept them apart. A reload prints what the
// log block counts.
const shopUnit = `[Unit]
Description=The shop
StartLimitIntervalSec=0
[Service]
Type=notify
ExecStartPre=/bin/sleep 0.7
ExecStart=/usr/local/bin/lab-service --listen 0.0.0.0:8080 --cache /var/lib/shop/cache
ExecReload=/bin/sh -c 'for n in 1 2 3 4 5; do echo out of stock: lamps; done'
StateDirectory=shop
Environment=GOMAXPROCS=1
TimeoutStartSec=10
TimeoutStopSec=5
[Install]
WantedBy=multi-user.target
`

// shopRules are three ways in which the shop can be ill, each with its remedy: it is dead, it hangs, it fails. That it
// complains is for people.
const shopRules = `
service "shop" {
  unit    = "shop.service"
  startup = "1s"

  probe "health" {
    http    = "http://127.0.0.1:8080/healthz"
    every   = "500ms"
    timeout = "400ms"
  }
  probe "work" {
    http    = "http://127.0.0.1:8080/work"
    every   = "500ms"
    timeout = "400ms"
  }

  log "complaints" {
    match  = "out of stock: (?P<what>[a-z]+)"
    window = "20s" # in which an agent starts, also on a busy machine
  }

  remedy "start" "start-it" {
    cooldown  = "0s"
    attempts  = 100 # one fleet serves all tests
    recurring = 100
    verify {
      when   = probe.health.ok && probe.work.ok
      within = "12s"
      hold   = "1s"
    }
  }
  remedy "restart" "restart-it" {
    cooldown  = "0s"
    attempts  = 100 # one fleet serves all tests
    recurring = 100
    verify {
      when   = probe.health.ok && probe.work.ok
      within = "12s"
      hold   = "1s"
    }
  }
}

rule "shop-down" {
  services  = ["shop"]
  severity  = "critical"
  when      = unit.failed
  clear     = unit.active
  for       = "500ms"
  clear_for = "1s"
  try       = ["start-it"]
  escalate {
    after = "60s"
  }
}

rule "shop-hangs" {
  services  = ["shop"]
  severity  = "critical"
  when      = unit.active && !probe.health.ok
  clear     = probe.health.ok
  for       = "500ms"
  clear_for = "1s"
  try       = ["restart-it"]
  escalate {
    after = "60s"
  }
}

rule "shop-fails" {
  services  = ["shop"]
  severity  = "critical"
  when      = probe.health.ok && !probe.work.ok
  clear     = probe.work.ok
  for       = "500ms"
  clear_for = "1s"
  try       = ["restart-it"]
  escalate {
    after = "60s"
  }
}

rule "shop-complains" {
  services  = ["shop"]
  when      = log.complaints.rate > 0.2 / s
  for       = "0s"
  clear_for = "1s"
}
`
