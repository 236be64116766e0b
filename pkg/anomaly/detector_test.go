package anomaly

import (
	"math"
	"slices"
	"testing"
	"time"
)

const step = 5 * time.Minute

var start = time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC) // a Monday

// noise is the same numbers each time, from -1 to 1.
func noise(i int) float64 {
	x := uint64(i)*0x9e3779b97f4a7c15 + 1
	x ^= x >> 31
	x *= 0xbf58476d1ce4e5b9
	x ^= x >> 27
	return float64(x>>11)/(1<<52) - 1
}

// busy is a series with a day, a week and noise.
func busy(i int) float64 {
	at := start.Add(time.Duration(i) * step)
	day := math.Sin(2 * math.Pi * float64(at.Sub(start)%(24*time.Hour)) / float64(24*time.Hour))
	if at.Weekday() == time.Saturday || at.Weekday() == time.Sunday {
		day /= 2
	}
	return 100 + 30*day + 3*noise(i)
}

// run feeds samples from..to and gives the highest onset, where it was, and the last verdict.
func run(d *Detector, from, to int, f func(int) float64) (onset float64, at int, last Verdict) {
	for i := from; i < to; i++ {
		last = d.Observe(start.Add(time.Duration(i)*step), f(i))
		if last.Onset > onset {
			onset, at = last.Onset, i
		}
	}
	return onset, at, last
}

const twoWeeks = 14 * 288

func TestLearning(t *testing.T) {
	d := New()
	for i := range 288 {
		if v := d.Observe(start.Add(time.Duration(i)*step), busy(i)); v != (Verdict{}) {
			t.Fatalf("sample %d, less than a day after the first one: %+v", i, v)
		}
	}
	if v := d.Observe(start.Add(288*step), busy(288)); !v.Known {
		t.Error("a day and 289 samples are not enough")
	}
	d = New()
	for i := range learnSamples {
		v := d.Observe(start.Add(time.Duration(i)*time.Hour), busy(12*i))
		if enough := i+1 >= learnSamples; v.Known != enough {
			t.Errorf("hourly sample %d: known is %v", i+1, v.Known)
		}
	}
	d = New()
	run(d, 0, learnSamples-1, busy)
	if v := d.Observe(start.AddDate(50, 0, 0), busy(learnSamples)); v.Known {
		t.Error("a clock that was set from 1970 to now has taught it a day")
	}
}

// TestUsual: what is usual stays below what one compares with, for two weeks after two weeks.
func TestUsual(t *testing.T) {
	for name, f := range map[string]func(int) float64{
		"busy":      busy,
		"constant":  func(int) float64 { return 45 },
		"zero":      func(int) float64 { return 0 },
		"square":    func(i int) float64 { return float64(i / 144 % 2 * 60) },
		"noise":     func(i int) float64 { return 1e6 + noise(i) },
		"drift":     func(i int) float64 { return 10 + float64(i)/1000 + 0.5*noise(i) },
		"rounding":  func(i int) float64 { return 0.1 + 1e-17*noise(i) },
		"daily job": func(i int) float64 { return 5 + noise(i) + float64(max(0, 1-i%288))*80 },
	} {
		d := New()
		run(d, 0, twoWeeks, f)
		if onset, at, _ := run(d, twoWeeks, 2*twoWeeks, f); onset >= Usual {
			why, _ := d.Why()
			t.Errorf("%s: sample %d of what is usual scores %.3f: %+v", name, at, onset, why)
		}
	}
}

// TestUnusual: each of these is noticed soon, and explained by what was broken.
func TestUnusual(t *testing.T) {
	const begin = twoWeeks + 216 // at 18 h
	for _, c := range []struct {
		name   string
		within int // samples
		broken Component
		was, f func(int) float64
	}{
		{"spike", 1, Value, busy, func(i int) float64 { return busy(i) + 90 }},
		{"drop", 1, Value, busy, func(i int) float64 { return busy(i) - 90 }},
		{"high at night", 6, Season, busy, func(int) float64 { return 125 }},
		{"level shift", 20, Level, noise, func(i int) float64 { return noise(i) + 1.6 }},
		{"steady climb", 200, Value, noise, func(i int) float64 { return noise(i) + float64(i-begin)/20 }},
		{"louder", 20, Change, noise, func(i int) float64 { return 2.5 * noise(i) }},
		{"quieter", 60, Spread, noise, func(i int) float64 { return noise(i) / 50 }},
		{"stuck", 60, Flat, noise, func(int) float64 { return 0.1 }},
		{"first error", 1, Value, func(int) float64 { return 0 }, func(int) float64 { return 0.02 }},
		{"between two modes", 3, Value,
			func(i int) float64 { return float64(i/6%2*60) + noise(i) }, func(i int) float64 { return 30 + noise(i) }},
	} {
		d := New()
		run(d, 0, begin, c.was)
		broken := map[Component]bool{}
		noticed := false
		for i := begin; i < begin+c.within; i++ {
			v := d.Observe(start.Add(time.Duration(i)*step), c.f(i))
			noticed = noticed || v.Score >= Usual
			if why, ok := d.Why(); ok {
				for _, b := range why.Broken {
					broken[b] = true
				}
			}
		}
		if !noticed {
			t.Errorf("%s: not noticed in %d samples", c.name, c.within)
		}
		if !broken[c.broken] {
			t.Errorf("%s: the %s is not called broken, but %v", c.name, c.broken, broken)
		}
	}
}

func TestWhy(t *testing.T) {
	d := New()
	run(d, 0, twoWeeks, noise)
	if why, ok := d.Why(); ok {
		t.Fatalf("nothing is unusual, but %+v", why)
	}
	at := start.Add(twoWeeks * step)
	if v := d.Observe(at, 25); v.Score < Usual {
		t.Fatalf("25 times the usual scores %.2f", v.Score)
	}
	why, ok := d.Why()
	if !ok || !why.At.Equal(at) || why.Value != 25 || why.Low < -1.3 || why.Low > -0.7 || why.High < 0.7 || why.High > 1.3 {
		t.Errorf("explained by %+v", why)
	}
	if !slices.Contains(why.Broken, Value) || !slices.Contains(why.Broken, Change) || slices.Contains(why.Broken, Flat) {
		t.Errorf("broken is %v", why.Broken)
	}
	run(d, twoWeeks+1, twoWeeks+400, noise)
	if _, ok := d.Why(); ok {
		t.Error("still explained after 400 usual samples")
	}
}

// TestExperience: the same novelty is twice as strong after sixteen times as many samples.
func TestExperience(t *testing.T) {
	strength := func(samples uint64) float64 {
		d := New()
		run(d, 0, 1000, noise)
		d.s.N = samples
		d.Observe(start.Add(1000*step), 25)
		return d.s.Held
	}
	if ratio := strength(16_000) / strength(1000); math.Abs(ratio-2) > 0.01 {
		t.Errorf("it is %.2f times as strong", ratio)
	}
}

// TestEra: it ends when it has lasted long enough, and has had enough samples.
func TestEra(t *testing.T) {
	for _, c := range []struct {
		samples uint32
		age     time.Duration
		want    float64
	}{{eraSamples - 1, eraTime, 15}, {eraSamples - 2, eraTime, 16}, {eraSamples, eraTime - time.Minute, 16}} {
		var s state
		s.EraN, s.EraAge, s.Still.Longest = c.samples, c.age.Seconds(), 16
		if s.age(1); s.Still.Longest != c.want {
			t.Errorf("%d samples in %v: the longest run counts as %v, want %v", c.samples+1, c.age, s.Still.Longest, c.want)
		}
	}
}

// TestOutlierHidesLittle: after a huge outlier, an ordinary anomaly is noticed still.
func TestOutlierHidesLittle(t *testing.T) {
	d := New()
	run(d, 0, twoWeeks, noise)
	d.Observe(start.Add(twoWeeks*step), 20)
	run(d, twoWeeks+1, twoWeeks+300, noise)
	if onset, _, _ := run(d, twoWeeks+300, twoWeeks+310, func(i int) float64 { return 5 + noise(i) }); onset < Usual {
		t.Errorf("five times the usual scores %.2f after an outlier", onset)
	}
}

// TestNewNormal: a level that has come to stay is usual after a day.
func TestNewNormal(t *testing.T) {
	d := New()
	run(d, 0, twoWeeks, busy)
	higher := func(i int) float64 { return busy(i) + 200 }
	if onset, _, _ := run(d, twoWeeks, twoWeeks+3*288, higher); onset < Usual {
		t.Errorf("the shift scores %.2f", onset)
	}
	if onset, at, _ := run(d, twoWeeks+3*288, 2*twoWeeks, higher); onset >= Usual {
		t.Errorf("three days later sample %d scores %.2f", at, onset)
	}
}

// TestForgets: what was usual long ago and only once is unusual again.
func TestForgets(t *testing.T) {
	d := New()
	run(d, 0, 1000, noise)
	d.Observe(start.Add(1000*step), 10)
	run(d, 1001, 1000+3*twoWeeks, noise)
	if onset, _, _ := run(d, 1000+3*twoWeeks, 1001+3*twoWeeks, func(int) float64 { return 10 }); onset < Usual {
		t.Errorf("an outlier of six weeks ago makes this one usual: %.2f", onset)
	}
}

// TestBadSamples: what is no sample changes nothing.
func TestBadSamples(t *testing.T) {
	clean, dirty := New(), New()
	for i := range twoWeeks {
		at := start.Add(time.Duration(i) * step)
		clean.Observe(at, busy(i))
		dirty.Observe(at, busy(i))
		dirty.Observe(at, 1e6)                      // doubled
		dirty.Observe(at.Add(-step/2), -1e6)        // late
		dirty.Observe(at.Add(1), math.NaN())        // missing
		dirty.Observe(at.Add(2), math.Inf(1-i%2*2)) // broken
		dirty.Observe(at.Add(3), math.MaxFloat64)   // broken, too
	}
	a, _ := clean.AppendBinary(nil)
	b, _ := dirty.AppendBinary(nil)
	if !slices.Equal(a, b) {
		t.Error("samples that are none changed the detector")
	}
}

// TestGap: after a day without samples nothing is compared with the sample before it.
func TestGap(t *testing.T) {
	d := New()
	run(d, 0, twoWeeks, busy)
	from := twoWeeks + 288 + 144
	if onset, at, _ := run(d, from, from+288, busy); onset >= Usual {
		why, _ := d.Why()
		t.Errorf("sample %d after the gap scores %.2f: %+v", at-from, onset, why)
	}
}

// TestSlowerSamples: a period that has become longer is no gap for ever.
func TestSlowerSamples(t *testing.T) {
	d := New()
	run(d, 0, twoWeeks, noise)
	at := start.Add(twoWeeks * step)
	for i := range 200 {
		d.Observe(at, noise(i))
		at = at.Add(20 * step)
	}
	d.Observe(at, 9)
	if why, _ := d.Why(); !slices.Contains(why.Broken, Change) {
		t.Errorf("a leap is not called a change: %v", why.Broken)
	}
}

// TestClockSetBack: a clock that is set back by a month stops nothing.
func TestClockSetBack(t *testing.T) {
	d := New()
	run(d, 0, twoWeeks, busy)
	month := 28 * 288
	_, _, last := run(d, twoWeeks-month, twoWeeks-month+288, busy)
	if !last.Known || last.Score >= Usual {
		t.Errorf("a day after it the verdict is %+v", last)
	}
	at := start.Add(time.Duration(twoWeeks-month+288) * step)
	if v := d.Observe(at, 1000); v.Onset < Usual {
		t.Errorf("an anomaly after it scores %.2f", v.Onset)
	}
}

func TestNoAllocation(t *testing.T) {
	d := New()
	i := 0
	if n := testing.AllocsPerRun(10_000, func() {
		d.Observe(start.Add(time.Duration(i)*step), busy(i)*(1+float64(i%997/996)))
		i++
	}); n != 0 {
		t.Errorf("%v allocations a sample", n)
	}
}

func BenchmarkObserve(b *testing.B) {
	d := New()
	samples := make([]float64, 4096)
	for i := range samples {
		samples[i] = busy(i)
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		d.Observe(start.Add(time.Duration(i)*step), samples[i%len(samples)])
	}
}
