package anomaly

import (
	"testing"
	"time"
)

// atLeast feeds n samples, and says after how many of them the score was at least a bound.
func atLeast(d *Detector, bound float64, from, n int, f func(int) float64) (hits int) {
	for i := from; i < from+n; i++ {
		if d.Observe(start.Add(time.Duration(i)*step), f(i)).Score >= bound {
			hits++
		}
	}
	return hits
}

func shifted(by float64) func(int) float64 { return func(i int) float64 { return noise(i) + by } }

// TestScoreStands: a score stands while the series is away, fades when it gets used to that, and is gone soon after it has
// come back, without the way back being one more anomaly.
func TestScoreStands(t *testing.T) {
	for _, c := range []struct {
		name string
		was  func(int) float64
		f    func(int) float64
		long int
	}{
		{"spike", noise, shifted(25), 1},
		{"a moment", noise, shifted(-25), 12},
		{"level", noise, shifted(25), patience},
		{"season", busy, func(int) float64 { return 125 }, 40},
	} {
		d := New()
		now := twoWeeks + 216 // at 18 h
		run(d, 0, now, c.was)
		if n := atLeast(d, Usual, now, c.long, c.f); n < c.long-6 {
			t.Errorf("%s: it scores high in %d samples", c.name, n)
		}
		now += c.long
		if n := atLeast(d, 0.5, now, 300, c.was); n > returned+12 {
			t.Errorf("%s: it scores in %d samples after it has come back", c.name, n)
		}
		now += 300
		if d.s.Episode.Phase == back {
			t.Errorf("%s: it is on its way back for ever", c.name)
		}
		if n := atLeast(d, Usual, now, 10, shifted(-90)); n == 0 {
			t.Errorf("%s: the next one is not noticed", c.name)
		}
	}
}

// TestUsedTo: what stays is usual after a while, also the way back is news then.
func TestUsedTo(t *testing.T) {
	d := New()
	run(d, 0, twoWeeks, noise)
	now := twoWeeks
	if n := atLeast(d, Usual, now, patience, shifted(25)); n < patience {
		t.Errorf("it scores high in %d of the first samples", n)
	}
	now += patience
	if n := atLeast(d, 0.5, now, 400, shifted(25)); n < 100 || n > 300 {
		t.Errorf("it scores in %d samples after that", n)
	}
	now += 400
	if n := atLeast(d, Usual, now, 10, noise); n < 5 {
		t.Errorf("the way back scores in %d samples", n)
	}
}

// TestAwayAgain: a series that comes back now and then is away, and one that was back is away at once.
func TestAwayAgain(t *testing.T) {
	d := New()
	run(d, 0, twoWeeks, noise)
	now := twoWeeks
	nowAndThen := func(i int) float64 { return noise(i) + float64(max(0, 1-i%returned))*25 }
	if n := atLeast(d, Usual, now, 60, nowAndThen); n < 50 {
		t.Errorf("it scores high in %d samples", n)
	}
	now += 60
	atLeast(d, 1, now, 20, noise)
	if d.s.Episode.Phase != back {
		t.Fatalf("20 samples later it is in phase %d", d.s.Episode.Phase)
	}
	if n := atLeast(d, Usual, now+20, 2, shifted(90)); n < 2 {
		t.Error("what comes on the way back is not noticed")
	}
}
