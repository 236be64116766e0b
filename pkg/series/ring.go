package series

import (
	"math"
	"time"
)

const (
	// ringLeast is the smallest ring: room for the samples that verification asks for.
	ringLeast = 8
	// ringMost bounds the largest ring to 4 MiB: six hours of ten samples a second fit in.
	ringMost = 1 << 18
	// ringEvents bounds the ring of a signal without a period.
	ringEvents = 1 << 12
)

type sample struct {
	at time.Duration
	v  float64 // NaN: unknown
}

// ring holds samples in order of time, beginning with the first known one. It starts small, doubles
// while it holds nothing that may be forgotten, and never shrinks. So the time of its oldest sample,
// known or not, says how far back it is complete.
type ring struct {
	buf  []sample // a power of two long
	head int      // index of the oldest
	n    int
}

// at is the i-th oldest sample.
func (r *ring) at(i int) sample { return *r.slot(i) }

func (r *ring) slot(i int) *sample { return &r.buf[(r.head+i)&(len(r.buf)-1)] }

// search is the index of the first sample strictly later than t; n when there is none.
func (r *ring) search(t time.Duration) int {
	lo, hi := 0, r.n
	for lo < hi {
		if mid := int(uint(lo+hi) >> 1); r.at(mid).at <= t {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo
}

// add appends a sample that is not older than the newest.
func (r *ring) add(p sample, o Options) {
	if r.n > 0 && r.slot(r.n-1).at == p.at {
		r.replace(p)
		return
	}
	if r.n == 0 && math.IsNaN(p.v) {
		return
	}
	if r.n == len(r.buf) && !r.forget(p.at-o.horizon()) && !r.grow(o.limit()) {
		r.thin(o.horizon())
	}
	*r.slot(r.n) = p
	r.n++
}

// replace puts p in the place of the newest sample.
func (r *ring) replace(p sample) {
	*r.slot(r.n - 1) = p
	if r.n == 1 && math.IsNaN(p.v) {
		r.n = 0
	}
}

// forget drops what no window reaches any more: the sample in force at the horizon stays, because
// an event series needs it. It is false when nothing could go.
func (r *ring) forget(horizon time.Duration) bool {
	if r.n < 2 || r.at(1).at > horizon {
		return false
	}
	r.drop()
	return true
}

// drop removes the oldest sample.
func (r *ring) drop() {
	r.head = (r.head + 1) & (len(r.buf) - 1)
	r.n--
}

// grow doubles the ring. It is false when the ring is as large as it may be.
func (r *ring) grow(limit int) bool {
	if len(r.buf) >= limit {
		return false
	}
	buf := make([]sample, max(ringLeast, 2*len(r.buf)))
	for i := range r.n {
		buf[i] = r.at(i)
	}
	r.buf, r.head = buf, 0
	return true
}

// thin keeps of the samples that came in quick succession only the first of each gap, so that half of
// a full ring spans the horizon. A burst loses detail, but the ring goes on reaching back as far as
// the windows need; without that, a rule would go blind just when much happens.
func (r *ring) thin(horizon time.Duration) {
	gap := 2 * horizon / time.Duration(len(r.buf))
	kept := 1
	for i := 1; i < r.n; i++ {
		if p := r.at(i); p.at-r.at(kept-1).at >= gap {
			*r.slot(kept) = p
			kept++
		}
	}
	r.n = min(kept, r.n-1)
}

// horizon is the age after which a sample is not needed.
func (o Options) horizon() time.Duration { return o.Window + 2*o.Every }

// limit is the length that the ring may grow to: twice what the period needs, because probes and
// kernel events sample faster when something is wrong.
func (o Options) limit() int {
	most := ringEvents
	if o.Every > 0 {
		most = int(min(ringMost, 2*(o.horizon()/o.Every+2)))
	}
	if o.Window == 0 {
		most = ringLeast
	}
	n := ringLeast
	for n < most {
		n *= 2
	}
	return min(n, ringMost)
}
