package agent

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/salveops/salve/agent/agenttest"
	"github.com/salveops/salve/agent/internal/baseline"
	"github.com/salveops/salve/pkg/anomaly"
	"github.com/salveops/salve/pkg/series"
)

// unusual asks for what the agent has to learn of the unit.
const unusual = `
rule "unusual" {
  services = ["web"]
  when     = anomaly(unit.cpu) > 0.9
  clear    = unit.cpu < 50 * percent
}
`

// TestBaseline: what was learned is written down when the agent stops, and taken up again. A file that cannot be read
// costs what was learned, not the agent.
func TestBaseline(t *testing.T) {
	t.Parallel()
	h := newWeb(t)
	h.configure(web + unusual)
	path := h.file("state/" + baseline.FileName)
	cpu := series.Key{Signal: "unit.cpu", Of: "web.service"}

	// life runs an agent, and says whether what it leaves has learned.
	life := func(log *logText) bool {
		t.Helper()
		r := h.start(logTo(log))
		agenttest.Eventually(t, func() bool {
			return r.signal(cpu.Signal, cpu.Of).GetKnown() // what had no sample yet is not kept
		}, "the processor's use is measured")
		r.stop()
		kept, err := baseline.Read(path)
		if err != nil || kept.Learned[cpu].Detector == nil {
			t.Fatalf("%d detectors: %v", len(kept.Learned), err)
		}
		return kept.Learned[cpu].Detector.Observe(time.Now().Add(time.Minute), 0).Known
	}
	const anew = "what is usual could not be read; anomaly() learns anew, and objectives count anew"
	log := newLog(t)
	if life(log) {
		t.Error("it has learned in a moment")
	}
	d := anomaly.New()
	for i := range 500 {
		d.Observe(time.Now().Add(time.Duration(i-600)*5*time.Minute), 0)
	}
	kept := baseline.Contents{Learned: map[series.Key]series.Learned{cpu: {Detector: d}}}
	if err := baseline.Write(path, time.Now(), kept); err != nil {
		t.Fatal(err)
	}
	if !life(log) {
		t.Error("what was kept is lost")
	}
	if strings.Contains(log.String(), anew) {
		t.Error("it calls its own file unreadable")
	}
	if err := os.WriteFile(path, []byte("rubbish"), 0o600); err != nil {
		t.Fatal(err)
	}
	if life(log) || !strings.Contains(log.String(), anew) {
		t.Error("nobody is told that the file could not be read")
	}
}
