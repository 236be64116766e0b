package series

import (
	"math"
	"time"
)

// Change is the last value of the window minus the first.
func (s *Series) Change(now, window, since time.Duration) (float64, bool) {
	first, last, ok := s.pair(now, window, since)
	if !ok {
		return 0, false
	}
	return finite(last.v - first.v)
}

// ChangeRatio is the change as a share of the first value; unknown when that is zero.
func (s *Series) ChangeRatio(now, window, since time.Duration) (float64, bool) {
	first, last, ok := s.pair(now, window, since)
	if !ok {
		return 0, false
	}
	return finite((last.v - first.v) / math.Abs(first.v))
}

// pair is the first and the last known sample of the window. A polled series must have two.
func (s *Series) pair(now, window, since time.Duration) (first, last sample, ok bool) {
	w, ok := s.judge(now, window, since)
	if !ok {
		return sample{}, sample{}, false
	}
	first, last, n := w.ends()
	return first, last, n > 1 || n == 1 && s.opt.Event
}

// Increase is by how much a counter grew. A smaller value than the one before means that it began
// again from zero.
func (s *Series) Increase(now, window, since time.Duration) (float64, bool) {
	grown, _, ok := s.growth(now, window, since)
	if !ok {
		return 0, false
	}
	return finite(grown)
}

// Rate is the growth of a counter per second. That of a polled series is taken over the time from
// its first to its last sample, of an event series over the window.
func (s *Series) Rate(now, window, since time.Duration) (float64, bool) {
	grown, over, ok := s.growth(now, window, since)
	if !ok || over <= 0 {
		return 0, false
	}
	return finite(grown / over.Seconds())
}

func (s *Series) growth(now, window, since time.Duration) (grown float64, over time.Duration, ok bool) {
	w, ok := s.judge(now, window, since)
	if !ok {
		return 0, 0, false
	}
	var first, before sample
	n := 0
	for i := w.lo; i < s.ring.n; i++ {
		p := w.at(i)
		switch {
		case !known(p.v):
			continue
		case n == 0:
			first = p
		case p.v < before.v:
			grown += p.v
		default:
			grown += p.v - before.v
		}
		before = p
		n++
	}
	if s.opt.Event {
		return grown, now - first.at, n > 0
	}
	return grown, before.at - first.at, n > 1
}
