package anomaly

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

// TestFalseAlarms: noise of all sorts, sampled at any pace, is called unusual at most once a day.
func TestFalseAlarms(t *testing.T) {
	dice := rand.New(rand.NewPCG(1, 2))
	for name, f := range map[string]func(day float64) float64{
		"normal":     func(day float64) float64 { return 0.3 + 0.2*day + 0.03*dice.NormFloat64() },
		"log-normal": func(day float64) float64 { return 0.01 * math.Exp(0.3*day+0.5*dice.NormFloat64()) },
		"counts":     func(day float64) float64 { return math.Floor((3 + 2*day) * dice.ExpFloat64()) },
		"with bursts": func(float64) float64 {
			if dice.IntN(1000) == 0 {
				return 0.1 + 0.3*math.Pow(dice.Float64(), -0.4)
			}
			return 0.1 + 0.01*dice.NormFloat64()
		},
	} {
		for _, period := range []time.Duration{5 * time.Second, time.Minute} {
			d, n := New(), 0
			for i := range int(5 * 24 * time.Hour / period) {
				at := start.Add(time.Duration(i) * period)
				day := math.Sin(2 * math.Pi * float64(at.Unix()%86400) / 86400)
				if v := d.Observe(at, f(day)); v.Onset >= Usual {
					n++
				}
			}
			if n > 4 {
				t.Errorf("%s, every %v: %d false alarms in four days", name, period, n)
			}
		}
	}
}
