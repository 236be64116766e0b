package series

import (
	"math"
	"time"
)

// trend is the straight line through the known samples of a window, by least squares. Times count from now, in seconds, and
// values from the first one, so that the sums stay small and exact.
type trend struct {
	view
	now          time.Duration
	n            float64 // samples
	base         float64 // the first value
	level, slope float64 // of the line, now and a second
	center       float64 // mean of the times
	across       float64 // sum of the squared distances of the times from it
}

// fit needs three samples.
func (s *Series) fit(now, window, since time.Duration) (l trend, ok bool) {
	w, ok := s.judge(now, window, since)
	if !ok {
		return trend{}, false
	}
	l = trend{view: w, now: now}
	var st, sv, stt, stv float64
	for i := w.lo; i < s.ring.n; i++ {
		p := w.at(i)
		if !known(p.v) {
			continue
		}
		if l.n == 0 {
			l.base = p.v
		}
		t, v := (p.at - now).Seconds(), p.v-l.base
		l.n++
		st += t
		sv += v
		stt += t * t
		stv += t * v
	}
	if l.n < Enough {
		return trend{}, false
	}
	l.slope = (l.n*stv - st*sv) / (l.n*stt - st*st)
	l.level = (sv - l.slope*st) / l.n
	l.center = st / l.n
	l.across = stt - st*l.center
	return l, true
}

// at is the value of the line so many seconds from now.
func (l *trend) at(seconds float64) float64 { return l.level + l.slope*seconds }

// Predict is the value that the straight line through the samples of the window reaches when ahead has passed. It needs
// three samples.
func (s *Series) Predict(ahead, now, window, since time.Duration) (float64, bool) {
	l, ok := s.fit(now, window, since)
	if !ok {
		return 0, false
	}
	return finite(l.base + l.at(ahead.Seconds()))
}

// PredictLow is the lower edge of where the value will be when ahead has passed: below it in one of forty cases, if the
// trend goes on. It needs five samples.
func (s *Series) PredictLow(ahead, now, window, since time.Duration) (float64, bool) {
	return s.edge(-1, ahead, now, window, since)
}

// PredictHigh is the upper edge, which the value exceeds in one of forty cases.
func (s *Series) PredictHigh(ahead, now, window, since time.Duration) (float64, bool) {
	return s.edge(1, ahead, now, window, since)
}

func (s *Series) edge(side float64, ahead, now, window, since time.Duration) (float64, bool) {
	l, ok := s.fit(now, window, since)
	if !ok || l.n < EnoughForEdge {
		return 0, false
	}
	return finite(l.base + l.at(ahead.Seconds()) + side*l.margin(ahead.Seconds()))
}

// margin is half of the band in which the value will be in 95 of 100 cases: the scatter of the samples, and what it makes
// of the line. Samples that resemble their neighbours tell less than their number, so the line is trusted less for them.
func (l *trend) margin(ahead float64) float64 {
	var squares, products, before float64
	for i := l.lo; i < l.s.ring.n; i++ {
		p := l.view.at(i)
		if !known(p.v) {
			continue
		}
		off := p.v - l.base - l.at((p.at - l.now).Seconds())
		squares += off * off
		products += off * before
		before = off
	}
	alike := 0.0
	if squares > 0 {
		alike = max(0, min(0.99, products/squares))
	}
	far := ahead - l.center
	line := (1/l.n + far*far/l.across) * (1 + alike) / (1 - alike)
	return student(l.n-2) * math.Sqrt(squares/(l.n-2)*(1+line))
}

// student is the 97.5 % point of Student's distribution, within 2 % of it from three degrees of freedom on: the expansion
// of Cornish and Fisher around the normal one.
func student(degrees float64) float64 {
	const z = 1.959964
	const z2 = z * z
	a := (z2 + 1) * z / 4
	b := ((5*z2+16)*z2 + 3) * z / 96
	c := (((3*z2+19)*z2+17)*z2 - 15) * z / 384
	return z + (a+(b+c/degrees)/degrees)/degrees
}
