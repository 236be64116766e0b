package simulate

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/salveops/salve/pkg/config"
	"github.com/salveops/salve/pkg/incident"
	"github.com/salveops/salve/pkg/recording"
	"github.com/salveops/salve/pkg/series"
)

// recorded runs a test with a recorder beside it, as an agent has one, and returns the bytes and what happened.
func recorded(cfg *config.Agent, t *config.Test) ([]byte, []string) {
	h := newHost(cfg, t, known())
	var data []byte
	b := recording.NewBlock()
	for h.since() < t.At[len(t.At)-1].At {
		h.tick()
		if !b.Tick(h.now.Wall) {
			data, b = b.Append(data), recording.NewBlock()
			b.Tick(h.now.Wall)
		}
		for _, s := range h.store.All() {
			b.AddSeries(s, h.now.Boot)
		}
		for _, s := range h.open() {
			b.Add(series.Key{Signal: recording.IncidentOpen, Of: s.Service}, 1)
		}
	}
	return b.Append(data), alertsOf(h.told)
}

// alertsOf is every alert, one a line.
func alertsOf(all []*incident.Incident) (out []string) {
	for _, i := range all {
		for _, a := range i.Alerts {
			out = append(out, fmt.Sprintf("%s %s %s %s to %s would %s", i.Service, a.Rule, a.Instance,
				a.Fired.Wall.UTC().Format(time.TimeOnly), a.Resolved.Wall.UTC().Format(time.TimeOnly), i.WouldHave))
		}
	}
	return out
}

// TestReplayTellsTheSame: what was recorded of a host gives the alerts that it had, at the very seconds, whatever
// rules they are of.
func TestReplayTellsTheSame(t *testing.T) {
	alerts := 0
	for _, path := range []string{
		"testdata/host.hcl", "testdata/unit.hcl", "testdata/idle.hcl", "testdata/change.hcl", "../../configs",
	} {
		cfg := load(t, path)
		for _, test := range cfg.Tests {
			watched := *test
			watched.Autonomy, watched.After = config.Observe, nil
			data, want := recorded(cfg, &watched)
			var spans []recording.Span
			keep := func(s recording.Span) bool { spans = append(spans, s); return true }
			if damaged := recording.Read(data, keep); damaged > 0 {
				t.Fatalf("%s: %d bytes are damaged", test.Name, damaged)
			}
			host := *cfg
			host.Labels = test.Labels
			r := Replay(&host, spans)
			if diff := cmp.Diff(want, alertsOf(r.Incidents)); diff != "" {
				t.Errorf("%s (-host +replay)\n%s", test.Name, diff)
			}
			for _, i := range r.Incidents {
				p := Period{i.Opened.Wall, i.Opened.Wall}
				if !Beside(r.Real[i.Service], p, 0) {
					t.Errorf("%s: %s was not seen to be real", test.Name, i.Title)
				}
			}
			alerts += len(want)
		}
	}
	if alerts < 20 {
		t.Errorf("%d alerts prove little", alerts)
	}
}

// TestReplayOfAClockSetBack: what was told twice counts once.
func TestReplayOfAClockSetBack(t *testing.T) {
	cfg := load(t, "testdata/host.hcl")
	data, want := recorded(cfg, cfg.Tests[0])
	var spans []recording.Span
	recording.Read(append(data, data...), func(s recording.Span) bool { spans = append(spans, s); return true })
	r := Replay(cfg, spans)
	if r.Seconds != 61 || len(r.Incidents) != len(want) {
		t.Errorf("%d seconds, incidents %q, want %q", r.Seconds, alertsOf(r.Incidents), want)
	}
}

// TestReplayOfAYoungUnit: a unit that had just started when the recording begins is given its time.
func TestReplayOfAYoungUnit(t *testing.T) {
	cfg := load(t, "testdata/unit.hcl")
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for uptime, want := range map[float64]string{0: "12:00:05", 3600: "12:00:00"} {
		b := recording.NewBlock()
		for i := range 20 {
			b.Tick(at.Add(time.Duration(i) * time.Second))
			b.Add(series.Key{Signal: "probe.health.ok", Of: "app"}, 0)
			b.Add(series.Key{Signal: "unit.uptime", Of: "app.service"}, uptime+float64(i))
		}
		var spans []recording.Span
		recording.Read(b.Append(nil), func(s recording.Span) bool { spans = append(spans, s); return true })
		r := Replay(cfg, spans)
		if len(r.Incidents) != 1 || r.Incidents[0].Opened.Wall.Format(time.TimeOnly) != want {
			t.Errorf("uptime %v: %q, want it at %s", uptime, alertsOf(r.Incidents), want)
		}
	}
}

// TestReplayOfAnUnknownUnit: a unit of which nothing was recorded is neither up nor down.
func TestReplayOfAnUnknownUnit(t *testing.T) {
	cfg := load(t, "testdata/unit.hcl")
	b := recording.NewBlock()
	for i := range 60 {
		b.Tick(time.Date(2026, 3, 1, 12, 0, i, 0, time.UTC))
		b.Add(series.Key{Signal: "probe.health.ok", Of: "app"}, 0)
	}
	var spans []recording.Span
	recording.Read(b.Append(nil), func(s recording.Span) bool { spans = append(spans, s); return true })
	lacks := map[string][]string{}
	r := Replay(cfg, spans)
	if len(r.Incidents) != 1 || r.Incidents[0].WouldHave != "" {
		t.Errorf("%q, want app-hangs, and nothing that would have run", alertsOf(r.Incidents))
	}
	for _, i := range r.Idle {
		lacks[i.Rule] = i.Lacks
	}
	if got, ok := lacks["app-is-down"]; !ok || len(got) != 1 || got[0] != "unit.active" {
		t.Errorf("idle %v, want app-is-down for lack of unit.active", lacks)
	}
}

func TestReplayOfNothing(t *testing.T) {
	if r := Replay(load(t, "testdata/host.hcl"), nil); len(r.Incidents) != 0 || r.Seconds != 0 {
		t.Errorf("%+v", r)
	}
}
