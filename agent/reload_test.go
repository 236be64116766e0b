package agent

import (
	"strings"
	"syscall"
	"testing"

	"github.com/salveops/salve/agent/agenttest"
	"github.com/salveops/salve/pkg/require"
	"github.com/salveops/salve/proto/localpb"
)

// A reload swaps a good configuration in, and refuses a bad one with the place of the mistake; then the
// old one stays. Alerts of rules that did not change go on as they were.
func TestReload(t *testing.T) {
	t.Parallel()
	h := newWeb(t)
	h.autonomy = "observe"
	h.configure(web)
	a := h.start(nil)
	digest := a.status().GetConfiguration().GetDigest()
	h.crash("web.service")
	fired := a.await(event{typ: "alert"})
	before := a.alert("web-down").GetFired()

	h.configure(strings.Replace(web, "unit.failed", "unit.faild", 1))
	_, err := a.Reload(t.Context(), &localpb.ReloadRequest{})
	refused(t, err, h.file("agent.hcl")+":28:15", "Did you mean unit.failed?")
	c := a.status().GetConfiguration()
	if c.GetDigest() != digest || !strings.Contains(c.GetRefused(), "unit.faild") {
		t.Errorf("after a refusal: digest %s, want %s; refused %q", c.GetDigest(), digest, c.GetRefused())
	}

	h.configure(web + `
rule "more" {
  services = ["web"]
  when     = unit.uptime > 1000 * h
}
`)
	r, err := a.Reload(t.Context(), &localpb.ReloadRequest{})
	if err != nil {
		t.Fatal(err)
	}
	s := a.status()
	c = s.GetConfiguration()
	if c.GetDigest() != r.GetDigest() || c.GetDigest() == digest || c.GetRefused() != "" || s.GetRules() != 2 {
		t.Errorf("after a reload: digest %s, %d rules, refused %q", c.GetDigest(), s.GetRules(), c.GetRefused())
	}
	if now := a.alert("web-down"); now.GetState() != "firing" || !now.GetFired().AsTime().Equal(before.AsTime()) ||
		now.GetIncident() != fired.GetIncident() {
		t.Errorf("the alert of a rule that did not change is %v, fired before at %v", now, before)
	}

	h.autonomy = "full" // an incident that is open is decided about anew
	h.configure(web)
	if _, err := a.Reload(t.Context(), &localpb.ReloadRequest{}); err != nil {
		t.Fatal(err)
	}
	if in := a.ended("web").GetSummary(); in.GetId() != fired.GetIncident() || in.GetEnd() != "again healed it" {
		t.Errorf("the incident %s ended: %q; it was %s", in.GetId(), in.GetEnd(), fired.GetIncident())
	}
	a.await(event{typ: "decide", fields: map[string]string{"verdict": "act", "remedy": "again"}})

	h.configure(web[:strings.Index(web, "rule ")])
	r, err = a.Reload(t.Context(), &localpb.ReloadRequest{})
	if err != nil || !strings.Contains(strings.Join(r.GetWarnings(), ""), "nothing is watched") {
		t.Errorf("without a rule: %v, %v", r, err)
	}
}

// What is opened once, at the start, cannot be changed by a reload, and the refusal says so.
func TestReloadOfWhatIsFixed(t *testing.T) {
	t.Parallel()
	h := newWeb(t)
	a := h.start(nil)
	h.metrics = require.Port(t)
	h.configure(web)
	_, err := a.Reload(t.Context(), &localpb.ReloadRequest{})
	refused(t, err, "metrics changed", "that takes a restart of the agent")
}

// SIGHUP is a reload too; what it refuses is in the log and in the status.
func TestHangup(t *testing.T) {
	t.Parallel()
	h := newWeb(t)
	p := h.spawn()
	h.configure(strings.Replace(web, "0ms", "0m", 1))
	p.signal(syscall.SIGHUP)
	agenttest.Eventually(t, func() bool {
		return p.status().GetConfiguration().GetRefused() != ""
	}, "the mistake is in the status")
	s, place := p.status(), h.file("agent.hcl")+":15:"
	if why := s.GetConfiguration().GetRefused(); s.GetHealthy() || !strings.Contains(why, place) {
		t.Errorf("healthy %v, refused %q", s.GetHealthy(), why)
	}
	h.configure(strings.Replace(web, "10s", "11s", 1))
	p.signal(syscall.SIGHUP)
	agenttest.Eventually(t, func() bool {
		s := p.status()
		return s.GetConfiguration().GetRefused() == "" && s.GetHealthy()
	}, "the good configuration holds")
	if code := p.signal(syscall.SIGTERM); code != 0 {
		t.Errorf("exit code %d after SIGTERM", code)
	}
}

// A SIGHUP before the agent is ready is a reload that comes later, and not its end.
func TestHangupWhileStarting(t *testing.T) {
	t.Parallel()
	h := newWeb(t)
	p := h.fork()
	agenttest.Eventually(t, func() bool { return p.log.String() != "" }, "the agent reads its configuration")
	p.signal(syscall.SIGHUP)
	h.awaitSocket(p.done, p.log.String)
	p.phone = h.call()
	agenttest.Eventually(t, func() bool {
		return strings.Contains(p.log.String(), "configuration loaded")
	}, "the hangup is a reload")
	if code := p.signal(syscall.SIGTERM); code != 0 {
		t.Errorf("exit code %d after SIGTERM", code)
	}
}

// refused expects an error with these parts.
func refused(t *testing.T, err error, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("the refusal is %v, want one with %q", err, part)
		}
	}
}

// alert is the alert of a rule, nil if it is at rest.
func (p *phone) alert(rule string) *localpb.Alert {
	p.t.Helper()
	r, err := p.Alerts(p.t.Context(), &localpb.AlertsRequest{})
	if err != nil {
		p.t.Fatal(err)
	}
	for _, a := range r.GetAlerts() {
		if a.GetRule() == rule {
			return a
		}
	}
	return nil
}
