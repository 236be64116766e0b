package heal

import (
	"strings"
	"testing"
	"time"

	"github.com/salveops/salve/agent/internal/baseline"
	"github.com/salveops/salve/pkg/anomaly"
	"github.com/salveops/salve/pkg/incident"
	"github.com/salveops/salve/pkg/series"
)

// unusual pairs an anomaly with a bound: unusual alone is no trouble.
const unusual = `
autonomy = "full"
allow {
  units   = ["checkout.service"]
  actions = ["restart"]
}
notifier "journald" "log" {}
escalation "default" {
  step { notify = ["journald.log"] }
}
---
service "checkout" {
  startup = "5s"
  probe "health" { http = "http://127.0.0.1:8080/" }
  remedy "restart" "restart" {}
}
rule "slow" {
  services = ["checkout"]
  when     = anomaly(probe.health.latency) > 0.9 && probe.health.latency > 50 * ms
  clear    = probe.health.latency < 20 * ms
  try      = ["restart"]
}
`

const latency = "probe.health.latency{checkout}"

func usualLatency(i int) float64 { return 0.010 + 0.001*float64(i*7919%1000)/1000 }

// usualDay is what a detector has learned in the day up to now: about 10 ms.
func usualDay(now time.Time) baseline.Contents {
	d := anomaly.New()
	for i := range 1500 {
		d.Observe(now.Add(time.Duration(i-1500)*time.Minute), usualLatency(i))
	}
	return baseline.Contents{Learned: map[series.Key]series.Learned{
		{Signal: "probe.health.latency", Of: "checkout"}: {Detector: d},
	}}
}

// TestAnomalyFires: with what an earlier process has learned, the unusual is noticed at once, and the story says why.
func TestAnomalyFires(t *testing.T) {
	heals(t, unusual, func(h *rig) {
		h.Stop()
		h.learned = usualDay(h.clock.Now().Wall)
		h.Start()
		h.Tells(latency, 0.0105)
		h.Advance(time.Minute)
		h.WantActs()
		h.Tells(latency, 0.4)
		h.Advance(12 * time.Second)
		h.WantActs("restart checkout.service")
		h.WantState("checkout", incident.Healing)
		h.WantSaid("checkout", "anomaly(probe.health.latency)", "400 ms where 10.4 ms to 11 ms ", "was expected")
		all, err := h.p.Signals(h.ctx())
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range all {
			if asked := s.Name == "probe.health.latency"; asked != (s.Usual != nil) {
				t.Errorf("%s: where it is expected is told: %t", s.Name, !asked)
			} else if asked && (s.Usual.Text != "10 ms to 11 ms" || s.Usual.Score < anomaly.Usual) {
				t.Errorf("%s: %+v", s.Name, s.Usual)
			}
		}
	})
}

// varies tells usual values for so long, times a factor.
func (r *rig) varies(d time.Duration, factor float64) {
	for range int(d / time.Second) {
		r.Tells(latency, factor*usualLatency(int(r.clock.Now().Boot/time.Second)))
		r.Advance(time.Second)
	}
}

// TestAnomalyProvesRecovery: a rule that knows no bound but the anomaly sees within the default time that it is over, and
// that it is not, however long it may look.
func TestAnomalyProvesRecovery(t *testing.T) {
	const alone = "anomaly(probe.health.latency) < 0.5\n  escalate { after = \"1h\" }"
	conf := strings.NewReplacer("&& probe.health.latency > 50 * ms", "",
		"probe.health.latency < 20 * ms", alone).Replace(unusual)
	patient := strings.Replace(conf, `"restart" {}`, "\"restart\" {\n    verify { within = \"4m\" }\n  }", 1)
	for name, c := range map[string]struct {
		conf    string
		factor  float64 // what the restart leaves
		outcome string
		state   incident.State
	}{
		"it helped":   {conf, 1, "restart verified", incident.Resolved},
		"it did not":  {conf, 40, "restart ineffective", incident.Healing},
		"not so soon": {patient, 40, "restart ineffective", incident.Healing},
	} {
		t.Run(name, func(t *testing.T) {
			heals(t, c.conf, func(h *rig) {
				h.Stop()
				h.learned = usualDay(h.clock.Now().Wall)
				h.Start()
				h.varies(time.Minute, 1)
				h.WantActs()
				h.varies(15*time.Second, 40)
				h.WantActs("restart checkout.service")
				within := h.cfg.Services[0].Remedies[0].Verification(h.cfg.Rules[0]).Within
				h.varies(within+2*time.Second, c.factor)
				h.WantOutcomes("checkout", c.outcome)
				h.WantState("checkout", c.state)
				h.WantActs()
			})
		})
	}
}

// TestAnomalyLearns: without that, nobody knows what is usual yet, and nothing is done.
func TestAnomalyLearns(t *testing.T) {
	heals(t, unusual, func(h *rig) {
		h.Tells(latency, 0.0105)
		h.Advance(time.Minute)
		h.Tells(latency, 0.4)
		h.Advance(time.Minute)
		h.WantActs()
	})
}

// TestLearnedIsHandedOver: what a process has learned can be written down, also when it has ended.
func TestLearnedIsHandedOver(t *testing.T) {
	heals(t, unusual, func(h *rig) {
		h.Tells(latency, 0.0105)
		h.Advance(time.Minute)
		look := func() time.Time {
			kept, err := h.p.Baseline(h.ctx())
			if err != nil || len(kept.Learned) != 1 {
				t.Fatalf("%d detectors: %v", len(kept.Learned), err)
			}
			return kept.Learned[series.Key{Signal: "probe.health.latency", Of: "checkout"}].Detector.Last()
		}
		running := look()
		if age := h.clock.Now().Wall.Sub(running); age > 2*time.Second {
			t.Errorf("the newest sample that it has seen is %v old", age)
		}
		h.Advance(time.Minute)
		h.Stop()
		if ended := look(); !ended.After(running) {
			t.Error("nothing was learned in the last minute")
		}
	})
}
