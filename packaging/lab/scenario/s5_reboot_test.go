//go:build lab

package scenario

import (
	"regexp"
	"strings"
	"testing"
)

// TestLastResort: what no restart mends goes with a reboot, which a lock of somebody's keeps away. The host comes back, and
// the agent of the next boot proves by the boot's identity that it took place, and by samples that it helped.
func TestLastResort(t *testing.T) {
	f := open(t)
	h := f.web[0]
	f.write(h, "/etc/salve/agent.hcl", f.agentConfig(h)+rebootAllowed, 0o644)
	f.write(h, "/etc/salve/rules.d/shop.hcl", strings.Replace(shopRules, "}\n\nrule", rebootRemedy+"rule", 1), 0o644)
	f.sh(h, "systemd-run --quiet --unit=backup systemd-inhibit --what=shutdown --mode=block --who=backup --why='it writes' sleep 1000")
	f.sh(h, "systemctl reload salve-agent")

	says := func(words string) func() string {
		return func() string {
			if out, err := f.salveOn(h, "agent", "run", "shop/reboot-it", "--dry-run"); !strings.Contains(out+text(err), words) {
				return out + text(err)
			}
			return ""
		}
	}
	f.eventually(upTime, "the lock is in the way", says("backup (it writes, process "))
	f.sh(h, "systemctl stop backup")
	f.eventually(upTime, "nothing is in the way", says("shop.service is away until the host is back"))
	f.tell("%s is stuck", h.Name)
	f.sh(h, "touch /run/stuck")
	f.must(h.Return(f.ctx()))
	f.awaitWell()

	story, err := f.salveOn(h, "agent", "explain", "last")
	f.must(err)
	for _, want := range []string{
		`permit    the controller permits reboot-it`,
		`intent    reboot-it begins: reboot the host through logind, which ends boot [0-9a-f]{8} after`,
		`act       the agent was restarted while reboot-it was under way: it had run`,
		`verify    reboot-it: verified`,
		`resolved: reboot-it healed it`,
	} {
		if n := len(regexp.MustCompile(want).FindAllString(story, -1)); n != 1 {
			t.Errorf("the story says %q %d times, and should say it once:\n%s", want, n, story)
		}
	}
	if log := f.sh(h, "journalctl --no-pager -u salve-agent"); !regexp.MustCompile(
		`settled an attempt of an earlier agent: .*the host was rebooted: boot [0-9a-f]{8} is over, and boot [0-9a-f]{8} began`).MatchString(log) {
		t.Errorf("the agent does not say by what it knows:\n%s", log)
	}
	f.write(h, "/etc/salve/agent.hcl", f.agentConfig(h), 0o644)
	f.write(h, "/etc/salve/rules.d/shop.hcl", shopRules, 0o644)
	f.sh(h, "systemctl reload salve-agent")
}

const rebootAllowed = `
allow {
  host    = true
  actions = ["reboot"]
}
allow {
  exec    = ["/usr/bin/test"]
  actions = ["probe"]
}
`

// rebootRemedy goes at the end of the shop's service.
const rebootRemedy = `
  probe "free" {
    exec    = ["/usr/bin/test", "!", "-e", "/run/stuck"]
    every   = "500ms"
    timeout = "400ms"
  }
  remedy "reboot" "reboot-it" {
    min_uptime = "10s"
    verify {
      when   = probe.free.ok && probe.work.ok
      within = "30s"
      hold   = "1s"
    }
  }
}

rule "shop-is-stuck" {
  services  = ["shop"]
  severity  = "critical"
  when      = !probe.free.ok
  clear     = probe.free.ok
  for       = "500ms"
  clear_for = "1s"
  try       = ["reboot-it"]
}

`
