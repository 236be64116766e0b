package series

import (
	"maps"
	"runtime"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/salveops/salve/pkg/anomaly"
	"github.com/salveops/salve/pkg/signal"
)

var midnight = time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)

const often = 5 * time.Minute

// wave is a series that never repeats itself, between 0 and 1.
func wave(i int) float64 { return float64(i*7919%1000) / 1000 }

// teach asks after each of n samples, and returns the last answer.
func teach(s *Series, from, n int, value func(int) float64) (score float64, known bool) {
	for i := from; i < from+n; i++ {
		at := time.Duration(i+1) * often
		s.Set(at, value(i))
		score, known = s.Anomaly(at, 0, midnight.Add(at))
	}
	return score, known
}

func TestAnomaly(t *testing.T) {
	st := New()
	k := Key{Signal: "unit.cpu", Of: "web.service"}
	s := st.Open(k, Options{Every: often})
	if _, known := teach(s, 0, 400, wave); known {
		t.Error("a series that was not opened for it has an answer")
	}
	if _, ok := s.Usual(); ok {
		t.Error("what is usual of it is known")
	}
	if st.Open(k, Options{Anomaly: true}) != s {
		t.Fatal("another series")
	}
	if _, ok := s.Usual(); !ok {
		t.Error("the detector is not told of")
	}
	if _, known := teach(s, 400, 100, wave); known {
		t.Error("it has learned after eight hours")
	}
	if u, _ := s.Usual(); u.Known || u.Text != "learning" {
		t.Errorf("after eight hours %+v is usual", u)
	}
	if score, known := teach(s, 500, 400, wave); !known || score >= anomaly.Usual {
		t.Errorf("what is usual scores %.2f, known %v", score, known)
	}
	if u, ok := s.Usual(); !ok || !u.Known || u.Low < -0.1 || u.Low > 0.1 || u.High < 0.9 || u.High > 1.1 || u.Score >= anomaly.Usual {
		t.Errorf("between 0 and 1 is usual, told is %+v, %t", u, ok)
	}
	now := 901 * often
	s.Set(now, 50)
	wall := midnight.Add(now)
	if score, known := s.Anomaly(now+time.Second, 0, wall.Add(time.Second)); !known || score < anomaly.Usual {
		t.Errorf("fifty times the usual scores %.2f, known %v", score, known)
	}
	if u, _ := s.Usual(); u.High > 1.1 || u.Score < anomaly.Usual {
		t.Errorf("while it is away, %+v is usual", u)
	}
	if why, ok := s.Why(); !ok || why.Value != 50 || !why.At.Equal(wall) {
		t.Errorf("explained by %+v", why)
	}
	for name, ask := range map[string]struct{ now, since time.Duration }{
		"after the last sample":  {now + time.Second, now},
		"long after it, by then": {now + 4*often, 0},
	} {
		if score, known := s.Anomaly(ask.now, ask.since, wall); known {
			t.Errorf("%s: %.2f", name, score)
		}
	}
	s.Unknown(now + 2*time.Second)
	if score, known := s.Anomaly(now+2*time.Second, 0, wall); known {
		t.Errorf("of an unknown value: %.2f", score)
	}
}

// TestLearnedSurvives: what was kept is taken up by the series of the same key, and by no other.
func TestLearnedSurvives(t *testing.T) {
	opt := Options{Dim: signal.Ratio, Every: often, Anomaly: true}
	web, db := Key{Signal: "unit.cpu", Of: "web.service"}, Key{Signal: "unit.cpu", Of: "db.service"}
	before := New()
	teach(before.Open(web, opt), 0, 600, wave)
	kept := before.Learned()

	after := New()
	after.Teach(kept)
	if _, known := teach(after.Open(db, opt), 600, 1, wave); known {
		t.Error("another series has learned")
	}
	if got := slices.SortedFunc(maps.Keys(after.Learned()), Key.Compare); !slices.Equal(got, []Key{db, web}) {
		t.Errorf("known are %v", got)
	}
	if score, known := teach(after.Open(web, opt), 600, 1, wave); !known || score >= anomaly.Usual {
		t.Errorf("after the restart what is usual scores %.2f, known %v", score, known)
	}
	after.Remove(web)
	if _, known := teach(after.Open(web, opt), 601, 1, wave); !known {
		t.Error("a unit that went and came has forgotten")
	}
}

// TestRedefined: another figure of the same name, dimension and window is learned anew, by this process and by the next.
func TestRedefined(t *testing.T) {
	k := Key{Signal: "metric.x", Of: "web"}
	opt := Options{Every: often, Anomaly: true, Definition: 1}
	st := New()
	teach(st.Open(k, opt), 0, 600, wave)
	if _, known := teach(st.Open(k, opt), 600, 1, wave); !known {
		t.Fatal("it has not learned")
	}
	kept := st.Learned()
	opt.Definition = 2
	s := st.Open(k, opt)
	if _, _, known := s.Last(); known || s.Since(0) > 0 {
		t.Error("the samples of the other figure count")
	}
	if _, known := teach(s, 601, 1, wave); known {
		t.Error("what was learned of the other figure counts")
	}
	for definition, want := range map[uint64]bool{1: true, 2: false} {
		next := New()
		next.Teach(kept)
		opt.Definition = definition
		if _, known := teach(next.Open(k, opt), 601, 1, wave); known != want {
			t.Errorf("definition %d after a restart: known %t", definition, known)
		}
	}
}

// TestLearnedIsACopy: who writes it down does not see it change.
func TestLearnedIsACopy(t *testing.T) {
	st := New()
	s := st.Open(Key{Signal: "x"}, Options{Every: often, Anomaly: true})
	teach(s, 0, 100, wave)
	copied := st.Learned()[Key{Signal: "x"}].Detector
	was, _ := copied.AppendBinary(nil)
	teach(s, 100, 100, wave)
	if is, _ := copied.AppendBinary(nil); !slices.Equal(is, was) {
		t.Error("it changed")
	}
}

// TestCounterIsFedAsRate: its own value is always new, its growth is not.
func TestCounterIsFedAsRate(t *testing.T) {
	s := New().Open(Key{Signal: "x"}, Options{Dim: signal.Bytes, Every: often, Anomaly: true, Counter: true})
	total := 0.0
	grow := func(i int) float64 {
		if i%300 == 299 {
			total = 0 // whoever counts started anew
		}
		total += 1000 * (1 + wave(i))
		return total
	}
	if score, known := teach(s, 0, 2000, grow); !known || score >= anomaly.Usual {
		t.Errorf("steady growth scores %.2f, known %v", score, known)
	}
	if score, _ := teach(s, 2000, 1, func(int) float64 { return total + 50_000 }); score < anomaly.Usual {
		t.Errorf("fast growth scores %.2f", score)
	}
	if u, _ := s.Usual(); u.Low < 2 || u.High > 8 || u.Text != signal.FormatRange(signal.BytesPerSecond, u.Low, u.High) {
		t.Errorf("usual is %+v", u) // 1,000 to 2,000 in 300 s
	}
	if why, _ := s.Why(); why.Value < 166 || why.Value > 167 { // 50,000 in 300 s
		t.Errorf("the rate is %.1f/s", why.Value)
	}
}

// BenchmarkAnomaly is one sample of each of ten thousand series, and what one of them takes in memory.
func BenchmarkAnomaly(b *testing.B) {
	const many = 10_000
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	st := New()
	all := make([]*Series, many)
	for i := range all {
		all[i] = st.Open(Key{Signal: strconv.Itoa(i)}, Options{Every: often, Anomaly: true})
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		at := time.Duration(i/many+1) * often
		s := all[i%many]
		s.Set(at, wave(i))
		s.Anomaly(at, 0, midnight.Add(at))
		i++
	}
	b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/many, "B/series")
	runtime.KeepAlive(st)
}

// TestAnomalyLooksBack: a sample that looks back tells of what came after an action only once all of it lies after that.
func TestAnomalyLooksBack(t *testing.T) {
	s := New().Open(Key{Signal: "metric.x"}, Options{Every: often, Span: 2 * often, Anomaly: true})
	teach(s, 0, 600, wave)
	now := 600 * often
	for since, want := range map[time.Duration]bool{now - often: false, now - 2*often: false, now - 3*often: true} {
		if _, known := s.Anomaly(now, since, midnight.Add(now)); known != want {
			t.Errorf("since %v before: known %v", now-since, known)
		}
	}
}
