package load

import (
	"math"
	"slices"
	"time"
)

// Samples are times, all of them kept, shortest first: quantiles are exact.
type Samples []time.Duration

// NewSamples sorts times; it keeps the slice.
func NewSamples(all []time.Duration) Samples {
	s := Samples(all)
	s.sort()
	return s
}

func (s Samples) sort() { slices.Sort(s) }

// Join puts the samples of several runs together.
func Join(all ...Samples) Samples {
	s := slices.Concat(all...)
	s.sort()
	return s
}

// Quantile is the smallest time that a share q of all does not exceed; 0 if there are none.
func (s Samples) Quantile(q float64) time.Duration {
	if len(s) == 0 {
		return 0
	}
	i := int(math.Ceil(q*float64(len(s)))) - 1
	return s[min(max(i, 0), len(s)-1)]
}

// Max is the longest; 0 if there are none.
func (s Samples) Max() time.Duration { return s.Quantile(1) }
