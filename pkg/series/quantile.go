package series

import (
	"math"
	"time"
)

// Quantile is the value that the share p (0 to 1) of the samples does not exceed, interpolated
// between neighbours.
func (s *Series) Quantile(p float64, now, window, since time.Duration) (float64, bool) {
	w, ok := s.judge(now, window, since)
	if !ok {
		return 0, false
	}
	vs := s.store.spare[:0]
	for i := w.lo; i < s.ring.n; i++ {
		if v := s.ring.at(i).v; known(v) {
			vs = append(vs, v)
		}
	}
	rank := p * float64(len(vs)-1)
	k := int(rank)
	if k < 0 || k >= len(vs) {
		return 0, false
	}
	low := pick(vs, k)
	if k+1 == len(vs) {
		return finite(low)
	}
	high := math.Inf(1)
	for _, v := range vs[k+1:] {
		high = min(high, v)
	}
	return finite(low + (rank-float64(k))*(high-low))
}

// pick returns the k-th smallest value. It moves the values: smaller ones before k, larger ones behind.
func pick(vs []float64, k int) float64 {
	lo, hi := 0, len(vs)-1
	for lo < hi {
		pivot := vs[int(uint(lo+hi)>>1)]
		i, j := lo, hi
		for i <= j {
			for vs[i] < pivot {
				i++
			}
			for vs[j] > pivot {
				j--
			}
			if i <= j {
				vs[i], vs[j] = vs[j], vs[i]
				i++
				j--
			}
		}
		switch {
		case k <= j:
			hi = j
		case k >= i:
			lo = i
		default:
			return vs[k]
		}
	}
	return vs[k]
}
