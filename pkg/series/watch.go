package series

import (
	"maps"
	"time"

	"github.com/salveops/salve/pkg/anomaly"
	"github.com/salveops/salve/pkg/signal"
)

// Learned is what has been learned of a series.
type Learned struct {
	Detector   *anomaly.Detector
	Definition uint64 // of the figure: see Options
}

// watch is the detector of a series, and what it has seen.
type watch struct {
	detector *anomaly.Detector
	verdict  anomaly.Verdict
	fed      sample // newest that the detector has seen; of a counter also what the next one is compared with
	any      bool   // fed is set
}

// Anomaly is how unusual the series is now, from 0 to 1, by the samples that speak only about what came after
// since (0: by all). The detector is shown the newest sample, once, so this is to be asked at each tick; wall is the time of day at now. It is
// unknown while the detector learns or the series is unknown, and of a series that was not opened for it.
func (s *Series) Anomaly(now, since time.Duration, wall time.Time) (float64, bool) {
	if s.watch == nil {
		return 0, false
	}
	v, at, known := s.Last()
	if known && (!s.watch.any || at > s.watch.fed.at) {
		s.watch.feed(sample{at, v}, wall.Add(at-now), s.opt.Counter)
	}
	if !known || !s.fresh(at, now) || since > 0 && at <= s.beyond(since) {
		return 0, false
	}
	return s.watch.verdict.Score, s.watch.verdict.Known
}

// feed shows the detector a sample: of a counter, how fast it has grown. A smaller value than the one before means that it
// began again from zero.
func (w *watch) feed(p sample, wall time.Time, counter bool) {
	before, any := w.fed, w.any
	w.fed, w.any = p, true
	v := p.v
	if counter {
		if !any {
			return
		}
		if v >= before.v {
			v -= before.v
		}
		v /= (p.at - before.at).Seconds()
	}
	w.verdict = w.detector.Observe(wall, v)
}

// Why explains Anomaly; ok is false when there is nothing to explain.
func (s *Series) Why() (why anomaly.Reason, ok bool) {
	if s.watch == nil {
		return why, false
	}
	return s.watch.detector.Why()
}

// Usual is where a series is expected to be.
type Usual struct {
	Low, High float64 // of a counter, of its growth a second
	Score     float64 // how unusual it is, as Anomaly
	Known     bool    // false while the detector learns
	Text      string  // the range as people read it, or "learning"
}

// Usual says where the series is expected; ok is false for one without a detector.
func (s *Series) Usual() (u Usual, ok bool) {
	if s.watch == nil {
		return u, false
	}
	u = Usual{Score: s.watch.verdict.Score, Text: "learning"}
	dim := s.opt.Dim
	if s.opt.Counter {
		dim, _ = dim.PerSecond()
	}
	if u.Low, u.High, u.Known = s.watch.detector.Usual(); u.Known {
		u.Text = signal.FormatRange(dim, u.Low, u.High)
	}
	return u, true
}

// Teach hands over detectors that an earlier process kept, for series that are opened from now on.
func (st *Store) Teach(kept map[Key]Learned) { maps.Copy(st.kept, kept) }

// Learned are copies of all detectors, also of those whose series has not been opened yet.
func (st *Store) Learned() map[Key]Learned {
	all := make(map[Key]Learned, len(st.kept))
	add := func(k Key, l Learned) {
		c := *l.Detector
		all[k] = Learned{&c, l.Definition}
	}
	for k, l := range st.kept {
		add(k, l)
	}
	for _, s := range st.sorted {
		if s.watch != nil {
			add(s.key, Learned{s.watch.detector, s.opt.Definition})
		}
	}
	return all
}

// observe gives the series a detector: the one that was kept of the same figure, or a new one.
func (st *Store) observe(s *Series) {
	if s.watch != nil {
		return
	}
	l := st.kept[s.key]
	if l.Detector == nil || l.Definition != s.opt.Definition {
		l.Detector = anomaly.New()
	}
	delete(st.kept, s.key)
	s.watch = &watch{detector: l.Detector}
}
