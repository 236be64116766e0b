package series

import (
	"math"
	"time"
)

// The window functions take the moment of evaluation, the length of the window, and since: samples
// up to since do not count (0: all do). They are false when the answer is unknown: the samples do
// not reach back over the window yet, or the newest known one is too old. Gaps inside are skipped.

// Avg is the mean. Samples of an event series weigh as long as their value was in force.
func (s *Series) Avg(now, window, since time.Duration) (float64, bool) {
	w, ok := s.judge(now, window, since)
	if !ok {
		return 0, false
	}
	if s.opt.Event {
		return w.weighted(now)
	}
	sum, n := 0.0, 0
	for i := w.lo; i < s.ring.n; i++ {
		if v := s.ring.at(i).v; known(v) {
			sum += v
			n++
		}
	}
	return finite(sum / float64(n))
}

// weighted is the mean over the time in which each value was in force.
func (w *view) weighted(now time.Duration) (float64, bool) {
	sum, total := 0.0, 0.0
	for i := w.lo; i < w.s.ring.n; i++ {
		p, end := w.at(i), now
		if i+1 < w.s.ring.n {
			end = w.at(i + 1).at
		}
		if known(p.v) && end > p.at {
			sum += p.v * (end - p.at).Seconds()
			total += (end - p.at).Seconds()
		}
	}
	if total == 0 {
		return w.s.last.v, true // set at this very moment
	}
	return finite(sum / total)
}

// Min is the smallest value.
func (s *Series) Min(now, window, since time.Duration) (float64, bool) {
	w, ok := s.judge(now, window, since)
	least := math.Inf(1)
	for i := w.lo; ok && i < s.ring.n; i++ {
		if v := s.ring.at(i).v; v < least {
			least = v
		}
	}
	return finite(least)
}

// Max is the largest value.
func (s *Series) Max(now, window, since time.Duration) (float64, bool) {
	w, ok := s.judge(now, window, since)
	most := math.Inf(-1)
	for i := w.lo; ok && i < s.ring.n; i++ {
		if v := s.ring.at(i).v; v > most {
			most = v
		}
	}
	return finite(most)
}

// Sum adds up the samples that came within the window.
func (s *Series) Sum(now, window, since time.Duration) (float64, bool) {
	w, ok := s.judge(now, window, since)
	if !ok {
		return 0, false
	}
	sum := 0.0
	for i := w.arrived(); i < s.ring.n; i++ {
		if v := s.ring.at(i).v; known(v) {
			sum += v
		}
	}
	return finite(sum)
}

// Count is how many known samples came within the window. It needs no recent one: none is an answer.
func (s *Series) Count(now, window, since time.Duration) (float64, bool) {
	w := s.look(now, window, since)
	if !w.covered(now - window) {
		return 0, false
	}
	n := 0.0
	for i := w.arrived(); i < s.ring.n; i++ {
		if known(s.ring.at(i).v) {
			n++
		}
	}
	return n, true
}

// arrived is the index of the first sample that came within the window.
func (w *view) arrived() int {
	if w.carry {
		return w.lo + 1
	}
	return w.lo
}

// Newest is the last known value within the window, however old it is in it. The samples need not
// reach back over the window.
func (s *Series) Newest(now, window, since time.Duration) (float64, bool) {
	w := s.look(now, window, since)
	for i := s.ring.n - 1; i >= w.lo; i-- {
		if v := s.ring.at(i).v; known(v) {
			return v, true
		}
	}
	return 0, false
}

// Stddev is the standard deviation of the samples.
func (s *Series) Stddev(now, window, since time.Duration) (float64, bool) {
	w, ok := s.judge(now, window, since)
	if !ok {
		return 0, false
	}
	n, mean, squares := 0.0, 0.0, 0.0
	for i := w.lo; i < s.ring.n; i++ {
		v := s.ring.at(i).v
		if !known(v) {
			continue
		}
		n++
		delta := v - mean
		mean += delta / n
		squares += delta * (v - mean)
	}
	return finite(math.Sqrt(squares / n))
}
