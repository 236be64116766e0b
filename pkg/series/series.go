// Package series keeps the recent samples of every signal in bounded rings and answers the window
// functions of the rule language over them. It is pure: time comes from the caller, one goroutine
// owns a Store, and neither Set nor a window function allocates once the rings have grown to the
// windows in use.
package series

import (
	"math"
	"time"

	"github.com/salveops/salve/pkg/signal"
)

const (
	// staleAfter is how many sample periods may pass without a sample until the last one no longer
	// counts: one lost sample is common, three mean that the source is gone.
	staleAfter = 3
	// staleLeast keeps signals that are sampled many times a second from flickering to unknown.
	staleLeast = 3 * time.Second
	// Enough is how many samples the answer to "did it help?" needs of each polled signal.
	Enough = 3
	// EnoughForEdge is how many samples it takes to say how far they scatter around a line.
	EnoughForEdge = Enough + 2
)

// Options say what a series holds.
type Options struct {
	Dim    signal.Dimension
	Every  time.Duration // period of the samples; 0 when they come as they happen
	Window time.Duration // how far back the window functions look; 0: only the last value is read
	Event  bool          // the value holds until the next sample, however long ago it was set
	Span   time.Duration // how long before its moment a sample speaks about; 0: about its moment
	// Definition is another number for each figure that the name stood for: see signal.Info.
	Definition uint64
	// Anomaly asks for a detector, which learns what is usual, and Counter that it is shown how fast the value grows.
	Anomaly, Counter bool
}

// Series is the recent past of one signal of one thing.
type Series struct {
	key   Key
	opt   Options
	store *Store
	ring  ring
	last  sample // newest sample, known or not; the zero value before the first
	seen  bool   // anything was ever told, be it "unknown"
	watch *watch // nil: nobody asked for a detector
}

// Key names the series.
func (s *Series) Key() Key { return s.key }

// Dim is the dimension of the values.
func (s *Series) Dim() signal.Dimension { return s.opt.Dim }

// Every is the period of the samples; 0 when they come as they happen.
func (s *Series) Every() time.Duration { return s.opt.Every }

// Event reports whether a value holds until the next sample.
func (s *Series) Event() bool { return s.opt.Event }

// Window is how far back the ring reaches once it is full.
func (s *Series) Window() time.Duration { return s.opt.Window }

// Set adds the sample of a moment of the monotonic clock. A value that is not finite, or a Gap, counts as
// unknown. A sample that is older than the newest one is dropped; one of the same moment replaces it.
func (s *Series) Set(at time.Duration, v float64) {
	if s.seen && at < s.last.at {
		return
	}
	if math.IsInf(v, 0) {
		v = math.NaN()
	}
	s.last, s.seen = sample{at: at, v: v}, true
	s.ring.add(s.last, s.opt)
	s.store.reserve(len(s.ring.buf))
}

// Unknown says that the source failed or had no answer. Nothing is known from now on, until the
// next Set; the window functions skip the gap.
func (s *Series) Unknown(at time.Duration) { s.Set(at, math.NaN()) }

// Idle says that the source answers, and that too little happens to tell a value. Nothing is known, as after Unknown,
// but no source has failed.
func (s *Series) Idle(at time.Duration) { s.Set(at, idle) }

// idle is NaN as any other, but tells itself from those that stand for a source that failed, also in recordings.
var idle = math.Float64frombits(math.Float64bits(math.NaN()) + 1)

// IsIdle reports whether that is what the newest sample says, and it still counts.
func (s *Series) IsIdle(now time.Duration) bool {
	return s.seen && math.Float64bits(s.last.v) == math.Float64bits(idle) && s.fresh(s.last.at, now)
}

// Gap is NaN as recordings have it: what Set makes the series unknown or idle with, as it is now.
func (s *Series) Gap(now time.Duration) float64 {
	if s.IsIdle(now) {
		return idle
	}
	return math.NaN()
}

// Last is the newest sample, however old; known is false when it says "unknown" or there is none.
func (s *Series) Last() (v float64, at time.Duration, known bool) {
	if !s.seen || math.IsNaN(s.last.v) {
		return 0, s.last.at, false
	}
	return s.last.v, s.last.at, true
}

// Value is what is known now: the newest sample, unless it says "unknown" or is older than three
// periods (at least 3 s). The value of an event series holds until the next event.
func (s *Series) Value(now time.Duration) (float64, bool) {
	v, at, known := s.Last()
	return v, known && s.fresh(at, now)
}

func (s *Series) fresh(at, now time.Duration) bool {
	return s.opt.Event || now-at <= max(staleAfter*s.opt.Every, staleLeast)
}

// Silent reports whether the source has told nothing, not even "unknown", for three periods (at least
// 3 s). The source of an event series may be silent for ever.
func (s *Series) Silent(now time.Duration) bool { return !s.seen || !s.fresh(s.last.at, now) }

// Since counts the known samples strictly later than a moment, as far as the ring reaches back.
func (s *Series) Since(after time.Duration) int {
	n := 0
	for i := s.ring.search(after); i < s.ring.n; i++ {
		if known(s.ring.at(i).v) {
			n++
		}
	}
	return n
}

// beyond is the moment later than which a sample speaks only about what came after since. 0 is 0: all
// samples count.
func (s *Series) beyond(since time.Duration) time.Duration {
	if since == 0 {
		return 0
	}
	return since + s.opt.Span
}

// Evident reports whether the samples that speak only about what came after a moment are enough to
// judge by: Enough of a polled signal, one of an event signal, whose source tells each change once. A
// moment of 0 asks for nothing.
func (s *Series) Evident(after time.Duration) bool { return s.Speaks(after, s.enough()) }

func (s *Series) enough() int {
	if s.opt.Event {
		return 1
	}
	return Enough
}

// Speaks reports whether so many known samples speak only about what came after a moment. A moment of 0
// asks for nothing.
func (s *Series) Speaks(after time.Duration, need int) bool {
	return after == 0 || s.newer(s.beyond(after), need)
}

// newer reports whether so many known samples are strictly later than a moment.
func (s *Series) newer(after time.Duration, need int) bool {
	for i := s.ring.n - 1; i >= 0 && need > 0; i-- {
		p := s.ring.at(i)
		if p.at <= after {
			break
		}
		if known(p.v) {
			need--
		}
	}
	return need == 0
}

// Absent reports whether nothing is known now. ok is false when that cannot be said yet: the source
// has not told anything so far, or nothing after since and is not overdue.
func (s *Series) Absent(now, since time.Duration) (absent, ok bool) {
	if !s.seen {
		return false, false
	}
	_, have := s.Value(now)
	if since > 0 && s.last.at <= since && (s.opt.Event || s.fresh(since, now)) {
		return false, false
	}
	return !have, true
}

// Format writes one of the series' values as people read it.
func (s *Series) Format(v float64) string {
	if s.opt.Dim == signal.Text {
		return s.store.Text(v)
	}
	return signal.Format(s.opt.Dim, v)
}

func known(v float64) bool { return !math.IsNaN(v) }
