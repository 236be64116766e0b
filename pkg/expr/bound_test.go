package expr

import (
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/salveops/salve/pkg/series"
)

// Each window function reaches the series' own, with the window and the moment as written.
func TestWindowFunctions(t *testing.T) {
	const w = 8 * time.Second
	now := monday.Boot
	for call, want := range map[string]func(*series.Series) (float64, bool){
		`avg(unit.tasks, "8s")`:           func(s *series.Series) (float64, bool) { return s.Avg(now, w, 0) },
		`min(unit.tasks, "8s")`:           func(s *series.Series) (float64, bool) { return s.Min(now, w, 0) },
		`max(unit.tasks, "8s")`:           func(s *series.Series) (float64, bool) { return s.Max(now, w, 0) },
		`sum(unit.tasks, "8s")`:           func(s *series.Series) (float64, bool) { return s.Sum(now, w, 0) },
		`last(unit.tasks, "8s")`:          func(s *series.Series) (float64, bool) { return s.Newest(now, w, 0) },
		`count(unit.tasks, "8s")`:         func(s *series.Series) (float64, bool) { return s.Count(now, w, 0) },
		`stddev(unit.tasks, "8s")`:        func(s *series.Series) (float64, bool) { return s.Stddev(now, w, 0) },
		`change(unit.tasks, "8s")`:        func(s *series.Series) (float64, bool) { return s.Change(now, w, 0) },
		`change_ratio(unit.tasks, "8s")`:  func(s *series.Series) (float64, bool) { return s.ChangeRatio(now, w, 0) },
		`quantile(0.9, unit.tasks, "8s")`: func(s *series.Series) (float64, bool) { return s.Quantile(0.9, now, w, 0) },
		`predict(unit.tasks, "8s", "8s")`: func(s *series.Series) (float64, bool) { return s.Predict(w, now, w, 0) },
		`predict_low(unit.tasks, "8s", "8s")`: func(s *series.Series) (float64, bool) {
			return s.PredictLow(w, now, w, 0)
		},
		`predict_high(unit.tasks, "8s", "8s")`: func(s *series.Series) (float64, bool) {
			return s.PredictHigh(w, now, w, 0)
		},
		`change(unit.restarts, "8s")`: func(s *series.Series) (float64, bool) { return s.Increase(now, w, 0) },
		`rate(unit.restarts, "8s")`:   func(s *series.Series) (float64, bool) { return s.Rate(now, w, 0) },
		`avg(unit.active, "8s")`:      func(s *series.Series) (float64, bool) { return s.Avg(now, w, 0) },
		`count(unit.state, "8s")`:     func(s *series.Series) (float64, bool) { return s.Count(now, w, 0) },
	} {
		p := compile(t, call+" > 0", scope())
		h := newHost(p)
		b := p.Bind(h)
		if got := b.Eval(monday); got != Unknown {
			t.Errorf("%s of no samples is %v", call, got)
		}
		s := h.Series(p.Refs()[0].Path)
		for i := range 20 {
			s.Set(now-time.Duration(19-i)*time.Second, float64(i*7%5))
		}
		v, known := want(s)
		got := b.Readings(monday)[0]
		if !known || !got.Known || got.Value != v || got.Signal != call || b.Eval(monday) != Of(v > 0) {
			t.Errorf("%s is %+v and %v, want %v", call, got, b.Eval(monday), v)
		}
	}
}

func TestLastOfOtherDimensions(t *testing.T) {
	p := compile(t, `last(probe.health.ok, "1m") && last(unit.state, "1m") == "active"`, scope())
	h := newHost(p)
	h.set(monday.Boot-30*time.Second, "probe.health.ok", 1)
	h.set(monday.Boot-30*time.Second, "unit.state", h.Intern("active"))
	if got := p.Bind(h).Eval(monday); got != True {
		t.Errorf("the last known values are %v", got)
	}
}

func TestEvalSince(t *testing.T) {
	since := monday.Boot
	at := func(seconds int) instant { return monday.Add(time.Duration(seconds) * time.Second) }
	for _, c := range []struct {
		name, src string
		samples   map[string]int // after since, one a second
		seconds   int
		want      Truth
	}{
		{"nothing yet", "probe.health.ok", nil, 0, Unknown},
		{"two are too few", "probe.health.ok", map[string]int{"probe.health.ok": 2}, 2, Unknown},
		{"three are enough", "probe.health.ok", map[string]int{"probe.health.ok": 3}, 3, True},
		{"and go stale", "probe.health.ok", map[string]int{"probe.health.ok": 3}, 7, Unknown},
		{"one event is enough", "unit.active", map[string]int{"unit.active": 1}, 100, True},
		{"no event is none", "unit.active", nil, 100, Unknown},
		{"every signal needs its samples to help", "probe.health.ok || unit.cpu > 0.5",
			map[string]int{"probe.health.ok": 9, "unit.cpu": 2}, 9, Unknown},
		{"one that is bad is enough not to", "!probe.health.ok && unit.cpu > 0.5",
			map[string]int{"probe.health.ok": 9, "unit.cpu": 2}, 9, False},
		{"what a figure looks back over lies after it", "metric.error_rate > 0.5",
			map[string]int{"metric.error_rate": 8}, 8, True},
		{"and not before", "metric.error_rate > 0.5", map[string]int{"metric.error_rate": 7}, 7, Unknown},
		{"also for held", `held(metric.error_rate > 0.5, "4s")`, map[string]int{"metric.error_rate": 9}, 9, Unknown},
		{"a signal that the instance has not", "probe.health.ok || probe.ready.ok",
			map[string]int{"probe.health.ok": 9}, 9, Unknown},
		{"a window fills anew", `avg(unit.cpu, "1m") > 0.5`, map[string]int{"unit.cpu": 3}, 3, True},
		{"from three samples on", `avg(unit.cpu, "1m") > 0.5`, map[string]int{"unit.cpu": 2}, 2, Unknown},
		{"not absent needs samples too", "!absent(unit.cpu)", map[string]int{"unit.cpu": 2}, 2, Unknown},
		{"not absent", "!absent(unit.cpu)", map[string]int{"unit.cpu": 3}, 3, True},
		{"absent is no lack of samples", "absent(unit.cpu) && probe.health.ok",
			map[string]int{"probe.health.ok": 9}, 9, True},
	} {
		p := compile(t, c.src, scope())
		h := newHost(p)
		for _, r := range p.Refs() {
			if r.Path.Key != "ready" {
				h.Series(r.Path).Set(since, 1)
			}
		}
		for name, n := range c.samples {
			for i := 1; i <= n; i++ {
				h.set(at(i).Boot, name, 1)
			}
		}
		if got := p.Bind(h).EvalSince(at(c.seconds), since); got != c.want {
			t.Errorf("%s: %s is %v, want %v", c.name, c.src, got, c.want)
		}
	}
}

func TestThreshold(t *testing.T) {
	s := scope()
	slow := threshold(t, "slow", "2 * s", s, `between("09:00", "18:00") && weekday()`, "800 * ms",
		`host.load.per_cpu > 2`, "5 * s", `label.stage == "test"`, "9 * s")
	s.Thresholds = map[string]*Threshold{"slow": slow}
	if slow.Name() != "slow" || slow.Dim().String() != "seconds" || !slow.Cased() {
		t.Errorf("the threshold is %q, %v, %v", slow.Name(), slow.Dim(), slow.Cased())
	}
	p := compile(t, "probe.health.latency > threshold.slow", s)
	for _, c := range []struct {
		name          string
		hours         int // after noon of a Monday
		load, latency float64
		want          Truth
	}{
		{"first case", 0, 9, 1, True},
		{"first case, below", 0, 9, 0.7, False},
		{"second case", 10, 9, 4, False},
		{"second case, above", 10, 9, 6, True},
		{"default", 10, 1, 3, True},
		{"default, below", 10, 1, 1, False},
		{"a case that is unknown", 10, math.NaN(), 100, Unknown},
		{"a case that is unknown but comes later", 0, math.NaN(), 100, True},
	} {
		h := newHost(p)
		now := monday.Add(time.Duration(c.hours) * time.Hour)
		h.set(now.Boot, "host.load.per_cpu", c.load)
		h.set(now.Boot, "probe.health.latency", c.latency)
		if got := p.Bind(h).Eval(now); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

// At six o'clock the threshold goes up; that is no recovery of what fired before.
func TestFreeze(t *testing.T) {
	s := scope()
	s.Thresholds = map[string]*Threshold{
		"slow": threshold(t, "slow", "2 * s", s, `between("09:00", "18:00")`, "800 * ms"),
	}
	p := compile(t, `probe.health.latency < threshold.slow && held(probe.health.latency > 500 * ms, "2s")`, s)
	h := newHost(p)
	live := p.Bind(h)
	noon, evening := monday, monday.Add(8*time.Hour)
	frozen := live.Freeze(noon)
	for i := range 5 {
		now := evening.Add(time.Duration(i) * time.Second)
		h.set(now.Boot, "probe.health.latency", 1)
		live.Eval(now)
		frozen.Eval(now)
	}
	end := evening.Add(4 * time.Second)
	if live.Eval(end) != True || frozen.Eval(end) != False {
		t.Errorf("one second is below the threshold: live %v, frozen %v", live.Eval(end), frozen.Eval(end))
	}
	if again := frozen.Freeze(evening); again.Program() != p || again.Eval(end) != Unknown {
		t.Error("what held() saw before freezing is still remembered")
	}
}

func TestReadings(t *testing.T) {
	s := scope()
	s.Thresholds = map[string]*Threshold{
		"slow": threshold(t, "slow", "2 * s", s, `weekday()`, "800 * ms"),
		"flat": threshold(t, "flat", "50 * percent", s),
	}
	p := compile(t, `probe.health.latency > threshold.slow && avg(host.disk["*"].used_ratio, "1m") > threshold.flat
		|| unit.state == "failed" || unit.cpu > 0.5 || unit.cpu > 0.9 || absent(unit.tasks) || held(unit.failed, "5s")`, s)
	h := newHost(p)
	now := monday
	h.set(now.Boot, "probe.health.latency", 0.85)
	h.set(now.Boot, "unit.state", h.Intern("failed"))
	h.set(now.Boot, "unit.failed", 1)
	h.set(now.Boot-time.Minute, "unit.cpu", 0.5)
	b := p.Bind(h)
	b.Eval(now)
	want := []Reading{
		{"probe.health.latency", 0.85, true, "850 ms"},
		{"threshold.slow", 0.8, true, "800 ms"},
		{`avg(host.disk["*"].used_ratio, "1m")`, 0, false, "unknown"},
		{"threshold.flat", 0.5, true, "50 %"},
		{"unit.state", h.Intern("failed"), true, "failed"},
		{"unit.cpu", 0, false, "unknown"},
		{"unit.tasks", 0, false, "unknown"},
		{"unit.failed", 1, true, "true"},
	}
	if d := cmp.Diff(want, b.Readings(now)); d != "" {
		t.Error(d)
	}
}

// A reading of an open key names the instance.
func TestReadingsNameTheInstance(t *testing.T) {
	p := compile(t, `max(host.disk["*"].used_ratio, "1m") > 0.9`, scope())
	st := series.New()
	r := p.Refs()[0]
	path := r.Path
	path.Key = "/var"
	s := st.Open(series.Key{Signal: path.String()}, series.Options{Dim: r.Info.Dim, Every: r.Every, Window: r.Window})
	for i := range 10 {
		s.Set(monday.Boot-time.Duration(90-10*i)*time.Second, 0.95)
	}
	got := p.Bind(&host{store: st}).Readings(monday)
	if got[0].Signal != `max(host.disk["*"].used_ratio, "1m")` || got[0].Known {
		t.Errorf("without a series: %+v", got[0])
	}
	got = p.Bind(instance{&host{store: st}, "/var"}).Readings(monday)
	want := Reading{`max(host.disk["/var"].used_ratio, "1m")`, 0.95, true, "95 %"}
	if d := cmp.Diff(want, got[0]); d != "" {
		t.Error(d)
	}
}

func TestNothingAllocates(t *testing.T) {
	b, now := loaded(t)
	for name, f := range map[string]func(){
		"Eval":      func() { b.Eval(now) },
		"EvalSince": func() { b.EvalSince(now, now.Boot-20*time.Second) },
	} {
		if n := testing.AllocsPerRun(100, f); n != 0 {
			t.Errorf("%s allocates %v times", name, n)
		}
	}
}

func BenchmarkEval(b *testing.B) {
	b.Run("simple", func(b *testing.B) {
		p := compile(b, "unit.cpu > 0.9 && probe.health.latency > 800 * ms", scope())
		h := newHost(p)
		h.set(monday.Boot, "unit.cpu", 0.95)
		h.set(monday.Boot, "probe.health.latency", 0.1)
		bound := p.Bind(h)
		b.ReportAllocs()
		for b.Loop() {
			bound.Eval(monday)
		}
	})
	b.Run("everything", func(b *testing.B) {
		bound, now := loaded(b)
		b.ReportAllocs()
		for b.Loop() {
			bound.Eval(now)
		}
	})
}

// loaded is a condition with every construct in it, over rings that are full.
func loaded(t testing.TB) (*Bound, instant) {
	s := scope()
	s.Thresholds = map[string]*Threshold{
		"slow": threshold(t, "slow", "2 * s", s, `between("09:00", "18:00", "Europe/Berlin") && weekday()`, "800 * ms"),
	}
	p := compile(t, `(unit.cpu > 0.99 || avg(unit.cpu, "30s") > 0.9 || quantile(0.9, unit.tasks, "30s") > 50)
		&& !(change(unit.restarts, "1m") > 3) && predict(unit.memory_bytes, "1h", "30s") > 0
		&& (unit.state == "active" ? label.stage == "production" : absent(unit.fds))
		&& (probe.health.latency < threshold.slow) && !held(probe.health.ok, "1h") && hits(probe.health.ok, 1, 60)
		|| stddev(unit.tasks, "30s") > 1 || rate(unit.oom_kills, "1m") > 1`, s)
	h := newHost(p)
	b := p.Bind(h)
	now := monday
	for i := range 200 {
		now = now.Add(time.Second)
		for _, r := range p.Refs() {
			h.Series(r.Path).Set(now.Boot, float64(i%2))
		}
		b.Eval(now)
	}
	return b, now
}
