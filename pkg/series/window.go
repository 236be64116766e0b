package series

import (
	"math"
	"time"
)

// view is the part of a ring that a window function looks at: the samples strictly later than
// from. That of an event series begins with the value in force at from, if there is one.
type view struct {
	s     *Series
	from  time.Duration
	since time.Duration // samples up to this moment do not count; 0: all do
	lo    int           // index of the first sample in the ring
	carry bool
}

// look opens a window that ends now. since > 0 leaves out everything up to that moment.
func (s *Series) look(now, window, since time.Duration) view {
	since = s.beyond(since)
	w := view{s: s, from: max(now-window, since), since: since}
	w.lo = s.ring.search(w.from)
	if s.opt.Event && w.lo > 0 && (since == 0 || s.ring.at(w.lo-1).at > since) {
		w.lo--
		w.carry = true
	}
	return w
}

// at is the i-th sample of the ring, the one in force at the start of the window moved there.
func (w *view) at(i int) sample {
	p := w.s.ring.at(i)
	p.at = max(p.at, w.from)
	return p
}

// judge opens a window for a function that speaks about all of it. ok is false when the samples do
// not reach back far enough, or when the newest known one is too old to speak for now.
func (s *Series) judge(now, window, since time.Duration) (w view, ok bool) {
	w = s.look(now, window, since)
	return w, w.covered(now-window) && w.current(now)
}

// covered reports whether the samples reach back to the start of the window. After an action (since)
// the window fills anew; then Enough samples will do as well.
func (w *view) covered(start time.Duration) bool {
	r := &w.s.ring
	first := 0
	if w.since > 0 {
		for first = r.search(w.since); first < r.n && !known(r.at(first).v); first++ {
		}
	}
	if first == r.n {
		return false
	}
	slack := 2 * w.s.opt.Every
	if w.s.opt.Event {
		slack = 0
	}
	return r.at(first).at <= start+slack || w.since > 0 && w.s.newer(w.from, w.s.enough())
}

// current reports whether the newest known sample in the window still counts.
func (w *view) current(now time.Duration) bool {
	if w.s.opt.Event {
		return known(w.s.last.v)
	}
	for i := w.s.ring.n - 1; i >= w.lo; i-- {
		if p := w.s.ring.at(i); known(p.v) {
			return w.s.fresh(p.at, now)
		}
	}
	return false
}

// ends are the first and the last known sample of the window, n their number.
func (w *view) ends() (first, last sample, n int) {
	for i := w.lo; i < w.s.ring.n; i++ {
		p := w.at(i)
		if !known(p.v) {
			continue
		}
		if n == 0 {
			first = p
		}
		last = p
		n++
	}
	return first, last, n
}

// finite passes on what can be said: a result that is not finite is unknown.
func finite(v float64) (float64, bool) {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return 0, false
	}
	return v, true
}
