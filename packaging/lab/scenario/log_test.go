//go:build lab

package scenario

import (
	"fmt"
	"strings"
	"testing"

	"github.com/salveops/salve/packaging/lab/booted"
	"github.com/salveops/salve/proto/localpb"
)

// TestLogLines: what a service prints makes a rule fire, on a host whose journald writes it: also when the journal's
// files are rotated meanwhile, and when it was written while there was no agent.
func TestLogLines(t *testing.T) {
	f := open(t)
	h := f.web[2]
	const complain = "systemctl reload " + shop // which prints five lines; see shopUnit
	// It began before the lab gave this boot its name; see booted.BootBind.
	f.sh(h, "systemctl restart systemd-journald")
	f.tell("the shop on %s complains", h.Name)
	f.sh(h, complain)
	f.eventually(upTime, "the rule fires", func() string { return f.complains(h, true) })
	f.tell("the journal of %s is rotated", h.Name)
	f.sh(h, "journalctl -q --rotate && "+complain)
	f.eventually(upTime, "lines after the rotation are counted", func() string {
		var r localpb.SignalsResponse
		if err := f.read(h, &r, "agent", "signals", "log.complaints.count*"); err != nil {
			return err.Error()
		}
		if s := r.GetSignals(); len(s) != 1 || s[0].GetValue() != 10 {
			return fmt.Sprint(s)
		}
		return ""
	})
	f.eventually(upTime, "the rule is quiet", func() string { return f.complains(h, false) })
	f.tell("the shop on %s complains while its agent is down", h.Name)
	f.sh(h, "systemctl stop salve-agent && "+complain+" && systemctl start salve-agent")
	f.eventually(upTime, "the rule fires after the start", func() string { return f.complains(h, true) })
}

// complains says what is missing until the rule about the shop's lines fires on the host, or does not.
func (f *fleet) complains(h *booted.Host, fires bool) string {
	alerts, err := f.salveOn(h, "agent", "alerts")
	if err == nil && strings.Contains(alerts, "shop-complains") != fires {
		return alerts
	}
	return text(err)
}
