package agent

import (
	"strings"
	"testing"
)

// web is the service of most tests: a unit that is started again when it failed, and proved to be up.
const web = `
allow {
  units   = ["web.service"]
  actions = ["start", "restart"]
}
service "web" {
  unit    = "web.service"
  startup = "100ms"
  every   = "100ms"
  remedy "restart" "again" {
    cooldown = "1s"
    verify {
      within = "10s"
      hold   = "100ms"
    }
  }
}
rule "web-down" {
  services  = ["web"]
  severity  = "critical"
  when      = unit.failed
  clear_for = "100ms"
  try       = ["again"]
}
`

// newWeb is a host with the service web running and configured.
func newWeb(t testing.TB, more ...string) *host {
	t.Helper()
	h := newHost(t)
	h.install("web.service", h.counted("web", more...))
	h.configure(web)
	return h
}

// A crash is healed and proved, and the record tells all of it to someone who was asleep.
func TestCrashIsHealedAndExplained(t *testing.T) {
	t.Parallel()
	h := newWeb(t)
	a := h.start(nil)
	h.crash("web.service")
	in := a.ended("web")

	s := in.GetSummary()
	if s.GetState() != "resolved" || s.GetEnd() != "again healed it" || s.GetSeverity() != "critical" {
		t.Errorf("the incident is %s, %q", s.GetState(), s.GetEnd())
	}
	if s.GetAct() == nil || s.GetVerify() == nil || s.GetTotal() == nil || s.GetDetect() == nil {
		t.Errorf("a time is missing: detect %v, act %v, verify %v, total %v", s.GetDetect(), s.GetAct(), s.GetVerify(), s.GetTotal())
	}
	if len(in.GetAlerts()) != 1 {
		t.Fatalf("%d alerts, want 1", len(in.GetAlerts()))
	}
	al := in.GetAlerts()[0]
	if al.GetRule() != "web-down" || al.GetInstance() != "web.service" || al.GetFired() == nil || al.GetResolved() == nil ||
		al.GetCondition() != "unit.failed" {
		t.Errorf("alert is %v", al)
	}
	if v := al.GetValues(); len(v) != 1 || v[0].GetSignal() != "unit.failed" || !v[0].GetKnown() || v[0].GetText() != "true" {
		t.Errorf("the values behind the alert are %v", v)
	}
	decided := false
	for _, e := range in.GetTimeline() {
		if e.GetType() == "decide" && e.GetFields()["remedy"] == "again" {
			decided = strings.Contains(e.GetFields()["candidates"], "again (confidence 80 %): nothing stands in its way")
		}
	}
	if !decided {
		t.Errorf("no decision with its candidates in the timeline:\n%s", a.told())
	}
	if len(in.GetAttempts()) != 1 {
		t.Fatalf("%d attempts, want 1", len(in.GetAttempts()))
	}
	at := in.GetAttempts()[0]
	if at.GetOutcome() != "verified" || at.GetPhase() != "judged" || at.GetTarget() != "web.service" || at.GetBy() != "rule" ||
		at.GetIntended() == nil || at.GetAct().AsDuration() <= 0 || at.GetVerify().AsDuration() <= 0 || at.GetReason() == "" {
		t.Errorf("attempt is %v", at)
	}
	starts := h.starts("web")
	if len(starts) != 2 {
		t.Fatalf("%d starts, want 2", len(starts))
	}
	if !strings.Contains(at.GetBefore(), starts[0]) || !strings.Contains(at.GetAfter(), starts[1]) {
		t.Errorf("the attempt's evidence does not name the lives %v: %s, %s", starts, at.GetBefore(), at.GetAfter())
	}
	if len(in.GetEvidence()) < 2 {
		t.Errorf("%d pieces of evidence", len(in.GetEvidence()))
	}
}
