package series

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

// TestPredictEdge by hand: the line through 2 4 5 4 5 is 2.2 + 0.6 t, its squares sum up to 2.4; three seconds after the
// last one it is at 7, and the band is 3.182 √(0.8 (1 + 1/5 + 25/10)) = 5.475 to each side.
func TestPredictEdge(t *testing.T) {
	s := fill(polled(9*sec), 2, 4, 5, 4, 5)
	for name, c := range map[string]struct {
		f    func(*Series, time.Duration, time.Duration, time.Duration, time.Duration) (float64, bool)
		want float64
	}{
		"middle": {(*Series).Predict, 7},
		"low":    {(*Series).PredictLow, 7 - 5.475},
		"high":   {(*Series).PredictHigh, 7 + 5.475},
	} {
		if got, known := c.f(s, 3*sec, 5*sec, 5*sec, 0); !known || math.Abs(got-c.want) > 0.02*5.475 {
			t.Errorf("%s: %v, known %v, want %v", name, got, known, c.want)
		}
	}
	if got, known := fill(polled(9*sec), 2, 4, 5, 4).PredictHigh(sec, 4*sec, 4*sec, 0); known {
		t.Errorf("from four samples: %v", got)
	}
	for _, edge := range []float64{-1, 1} {
		got, known := fill(polled(9*sec), 1, 2, 3, 4, 5).edge(edge, 10*sec, 5*sec, 5*sec, 0)
		if !known || math.Abs(got-15) > 1e-9 {
			t.Errorf("of samples that lie on a line: %v, known %v", got, known)
		}
	}
}

func TestStudent(t *testing.T) {
	for degrees, want := range map[float64]float64{3: 3.182, 4: 2.776, 5: 2.571, 10: 2.228, 30: 2.042, 1e6: 1.960} {
		if got := student(degrees); math.Abs(got-want) > 0.02*want {
			t.Errorf("%v degrees of freedom: %.3f, want %.3f", degrees, got, want)
		}
	}
}

// TestPredictHolds: in about 95 of 100 cases the value lies in the band, whether neighbours resemble each other or not.
func TestPredictHolds(t *testing.T) {
	for _, alike := range []float64{0, 0.6} {
		dice := rand.New(rand.NewPCG(1, 2))
		const cases, samples = 500, 120
		inside := 0
		for range cases {
			s := New().Open(Key{Signal: "x"}, polled(samples*sec))
			noise, next := 0.0, func() float64 { return dice.NormFloat64() }
			at := time.Duration(0)
			value := func() float64 {
				noise = alike*noise + next()
				return 5 + 0.1*at.Seconds() + noise
			}
			for range samples {
				at += sec
				s.Set(at, value())
			}
			low, known := s.PredictLow(30*sec, at, samples*sec, 0)
			high, _ := s.PredictHigh(30*sec, at, samples*sec, 0)
			now := at
			for at < now+30*sec {
				at += sec
				noise = alike*noise + next()
			}
			if v := 5 + 0.1*at.Seconds() + noise; known && low <= v && v <= high {
				inside++
			}
		}
		if share := float64(inside) / cases; share < 0.90 || share > 0.985 {
			t.Errorf("alike %v: %.3f lie in the band", alike, share)
		}
	}
}
