package agent

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/salveops/salve/pkg/config"
	"github.com/salveops/salve/pkg/recording"
	"github.com/salveops/salve/pkg/simulate"
	"github.com/salveops/salve/proto/localpb"
)

// down is a rule about a unit that nobody starts again, so that it stays failed for long enough to be recorded.
const down = `
record_mib = 1
service "web" {
  unit = "web.service"
}
rule "web-down" {
  services = ["web"]
  when     = unit.failed
}
rule "seconds-pass" {
  when = host.cpu.busy < 200 * percent
  for  = "3s"
}
`

// What an agent records gives, tried on the same rules, the incident that it had.
func TestRecordingIsReplayed(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.install("web.service", h.counted("web"))
	h.configure(down)
	a := h.start(nil)
	h.crash("web.service")
	a.await(event{typ: "alert", service: "web"})
	a.await(event{typ: "alert", fields: map[string]string{"rule": "seconds-pass"}})
	a.stop()
	names, err := filepath.Glob(filepath.Join(h.file("state"), "recording", "*"+recording.Suffix))
	if err != nil || len(names) != 1 {
		t.Fatalf("recorded files: %v, %v", names, err)
	}
	data, err := os.ReadFile(names[0])
	if err != nil {
		t.Fatal(err)
	}
	var spans []recording.Span
	samples := 0
	if damaged := recording.Read(data, func(s recording.Span) bool {
		spans, samples = append(spans, s), samples+len(s.Lanes)*len(s.At)
		return true
	}); damaged > 0 || samples == 0 {
		t.Fatalf("%d samples, %d bytes are damaged", samples, damaged)
	}
	cfg, diags := config.LoadAgent(h.file("agent.hcl"), config.LoadOptions{Offline: true})
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	t.Logf("%d samples of %d signals in %d bytes", samples, len(spans[0].Lanes), len(data))
	r := simulate.Replay(cfg, spans)
	if len(r.Incidents) == 0 || r.Incidents[0].Alerts[0].Rule != "web-down" || len(r.Real["web"]) != 1 || r.Rules != 2 {
		t.Errorf("replayed: %+v, real: %v, %d rules", r.Incidents, r.Real, r.Rules)
	}
	b := h.start(nil)
	h.configure(strings.Replace(down, "record_mib = 1", "record_mib = 2", 1))
	_, err = b.Reload(t.Context(), &localpb.ReloadRequest{})
	refused(t, err, "record_mib changed", "that takes a restart of the agent")
}
