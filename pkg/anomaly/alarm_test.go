package anomaly

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

// TestFalseAlarms: noise of all sorts, sampled at any pace, is called unusual about once a day while the detector is young:
// in the four days after the first.
func TestFalseAlarms(t *testing.T) {
	const seeds, days = 5, 5
	for name, f := range map[string]func(dice *rand.Rand, day float64) float64{
		"normal":     func(dice *rand.Rand, day float64) float64 { return 0.3 + 0.2*day + 0.03*dice.NormFloat64() },
		"log-normal": func(dice *rand.Rand, day float64) float64 { return math.Exp(0.3*day + 0.5*dice.NormFloat64()) },
		"counts":     func(dice *rand.Rand, day float64) float64 { return math.Floor((3 + 2*day) * dice.ExpFloat64()) },
		"bursts": func(dice *rand.Rand, _ float64) float64 {
			if dice.IntN(1000) == 0 {
				return 0.1 + 0.3*math.Pow(dice.Float64(), -0.4)
			}
			return 0.1 + 0.01*dice.NormFloat64()
		},
	} {
		for _, period := range []time.Duration{5 * time.Second, time.Minute} {
			alarms := 0
			for seed := range uint64(seeds) {
				d, dice := New(), rand.New(rand.NewPCG(1, seed))
				for i := range int(days * 24 * time.Hour / period) {
					at := start.Add(time.Duration(i) * period)
					day := math.Sin(2 * math.Pi * float64(at.Unix()%86400) / 86400)
					if d.Observe(at, f(dice, day)).Onset >= Usual {
						alarms++
					}
				}
			}
			perDay := float64(alarms) / (seeds * (days - 1))
			if perDay > 1.5 {
				t.Errorf("%s, every %v: %.2f false alarms a day", name, period, perDay)
			}
		}
	}
}
