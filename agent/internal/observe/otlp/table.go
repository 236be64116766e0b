package otlp

import (
	"cmp"
	"errors"
	"fmt"
	"hash/maphash"
	"maps"
	"slices"
	"time"

	"github.com/salveops/salve/agent/internal/observe/figure"
	"github.com/salveops/salve/agent/internal/observe/source"
	"github.com/salveops/salve/pkg/clock"
	"github.com/salveops/salve/pkg/metric"
	"github.com/salveops/salve/pkg/otlp"
)

const (
	maxStreams = 10_000  // of one block
	maxBuckets = 100_000 // of all their histograms
	// forget is how long a series may be away until coming back means beginning from zero.
	forget = 10 * time.Minute
	// patience is for how long points that were refused are told as a failure.
	patience = time.Minute
	// jump is by how much a wall clock that drifts does not move from one request to the next.
	jump = time.Second
)

// table makes the figures of one block from points. Its Receiver's lock guards it.
type table struct {
	figures []*figure.Figure
	wanted  map[string][]*figure.Figure // by name
	metrics []source.Metric
	every   time.Duration
	stale   time.Duration // for how long what is silent is believed

	seed     maphash.Seed
	streams  map[uint64]*stream
	families map[uint64]*family
	buckets  int  // of all streams
	full     bool // something had no room
	swept    time.Duration
	since    time.Time     // nothing is known from before it
	drift    time.Duration // of the wall clock against the other

	begun    time.Duration
	told     time.Duration // when a point was accepted last
	fresh    bool          // one was since the last round
	lag      time.Duration // how old the oldest of them was
	last     time.Duration // moment of the last round
	accepted uint64
	refused  map[string]uint64 // by reason
	bad      string            // the last point that was refused
	badErr   error             // and why
	badAt    time.Duration

	name    []byte   // scratch
	scratch []uint64 // likewise, of buckets
}

// family is all series of one metric that one sender tells of.
type family struct {
	time uint64        // of the first point
	seen time.Duration // when the last one came
}

func newTable(metrics []source.Metric, every time.Duration, at clock.Instant) *table {
	t := &table{metrics: metrics, every: every, stale: every * 5 / 2, seed: maphash.MakeSeed(), refused: map[string]uint64{}}
	t.begin(at)
	return t
}

// begin forgets all that was told.
func (t *table) begin(at clock.Instant) {
	t.figures, t.wanted = nil, map[string][]*figure.Figure{}
	for _, m := range t.metrics {
		f := figure.New(m.Definition, t.every, t.stale, at.Boot)
		t.figures = append(t.figures, f)
		for _, name := range slices.Compact([]string{m.Of.Name(), cmp.Or(m.All.Name(), m.Of.Name())}) {
			t.wanted[name] = append(t.wanted[name], f)
		}
	}
	t.streams, t.families, t.buckets, t.full = map[uint64]*stream{}, map[uint64]*family{}, 0, false
	t.since, t.drift, t.swept, t.begun, t.told, t.last = at.Wall, offset(at), at.Boot, at.Boot, at.Boot, at.Boot
}

// offset is what the wall clock is ahead of the other one.
func offset(at clock.Instant) time.Duration { return time.Duration(at.Wall.UnixNano()) - at.Boot }

// prepare is called before points are taken. When the wall clock was set, times of before and after say nothing about each
// other.
func (t *table) prepare(at clock.Instant) {
	if set := offset(at) - t.drift; set < -jump || set > jump {
		t.begin(at)
	}
	t.drift = offset(at)
	if at.Boot-t.swept > t.stale {
		t.sweep(at)
	}
}

// sweep forgets who was away for long; when there is no room, who is silent.
func (t *table) sweep(at clock.Instant) {
	t.swept = at.Boot
	most := forget
	if t.full {
		most = t.stale
	}
	for id, s := range t.streams {
		if at.Boot-s.seen > most {
			t.buckets -= len(s.last.buckets)
			delete(t.streams, id)
			t.since, t.full = at.Wall, false // what it has told is not known any more
		}
	}
	for id, f := range t.families {
		if at.Boot-f.seen > most {
			delete(t.families, id)
		}
	}
}

// take takes a point from where it comes.
func (t *table) take(at clock.Instant, of *origin, p *otlp.Point) error {
	if err := judge(at.Wall, of.metric, p); err != nil {
		return err
	}
	id := t.id(of.id, t.set(p.Attributes))
	s, known := t.streams[id]
	switch {
	case !known && len(t.streams) == maxStreams:
		t.full = true
		return errFull
	case !known:
		s = &stream{}
	}
	if err := s.follows(of.metric, p); err != nil {
		if at.Boot-s.seen <= t.stale {
			return err
		}
		s.time, s.other = 0, true // who told of it is gone
	}
	if err := t.give(s, of, p); err != nil {
		return err
	}
	t.streams[id] = s
	s.start, s.time, s.seen, s.other = p.Start, p.Time, at.Boot, false
	if of.family == nil {
		of.family = &family{time: p.Time}
		t.families[of.id] = of.family
	}
	of.family.seen, t.told, t.fresh = at.Boot, at.Boot, true
	t.lag = max(t.lag, at.Wall.Sub(stamp(p.Time)))
	t.accepted++
	return nil
}

// give gives what a point says to those whom it is for.
func (t *table) give(s *stream, of *origin, p *otlp.Point) error {
	now := read(p, of.metric, t.bounds(p))
	if s.time != 0 && now.bounds != s.last.bounds {
		s.opened = false
	}
	if !s.opened {
		if err := s.open(of, p); err != nil {
			return err
		}
	}
	if of.level() {
		s.level(p, of.factor)
		return nil
	}
	if p.None {
		return nil
	}
	if of.metric.Delta {
		s.last = reading{bounds: now.bounds}
		s.give(&now, of)
		return nil
	}
	kept := t.buckets - len(s.last.buckets) + len(now.buckets)
	if kept > maxBuckets {
		t.full = true
		return errFull
	}
	grown := t.growth(s, of, p, &now)
	s.give(&grown, of)
	s.last, t.buckets = now.keep(s.last.buckets), kept
	return nil
}

// growth is by how much something cumulative has grown since it was told of last.
func (t *table) growth(s *stream, of *origin, p *otlp.Point, now *reading) reading {
	begun := p.Start != 0 && s.start != 0 && p.Start != s.start
	switch {
	case s.other, s.time == 0 && !t.fromZero(of, p), !begun && s.time != 0 && now.bounds != s.last.bounds:
		return reading{} // of which nobody knows when
	case s.time == 0, begun:
		return *now
	}
	grown, ok := now.since(&s.last, of.metric.Kind, t.scratch)
	if !ok {
		return *now
	}
	t.scratch = grown.buckets
	return grown
}

// fromZero reports whether all that a new series tells of has happened since this table knows of its sender.
func (t *table) fromZero(of *origin, p *otlp.Point) bool {
	return of.family != nil && p.Time > of.family.time || p.Start <= p.Time && !stamp(p.Start).Before(t.since)
}

// refuse notes that a point was not accepted.
func (t *table) refuse(at clock.Instant, m *otlp.Metric, err error) {
	t.refused[word(err)]++
	if !errors.Is(err, errRepeated) { // which happens whenever a sender tries again
		t.bad, t.badErr, t.badAt = string(m.Name[:min(len(m.Name), 100)]), err, at.Boot
	}
}

// end ends a round, and returns the moment that it is of: nothing in it is older.
func (t *table) end(now time.Duration) (at time.Duration) {
	at = max(now-t.lag, t.last+1)
	t.fresh, t.lag, t.last = false, 0, at
	forgot := false
	for _, f := range t.figures {
		forgot = f.End(at) || forgot
	}
	if forgot {
		for _, s := range t.streams {
			s.opened = false
		}
	}
	return at
}

// figure is what the round says of the i-th metric.
func (t *table) figure(i int) metric.Figure {
	if t.full {
		return metric.Figure{Fault: errFull}
	}
	return t.figures[i].Take()
}

// complaint is about points that were refused of late; nil if there were none.
func (t *table) complaint(at time.Duration) error {
	if t.badErr == nil || at-t.badAt > patience {
		return nil
	}
	var n uint64
	for _, times := range t.refused {
		n += times
	}
	return fmt.Errorf("%d points were refused, the last one, of %q: %w", n, t.bad, t.badErr)
}

// results is how many points were accepted, and refused, by reason.
func (t *table) results() map[string]uint64 {
	all := map[string]uint64{"accepted": t.accepted}
	maps.Copy(all, t.refused)
	return all
}
