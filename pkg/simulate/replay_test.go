package simulate

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/salveops/salve/pkg/config"
	"github.com/salveops/salve/pkg/incident"
	"github.com/salveops/salve/pkg/recording"
	"github.com/salveops/salve/pkg/series"
	"github.com/salveops/salve/pkg/signal"
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

// drawn replays one signal of the host, a value for each time that is given in seconds after noon, by a rule of its own.
// A new block begins where the clock was set back.
func drawn(t *testing.T, rules, signal string, at []int64, values []float64) *Replayed {
	t.Helper()
	path := filepath.Join(t.TempDir(), "rules.hcl")
	if err := os.WriteFile(path, []byte(rules), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, diags := config.LoadTests(path, config.LoadOptions{Host: "h"})
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	noon := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	var data []byte
	b := recording.NewBlock()
	for i, sec := range at {
		now := noon.Add(time.Duration(sec) * time.Second)
		if !b.Tick(now) {
			data, b = b.Append(data), recording.NewBlock()
			b.Tick(now)
		}
		b.Add(series.Key{Signal: signal}, values[i])
	}
	var spans []recording.Span
	recording.Read(b.Append(data), func(s recording.Span) bool { spans = append(spans, s); return true })
	return Replay(cfg, spans)
}

// runs are so many seconds from a moment on, in which the signal has that value.
func runs(at []int64, values []float64, from, n int64, v float64) ([]int64, []float64) {
	for i := range n {
		at, values = append(at, from+i), append(values, v)
	}
	return at, values
}

const busy = `rule "busy" {
  when = host.cpu.busy > 50 * percent
  for  = "30s"
}`

// TestReplayOfAClockSetBack: time goes on, in the order in which it was recorded, and nothing is left out.
func TestReplayOfAClockSetBack(t *testing.T) {
	at, values := runs(nil, nil, 0, 100, 0.1)
	at, values = runs(at, values, 100, 20, 0.9)
	at, values = runs(at, values, -3600, 20, 0.9) // ten seconds later the rule fires
	at, values = runs(at, values, -3580, 100, 0.1)
	r := drawn(t, busy, "host.cpu.busy", at, values)
	want := []string{" busy  11:00:10 to 11:00:30 would "}
	if diff := cmp.Diff(want, alertsOf(r.Incidents)); diff != "" || r.Seconds != 240 {
		t.Errorf("%d seconds (-want +got)\n%s", r.Seconds, diff)
	}
}

// TestRealOfAClockSetBack: an incident that was open then is two periods, and none runs backwards.
func TestRealOfAClockSetBack(t *testing.T) {
	at, values := runs(nil, nil, 0, 20, 1)
	at, values = runs(at, values, -3600, 20, 1)
	real := drawn(t, busy, recording.IncidentOpen, at, values).Real[""]
	if len(real) != 2 || real[0].To.Before(real[0].From) {
		t.Errorf("%v", real)
	}
}

// TestRealOfOthers: an incident of what no rule is about was not missed.
func TestRealOfOthers(t *testing.T) {
	const rules = `
service "shop" {}
rule "down" {
  services = ["shop"]
  when     = unit.failed
}`
	at, values := runs(nil, nil, 0, 20, 1)
	if r := drawn(t, rules, recording.IncidentOpen, at, values); len(r.Real) > 0 {
		t.Errorf("%v, although the rules are about the shop only", r.Real)
	}
}

// TestReplayOfAHole: what was not recorded is unknown. It neither lets "for" pass nor ends an alert.
func TestReplayOfAHole(t *testing.T) {
	at, values := runs(nil, nil, 0, 20, 0.9)
	at, values = runs(at, values, 3600, 9, 0.9)
	if r := drawn(t, busy, "host.cpu.busy", at, values); len(r.Incidents) > 0 {
		t.Errorf("%q, although it was seen for no more than 29 seconds", alertsOf(r.Incidents))
	}
	at, values = runs(at, values, 3609, 9, 0.9)
	at, values = runs(at, values, 7200, 60, 0.1)
	want := []string{" busy  13:00:11 to 14:00:10 would "}
	if diff := cmp.Diff(want, alertsOf(drawn(t, busy, "host.cpu.busy", at, values).Incidents)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// TestReplayOfASlowSignal: what is asked each half minute has a sample each half minute, though it is recorded each
// second.
func TestReplayOfASlowSignal(t *testing.T) {
	const rules = `
rule "full" {
  when = hits(host.disk["/"].used_ratio > 90 * percent, 3, 4)
  for  = "0s"
}`
	info, _ := signal.Lookup(signal.Path{Family: "host.disk", Key: "/", Field: "used_ratio"})
	every := int64(info.Every / time.Second)
	if every < 5 {
		t.Fatalf("a disk is looked at every %d seconds: take a slower signal", every)
	}
	at, values := runs(nil, nil, 0, 4*every, 0.5)
	short, low := runs(at, values, 4*every, 2*every, 0.95)
	short, low = runs(short, low, 6*every, 6*every, 0.5)
	if r := drawn(t, rules, `host.disk["/"].used_ratio`, short, low); len(r.Incidents) > 0 {
		t.Errorf("%q after two samples", alertsOf(r.Incidents))
	}
	at, values = runs(at, values, 4*every, 5*every, 0.95)
	if r := drawn(t, rules, `host.disk["/"].used_ratio`, at, values); len(r.Incidents) != 1 {
		t.Errorf("%q after four samples, want one", alertsOf(r.Incidents))
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
