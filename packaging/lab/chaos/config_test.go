package chaos

import (
	"fmt"
	"path/filepath"
	"strings"
)

// controllerConfig is the file of one node. Nothing of the services runs without a permit, not even the start of a
// dead unit, so that whatever systemd does to a unit must have one.
func (f *fleet) controllerConfig(name, grpc, web string, raft []string) string {
	var peers []string
	own := ""
	for i, address := range raft {
		peers = append(peers, fmt.Sprintf("%q", node(i)+"="+address))
		if node(i) == name {
			own = address
		}
	}
	return fmt.Sprintf(`
node      = %[1]q
data      = %[2]q
fleet_max = %[3]d

listen {
  grpc = %[4]q
  raft = %[5]q
  http = %[6]q
}
raft {
  bootstrap_expect = %[7]d
  peers            = [%[8]s]
  profile          = "fast"
}
breaker {
  share  = 80 * percent
  window = "10s"
}
service "shop" {
  max_unavailable = %[9]d
  permit          = "always"
}
service "cart" {
  max_unavailable = 34 * percent # of six: two
  permit          = "always"
}
`, name, filepath.Join(f.dir, name), limits.Fleet, grpc, own, web, nodes, strings.Join(peers, ", "), limits.Cap) +
		f.people()
}

// people is whom a node or an agent tells.
func (f *fleet) people() string {
	return fmt.Sprintf(`
notifier "webhook" "pager" {
  url         = "http://%s/page"
  secret_file = %q
}
escalation "default" {
  step { notify = ["webhook.pager"] }
}
`, f.pager.Addr, filepath.Join(f.dir, "pager.key"))
}

func (f *fleet) agentConfig(host string, addresses []string) string {
	var units, nodes []string
	for _, service := range services {
		units = append(units, fmt.Sprintf("%q", unitOf(Place{service, host})))
	}
	for _, a := range addresses {
		nodes = append(nodes, fmt.Sprintf("%q", a))
	}
	dir := filepath.Join(f.dir, host)
	return fmt.Sprintf(`
host     = %[1]q
autonomy = "full"
per_hour = 1000
data     = "%[2]s/state"
socket   = "%[2]s/agent.sock"
metrics  = ""
rules    = "%[2]s/rules.d"

controller { addresses = [%[3]s] }

allow {
  units   = [%[4]s]
  actions = ["start", "restart"]
}
`, host, dir, strings.Join(nodes, ", "), strings.Join(units, ", ")) + f.people()
}

var rules = []struct{ name, kind, when, clear string }{
	{"down", "start", "unit.failed", "unit.active"},
	{"hangs", "restart", "unit.active && !probe.health.ok", "probe.health.ok"},
	{"fails", "restart", "probe.health.ok && !probe.work.ok", "probe.work.ok"},
}

// rulesOf are three ways in which a service can be ill, each with its remedy: it is dead, it hangs, it fails.
func rulesOf(service, host, address string) string {
	var b strings.Builder
	fmt.Fprintf(&b, `
service %[1]q {
  unit    = %[2]q
  startup = "1s"

  probe "health" {
    http    = "http://%[3]s/healthz"
    every   = "500ms"
    timeout = "400ms"
  }
  probe "work" {
    http    = "http://%[3]s/work"
    every   = "500ms"
    timeout = "400ms"
  }
`, service, unitOf(Place{service, host}), address)
	for _, r := range rules {
		fmt.Fprintf(&b, `
  remedy %q "%s-that-%s" {
    cooldown = "0s"
    verify {
      when   = probe.health.ok && probe.work.ok
      within = "12s"
      hold   = "1s"
    }
  }
`, r.kind, r.kind, r.name)
	}
	b.WriteString("}\n")
	for _, r := range rules {
		fmt.Fprintf(&b, `
rule "%[1]s-%[2]s" {
  services  = [%[1]q]
  severity  = "critical"
  when      = %[3]s
  clear     = %[4]s
  for       = "500ms"
  clear_for = "1s"
  try       = ["%[5]s-that-%[2]s"]
  escalate {
    after = "15s"
  }
}
`, service, r.name, r.when, r.clear, r.kind)
	}
	return b.String()
}

// serviceOf is the service that a rule is about.
func serviceOf(rule string) string {
	service, _, _ := strings.Cut(rule, "-")
	return service
}
