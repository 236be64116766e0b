package probe

import (
	"math"
	"time"

	"github.com/salveops/salve/agent/internal/observe/schedule"
)

const (
	// lateLeast is the shortest time after which an unanswered attempt counts as late.
	lateLeast = 50 * time.Millisecond
	// aside is the gap between attempts that run side by side because the first is late.
	aside = 50 * time.Millisecond
	// again is the gap between attempts after one that failed fast.
	again = 200 * time.Millisecond
	// kickGap is the gap between attempts after a kick.
	kickGap = 50 * time.Millisecond
	// never is a moment that does not come.
	never = time.Duration(math.MaxInt64)
)

// verdict is what is known of a probe.
type verdict uint8

const (
	unknown verdict = iota
	good
	bad
)

// state decides when a probe asks and what its answers mean. It knows no clock and does nothing.
//
//	           ┌── good answer ──────────────────────────────┐
//	           ▼                                             │
//	due ─▶ attempt 1 ─┬─ late: attempts 2, 3 beside it ─┬─ one good ─┐
//	                  └─ missed fast: 2, 3 after it ────┴─ all miss ─▶ not ok
//
// The attempts that settle one question are a trial. While the probe is not ok, and after a kick, a
// trial is a single attempt, and as many misses in a row as otherwise in one trial turn it to not ok.
type state struct {
	grid    schedule.Grid
	every   time.Duration
	offset  time.Duration
	timeout time.Duration
	needed  int // misses before it is not ok

	verdict verdict
	misses  int           // in a row, of trials with a single attempt
	usual   time.Duration // smoothed latency of good answers; 0: none yet

	trial  int           // its number: answers that belong to an earlier one no longer count
	single bool          // the trial is a single attempt
	begun  int           // attempts of the trial
	open   int           // of these, not answered yet
	lost   int           // of these, missed
	last   time.Duration // when the last of them began

	eager time.Duration // until when the kick holds; 0: it does not
	due   time.Duration // the next attempt; never while answers have to come first
}

// attempt is one question.
type attempt struct {
	trial int
	began time.Duration
	fresh bool // on a connection of its own
}

// begin starts the attempt that is due.
func (s *state) begin(now time.Duration) attempt {
	if s.begun == 0 {
		s.single = s.verdict == bad || s.eager > now || s.needed <= 1
	}
	a := attempt{trial: s.trial, began: now, fresh: s.begun > 0 || s.eager > now}
	s.begun++
	s.open++
	s.last = now
	switch {
	case s.single || s.begun >= s.needed:
		s.due = never
	case s.begun == 1:
		s.due = now + s.late()
	default:
		s.due = now + aside
	}
	return a
}

// late is how long an answer may take before the next attempts start beside it. The last bound keeps a
// service that is always slow from being asked twice each time.
func (s *state) late() time.Duration {
	return min(s.timeout, max(min(max(lateLeast, 4*s.usual), s.timeout/2), s.usual*3/2))
}

// answer takes the end of an attempt. It reports whether the answer counts at all, and whether it
// settled the trial: then the verdict stands.
func (s *state) answer(a attempt, now time.Duration, ok bool) (counts, settled bool) {
	if a.trial != s.trial {
		return false, false
	}
	s.open--
	if ok {
		s.learn(now - a.began)
		s.verdict, s.misses, s.eager = good, 0, 0
		s.end(a, now)
		return true, true
	}
	s.lost++
	if s.single {
		s.misses++
		if s.misses >= s.needed {
			s.verdict = bad
		}
		s.end(a, now)
		return true, s.verdict == bad
	}
	if s.lost >= s.needed {
		s.verdict, s.misses = bad, s.lost
		s.end(a, now)
		return true, true
	}
	if s.open == 0 {
		s.due = max(now, s.last+again)
	}
	return true, false
}

// end closes the trial and plans the next.
func (s *state) end(a attempt, now time.Duration) {
	s.trial++
	s.begun, s.open, s.lost = 0, 0, 0
	if s.eager > now {
		s.due = max(now, a.began+kickGap)
		return
	}
	s.eager = 0
	s.due = s.grid.Next(now, s.every, s.offset)
}

// afresh makes the probe ask at once. What was asked before no longer counts: an action came between.
func (s *state) afresh(now time.Duration) {
	s.trial++
	s.begun, s.open, s.lost, s.misses = 0, 0, 0, 0
	s.due = now
}

// kick is afresh with short intervals until the first good answer, but not longer than until.
func (s *state) kick(now, until time.Duration) {
	s.afresh(now)
	s.eager = until
}

// learn smooths the latency over about eight answers.
func (s *state) learn(latency time.Duration) {
	if s.usual == 0 {
		s.usual = latency
		return
	}
	s.usual += (latency - s.usual) / 8
}
