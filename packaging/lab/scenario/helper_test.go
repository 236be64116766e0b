//go:build lab

package scenario

import (
	"strings"
	"testing"

	"github.com/salveops/salve/packaging/lab/booted"
)

// TestHelper: where polkit has no rules for the agent, the helper repairs for it; and a limit that it set ends by
// itself, also when neither the agent nor the helper lives any more.
func TestHelper(t *testing.T) {
	f := open(t)
	h := f.web[3] // limits hold where there are control groups v1
	f.write(h, "/etc/salve/agent.hcl", strings.Replace(f.agentConfig(h),
		`["start", "restart"]`, `["start", "restart", "set_property"]`, 1), 0o644)
	f.write(h, "/etc/salve/rules.d/shop.hcl", strings.Replace(shopRules, "}\n\nrule", limitRemedy+"rule", 1), 0o644)
	f.sh(h, "systemctl enable --quiet --now salve-agent-helper.socket && systemctl reload salve-agent")
	f.sh(h, "rm /etc/polkit-1/rules.d/40-salve-agent.rules && systemctl restart polkit")
	if out, err := h.Exec(f.ctx(), "setpriv", "--reuid=salve", "--regid=salve", "--clear-groups",
		"systemctl", "--no-ask-password", "restart", shop); err == nil {
		t.Fatalf("polkit lets the agent's user restart the shop: %s", out)
	}

	f.fault(h, "errors?ratio=1")
	f.eventually(upTime, "healed by the helper", func() string { return f.ill(h) })
	f.eventually(upTime, "Salve is at rest", f.restless)
	log := f.sh(h, "journalctl --no-pager -u salve-agent-helper")
	if !strings.Contains(log, "restart") {
		t.Errorf("the helper does not say what it did:\n%s", log)
	}

	// A limit below what it verifies would be taken back, so nothing is asked of it but that it holds.
	out, err := f.salveOn(h, "agent", "run", "slow-down")
	f.must(err)
	if got := f.quota(h); got != "200ms" {
		t.Fatalf("CPUQuota is %s a second:\n%s", got, out)
	}
	f.tell("the agent and the helper die")
	f.sh(h, "systemctl stop salve-agent salve-agent-helper.socket salve-agent-helper.service")
	f.eventually(upTime, "the limit ends by itself", func() string {
		if got := f.quota(h); got != "infinity" {
			return got + " a second"
		}
		return ""
	})

	f.write(h, "/etc/salve/agent.hcl", f.agentConfig(h), 0o644)
	f.write(h, "/etc/salve/rules.d/shop.hcl", shopRules, 0o644)
	f.sh(h, "systemctl disable --quiet salve-agent-helper.socket && systemctl start salve-agent")
}

// quota is the shop's limit of CPU time in a second.
func (f *fleet) quota(h *booted.Host) string {
	f.t.Helper()
	return strings.TrimSpace(f.sh(h, "systemctl show --property=CPUQuotaPerSecUSec --value "+shop))
}

// limitRemedy goes at the end of the shop's service.
const limitRemedy = `
  remedy "set_property" "slow-down" {
    properties = { CPUQuota = "20%" }
    for        = "20s"
    verify {
      when   = probe.health.ok
      within = "10s"
      hold   = "1s"
    }
  }
}

`
