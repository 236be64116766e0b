package expr

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"github.com/salveops/salve/pkg/signal"
)

func TestProgramTellsAboutItself(t *testing.T) {
	s := scope()
	slow := threshold(t, "slow", "2 * s", s, "weekday()", "1 * s")
	flat := threshold(t, "flat", "2 * s", s)
	s.HostLogs = []string{"oom"}
	s.Span = func(p signal.Path) time.Duration {
		if p.Family == "host.log" {
			return 20 * time.Second
		}
		return 0
	}
	busy := threshold(t, "busy", "2 * s", s, `host.log["oom"].rate > 0`, "1 * s")
	s.Thresholds = map[string]*Threshold{"slow": slow, "flat": flat, "busy": busy}
	for _, c := range []struct {
		src, clear, each string
		events           bool
		window           time.Duration
	}{
		{src: "unit.failed", events: true},
		{src: "unit.failed && unit.restarts > 3", events: true},
		{src: `change(unit.restarts, "10m") > 3`, events: true, clear: "change", window: 10 * time.Minute},
		{src: "unit.failed || probe.health.ok"},
		{src: "weekday()", clear: "weekday"},
		{src: `between("09:00", "18:00") && unit.failed`, clear: "between", events: true},
		{src: `rate(host.tcp.retransmits, "1m") > 3 / s`, clear: "rate", window: time.Minute},
		{src: `change_ratio(unit.cpu, "1m") > 3 * percent`, clear: "change_ratio", window: time.Minute},
		{src: `predict(unit.cpu, "4h") > 0.9`, clear: "predict", window: time.Hour},
		{src: `predict(unit.cpu, "4s") > 0.9`, clear: "predict", window: 10 * time.Second},
		{src: `predict(unit.cpu, "4h", "2h") > 0.9`, clear: "predict", window: 2 * time.Hour},
		{src: `predict_low(unit.cpu, "4h") > 0.9`, clear: "predict_low", window: time.Hour},
		{src: `predict_high(unit.cpu, "4h", "2h") > 0.9`, clear: "predict_high", window: 2 * time.Hour},
		{src: "probe.health.latency > threshold.slow", clear: "threshold.slow (it has cases)"},
		{src: "probe.health.latency > threshold.flat"},
		{src: `held(unit.cpu > 0.5, "30s") && avg(unit.cpu, "10s") > 0.5`, window: 30 * time.Second},
		{src: `hits(host.disk["/"].used_ratio > 0.5 && unit.cpu > 0.5, 3, 6)`, window: time.Minute},
		{src: `host.disk["*"].used_ratio > 0.5 && host.disk["/"].used_ratio > 0.5`, each: "host.disk"},
		{src: "metric.error_rate > 0.5", window: 8 * time.Second},
		{src: `change(metric.error_rate, "1m") > 0.5`, clear: "change", window: 65 * time.Second},
		{src: `held(metric.error_rate > 0.5, "30s")`, window: 35 * time.Second},
		{src: "hits(metric.error_rate > 0.5, 3, 10)", window: 15 * time.Second},
		{src: "probe.health.latency > threshold.busy", clear: "threshold.busy (it has cases)", window: 23 * time.Second},
		{src: `pool["*"].waiting > 3`, each: "pool"},
		{src: `absent(probe["*"].ok)`, each: "probe"},
	} {
		p := compile(t, c.src, s)
		clear, needed := p.NeedsClear()
		if clear != c.clear || needed != (c.clear != "") {
			t.Errorf("%s needs clear because of %q", c.src, clear)
		}
		if p.Each() != c.each || p.EventOnly() != c.events || p.Window() != c.window {
			t.Errorf("%s: each %q, events %v, window %v", c.src, p.Each(), p.EventOnly(), p.Window())
		}
	}
}

func TestPace(t *testing.T) {
	s := scope()
	s.Every = func(p signal.Path) time.Duration {
		if p.Key == "health" {
			return time.Minute
		}
		return 0
	}
	for src, want := range map[string]time.Duration{
		"unit.failed":    0,
		"unit.cpu > 0.5": time.Second,
		`host.disk["/"].used_ratio > 0.5 && unit.failed`: 10 * time.Second,
		"unit.cpu > 0.5 || !probe.health.ok":             time.Minute,
		"unit.cpu > 0.5 || absent(probe.health.ok)":      time.Second, // no samples are demanded
	} {
		if got := compile(t, src, s).Pace(); got != want {
			t.Errorf("%s: %v, want %v", src, got, want)
		}
	}
}

func TestRefs(t *testing.T) {
	s := scope()
	s.Thresholds = map[string]*Threshold{
		"slow": threshold(t, "slow", "2 * s", s, `avg(host.load.per_cpu, "5m") > 1`, "1 * s"),
	}
	s.Every = func(p signal.Path) time.Duration {
		if p.Key == "health" {
			return 5 * time.Second
		}
		return 0
	}
	p := compile(t, `probe.health.latency > threshold.slow && avg(probe["health"].latency, "1m") > 0
		|| max(unit.cpu, "10s") > 0.5 && max(unit.cpu, "20s") > 0.4 || unit.failed
		|| absent(probe.ready.ok) || absent(unit.tasks) && unit.tasks > 3`, s)
	type ref struct {
		Name          string
		Every, Window time.Duration
		Absent        bool
	}
	var got []ref
	for _, r := range p.Refs() {
		got = append(got, ref{r.Path.String(), r.Every, r.Window, r.Absent})
	}
	want := []ref{
		{"probe.health.latency", 5 * time.Second, time.Minute, false},
		{"host.load.per_cpu", time.Second, 5 * time.Minute, false},
		{"unit.cpu", time.Second, 20 * time.Second, false},
		{"unit.failed", 0, 0, false},
		{"probe.ready.ok", time.Second, 0, true},
		{"unit.tasks", time.Second, 0, false},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestText(t *testing.T) {
	s := scope()
	s.Thresholds = map[string]*Threshold{"slow": threshold(t, "slow", "2 * s", s)}
	for src, want := range map[string]string{
		"unit.cpu>50*percent":                            "unit.cpu > 50 * percent",
		"(\n  unit.failed\n  && !probe.health.ok\n)":     "unit.failed && !probe.health.ok",
		`avg( host.disk["/var"].used_ratio , "5m")>0.90`: `avg(host.disk["/var"].used_ratio, "5m") > 0.9`,
		"unit.tasks>1e3":                                 "unit.tasks > 1000",
		"unit.tasks>1e20":                                "unit.tasks > 1e+20",
		"unit.tasks>0.0000001":                           "unit.tasks > 1e-07",
		`unit.failed?true:label.stage=="a\"b$${c}"`:      `unit.failed ? true : label.stage == "a\"b$${c}"`,
		"-(unit.tasks+1)*2<(-3)":                         "-(unit.tasks + 1) * 2 < (-3)",
		"probe.health.latency>=threshold.slow":           "probe.health.latency >= threshold.slow",
	} {
		p := compile(t, src, s)
		if p.Text() != want {
			t.Errorf("%s is written %s, want %s", src, p.Text(), want)
		}
		if again := compile(t, p.Text(), s); again.Text() != p.Text() {
			t.Errorf("%s is then written %s", p.Text(), again.Text())
		}
	}
	if r := compile(t, "  unit.failed", s).Range(); r.Filename != "rules.hcl" || r.Start.Column != 3 {
		t.Errorf("range is %v", r)
	}
}

func TestNumber(t *testing.T) {
	for _, c := range []struct {
		src  string
		want float64
		dim  signal.Dimension
	}{
		{"30 * percent", 0.3, signal.Ratio},
		{"0.3", 0.3, signal.Number},
		{"-2", -2, signal.Number},
		{"1 * minute + 30 * s", 90, signal.Seconds},
		{"10 * MiB / s", 10 << 20, signal.BytesPerSecond},
		{"3 / s * minute", 180, signal.Count},
		{"1 * GiB / (1 * MiB)", 1024, signal.Number},
		{"1 * GiB / (1 * MiB / s)", 1024, signal.Seconds},
		{"7 % 4", 3, signal.Number},
		{"50 * percent * 2 * h", 3600, signal.Seconds},
	} {
		v, dim, diags := Number(parse(t, c.src))
		if diags.HasErrors() || v != c.want || dim != c.dim {
			t.Errorf("%s is %v %v, %v", c.src, v, dim, diags)
		}
	}
	for _, src := range []string{"host.cpu.busy", "true", `"x"`, "1/0", "1 * s + 1 * MiB", "threshold.x", "label.x"} {
		if v, dim, diags := Number(parse(t, src)); !diags.HasErrors() {
			t.Errorf("%s is %v %v", src, v, dim)
		}
	}
}

func TestGiven(t *testing.T) {
	if !Given(parse(t, "true")) || Given(nil) || Given(hcl.StaticExpr(cty.NullVal(cty.Bool), hcl.Range{})) {
		t.Error("an attribute that is missing counts as given, or the other way round")
	}
}

// threshold makes one; cases are conditions and values in turn.
func threshold(t testing.TB, name, def string, s *Scope, cases ...string) *Threshold {
	t.Helper()
	var list []Case
	for i := 0; i < len(cases); i += 2 {
		list = append(list, Case{When: parse(t, cases[i]), Value: parse(t, cases[i+1])})
	}
	th, diags := NewThreshold(name, parse(t, def), list, s)
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	return th
}
