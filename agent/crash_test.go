package agent

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/salveops/salve/proto/localpb"
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
func newWeb(t testing.TB) *host {
	t.Helper()
	h := newHost(t)
	h.install("web.service", h.counted("web"))
	h.configure(web)
	return h
}

// gate is a file without which a unit does not come up.
type gate string

// newGated is newWeb with a gate, which is open: while it is shut, an action that starts the unit goes on.
func newGated(t testing.TB) (*host, gate) {
	t.Helper()
	h := newHost(t)
	g := gate(h.file("gate"))
	g.open(t)
	h.install("web.service", h.counted("web", "ExecStartPre=/bin/sh -c 'until test -e "+string(g)+"; do sleep 0.05; done'"))
	h.configure(web)
	return h, g
}

func (g gate) open(t testing.TB) {
	t.Helper()
	if err := os.WriteFile(string(g), nil, 0o600); err != nil {
		t.Fatal(err)
	}
}

func (g gate) shut(t testing.TB) {
	t.Helper()
	if err := os.Remove(string(g)); err != nil {
		t.Fatal(err)
	}
}

// A crash is healed and proved, and the record tells all of it to someone who was asleep.
func TestCrashIsHealedAndExplained(t *testing.T) {
	t.Parallel()
	h := newWeb(t)
	a := h.start(nil)
	h.crash("web.service")
	in := a.ended("web")
	starts := h.starts("web")
	if len(starts) != 2 || len(in.GetAlerts()) != 1 || len(in.GetAttempts()) != 1 {
		t.Fatalf("%d starts, %d alerts, %d attempts; want 2, 1, 1", len(starts), len(in.GetAlerts()), len(in.GetAttempts()))
	}
	s, al, at := in.GetSummary(), in.GetAlerts()[0], in.GetAttempts()[0]
	got := []string{
		s.GetState(), s.GetEnd(), s.GetSeverity(),
		al.GetRule(), al.GetInstance(), al.GetState(), al.GetCondition(), values(al),
		at.GetRemedy(), at.GetTarget(), at.GetBy(), at.GetPhase(), at.GetOutcome(),
	}
	want := []string{
		"resolved", "again healed it", "critical",
		"web-down", "web.service", "resolved", "unit.failed", "unit.failed = true",
		"again", "web.service", "rule", "judged", "verified",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the record (-want +got):\n%s", diff)
	}
	for what, took := range map[string]*durationpb.Duration{
		"detect": s.GetDetect(), "act": s.GetAct(), "verify": s.GetVerify(), "total": s.GetTotal(),
		"attempt's act": at.GetAct(), "attempt's verify": at.GetVerify(),
	} {
		if took.AsDuration() <= 0 || took.AsDuration() > patience {
			t.Errorf("%s took %v", what, took)
		}
	}
	if !al.GetFired().IsValid() || !al.GetResolved().IsValid() || !at.GetIntended().IsValid() || at.GetReason() == "" {
		t.Errorf("something is missing in %v or %v", al, at)
	}
	if !strings.Contains(at.GetBefore(), starts[0]) || !strings.Contains(at.GetAfter(), starts[1]) {
		t.Errorf("the attempt does not name the lives %v: %s, %s", starts, at.GetBefore(), at.GetAfter())
	}
	if len(in.GetEvidence()) < 2 {
		t.Errorf("%d pieces of evidence", len(in.GetEvidence()))
	}
	decision := a.await(event{typ: "decide", fields: map[string]string{"verdict": "act", "remedy": "again"}})
	if c := decision.GetFields()["candidates"]; c != "again (confidence 80 %): nothing stands in its way" {
		t.Errorf("the candidates of the decision are %q", c)
	}
}

func values(a *localpb.Alert) string {
	var all []string
	for _, v := range a.GetValues() {
		all = append(all, v.GetSignal()+" = "+v.GetText())
	}
	return strings.Join(all, ", ")
}
