package otlp

import (
	"math"
	"time"

	"github.com/salveops/salve/agent/internal/observe/figure"
	"github.com/salveops/salve/pkg/otlp"
)

// stream is what one series of one sender told last.
type stream struct {
	opened             bool          // the parts are good
	itself, count, sum []figure.Part // as those of its origin

	start, time uint64        // of the last point; a time of 0: there was none
	seen        time.Duration // when it came
	last        reading       // of what is cumulative
	other       bool          // who tells of it now is not who did
}

// reading is what a cumulative point says, in the sender's units.
type reading struct {
	value   float64 // of a counter; of a histogram, what its events add up to
	events  uint64
	zero    uint64
	buckets []uint64
	bounds  uint64 // which those of the buckets are
	scale   int32  // of exponential buckets
	offset  int64  // of the first of them
}

// read takes over what a point says. Its buckets are good until the next point is read.
func read(p *otlp.Point, m *otlp.Metric, bounds uint64) reading {
	if m.Kind == otlp.Sum {
		return reading{value: p.Value}
	}
	return reading{value: p.Sum, events: p.Count, zero: p.Zero, buckets: p.Counts, bounds: bounds, scale: p.Scale,
		offset: int64(p.Offset)}
}

// since is by how much r has grown since before; false: it has not, but began again. Where buckets have become wider those
// of before are made as wide. The buckets are written to into.
func (r *reading) since(before *reading, kind otlp.Kind, into []uint64) (grown reading, ok bool) {
	if kind == otlp.Sum {
		return reading{value: r.value - before.value}, r.value >= before.value
	}
	if r.bounds != before.bounds || r.events < before.events || r.zero < before.zero {
		return reading{}, false
	}
	now, then := r.coarse(before.scale), before.coarse(r.scale)
	grown = reading{
		value:  max(0, r.value-before.value), // of events below zero it says nothing
		events: r.events - before.events, zero: r.zero - before.zero,
		scale: now.scale, offset: now.offset, buckets: append(into[:0], now.buckets...),
	}
	for i, n := range then.buckets {
		at := then.offset + int64(i) - now.offset
		if n == 0 {
			continue
		}
		if at < 0 || at >= int64(len(grown.buckets)) || grown.buckets[at] < n {
			return reading{}, false
		}
		grown.buckets[at] -= n
	}
	return grown, true
}

// coarse is r with exponential buckets of at most that scale.
func (r *reading) coarse(scale int32) *reading {
	if r.scale <= scale || len(r.buckets) == 0 {
		return r
	}
	by := r.scale - scale
	wide := &reading{scale: scale, offset: r.offset >> by}
	wide.buckets = make([]uint64, (r.offset+int64(len(r.buckets))-1)>>by-wide.offset+1)
	for i, n := range r.buckets {
		wide.buckets[(r.offset+int64(i))>>by-wide.offset] += n
	}
	return wide
}

// keep is r with buckets of its own, in the place of those that were kept before.
func (r *reading) keep(before []uint64) reading {
	kept := *r
	kept.buckets = append(before[:0], r.buckets...)
	return kept
}

// level gives what a point says to levels.
func (s *stream) level(p *otlp.Point, factor float64) {
	for _, part := range s.itself {
		if p.None {
			part.Gone()
		} else {
			part.Set(p.Value * factor)
		}
	}
}

// give gives what has grown to counters and buckets, also when it is nothing.
func (s *stream) give(grown *reading, o *origin) {
	for _, p := range s.count {
		p.Grow(0, float64(grown.events))
	}
	for _, p := range s.sum {
		p.Grow(0, grown.value*o.factor)
	}
	for _, p := range s.itself {
		switch o.metric.Kind {
		case otlp.Sum:
			p.Grow(0, grown.value*o.factor)
		case otlp.Histogram:
			p.Grow(0, 0)
			for i, n := range grown.buckets {
				p.Grow(i, float64(n))
			}
		case otlp.Exponential:
			p.Grow(0, float64(grown.zero))
			grown.spread(math.Log2(o.factor), p)
		}
	}
}

// spread gives exponential buckets, whose bounds are powers of two and shifted by that of the unit.
func (r *reading) spread(shift float64, p figure.Part) {
	power := func(i int64) float64 { return math.Ldexp(float64(i), -int(r.scale)) + shift }
	for i, n := range r.buckets {
		if at := r.offset + int64(i); n > 0 {
			figure.Spread(power(at), power(at+1), float64(n), p.Grow)
		}
	}
}
