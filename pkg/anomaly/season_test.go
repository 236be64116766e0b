package anomaly

import (
	"math"
	"testing"
	"time"
)

// seasonal is the mean residual in the last of 21 days of a series that is sampled each period.
func seasonal(period time.Duration, f func(time.Time) float64) (residual float64) {
	var s season
	s.forget()
	var age float64
	n := 0
	for at := start; at.Before(start.Add(21 * 24 * time.Hour)); at = at.Add(period) {
		got := math.Abs(s.residual(at.UnixNano(), f(at), 50, period.Seconds(), age, 0.001))
		age += period.Seconds()
		if at.After(start.Add(20 * 24 * time.Hour)) {
			residual += got
			n++
		}
	}
	return residual / float64(n)
}

// TestSeason: what repeats itself by the day or by the week is predicted, however often samples come.
func TestSeason(t *testing.T) {
	daily := func(at time.Time) float64 { return 50 + 40*math.Sin(2*math.Pi*float64(at.Unix()%86400)/86400) }
	weekly := func(at time.Time) float64 { return 50 + 40*math.Sin(2*math.Pi*float64(at.Unix()%604800)/86400*3.5) }
	for _, c := range []struct {
		name   string
		period time.Duration
		f      func(time.Time) float64
		most   float64
	}{
		{"daily", 20 * time.Second, daily, 2.5}, // a half hour's own slope is part of that
		{"daily", 5 * time.Minute, daily, 2.5},
		{"daily, hourly", time.Hour, daily, 2.5},
		{"weekly", 5 * time.Minute, weekly, 10}, // by the day alone it would be 25
	} {
		if got := seasonal(c.period, c.f); got > c.most {
			t.Errorf("%s, every %v: the residual is %.2f, want at most %v", c.name, c.period, got, c.most)
		}
	}
}

// TestSlotFades: four visits of a slot count, so after eight of something else the old is nearly gone, and after one it
// is not.
func TestSlotFades(t *testing.T) {
	usual := float32(0)
	p := slot{&usual, dayWidth, dayVisits, 86400}
	visit := func() {
		for range 6 {
			p.learn(100, 300, 30*86400)
		}
	}
	visit()
	if usual < 20 || usual > 30 {
		t.Errorf("after one visit it is %v, want about a quarter of the way", usual)
	}
	for range 7 {
		visit()
	}
	if usual < 80 {
		t.Errorf("after eight visits it is %v", usual)
	}
	usual = 0
	first := slot{&usual, dayWidth, dayVisits, 86400}
	first.learn(100, dayWidth, 0)
	if usual != 100 {
		t.Errorf("a whole first visit makes it %v, want 100", usual)
	}
}
