// Package slo keeps count of the good and the bad of a service, and says how fast its error budget is being used up: by
// the burn rates over a long and a short window of the SRE workbook. It is pure: time comes from the caller. A Tracker
// has 26 KB, whatever its window, an observation allocates nothing, and the count survives a restart as bytes.
package slo

import "time"

// Windows over which burn rates are taken. The short window, which tells that it still goes on, is a twelfth of each.
const (
	Fast = time.Hour
	Slow = 6 * time.Hour

	short = 12
	// longest is the most time that one observation can speak for: the host may have slept since the one before.
	longest = 10 * time.Second
	// enough of a window must be known, one part in so many, or nothing is said about it.
	enough = 2
	// heaviest weight that counts, so that sums stay finite.
	heaviest = 1e12
	parts    = 720 // of the window; of 30 days an hour each
)

// Tracker counts for one objective. A new one knows nothing.
type Tracker struct {
	allowed float64 // share that may be bad, above 0
	window  time.Duration
	recent  ring // the last six hours, minute by minute
	whole   ring // the whole window
	all     reach
	fast    [2]reach // the long and the short window of Burn
	slow    [2]reach // and of SlowBurn
	last    time.Duration
	seen    bool          // last is set
	shift   time.Duration // from the caller's time to the tracker's
	left    float64       // of the budget
	known   bool          // left is
	spent   bool
}

// New is a tracker for the share that must be good, above 0 and below 1, over a window of some hours to months.
func New(objective float64, window time.Duration) *Tracker {
	return &Tracker{
		allowed: 1 - objective, window: window,
		recent: ring{step: time.Minute, buckets: make([]bucket, Slow/time.Minute)},
		whole:  ring{step: window / parts, buckets: make([]bucket, parts)},
		all:    reach{over: window},
		fast:   [2]reach{{over: Fast}, {over: Fast / short}},
		slow:   [2]reach{{over: Slow}, {over: Slow / short}},
	}
}

// Observe says what share was bad since the observation before, and how much that weighs a second: requests, or 1 where
// time is what counts. A share that is not from 0 to 1 and a weight below 0 or without bound are unknown: the time
// since then counts as neither good nor bad. An observation that is older than the one before is dropped.
func (t *Tracker) Observe(now time.Duration, bad, weight float64) {
	now += t.shift
	if t.seen && now < t.last {
		return
	}
	var b bucket
	if bad >= 0 && bad <= 1 && weight >= 0 && weight <= heaviest && t.seen {
		b.known = min(now-t.last, longest)
		b.all = weight * b.known.Seconds()
		b.bad = bad * b.all
	}
	t.last, t.seen = now, true
	t.recent.add(now, b)
	t.whole.add(now, b)
	used, known := t.rate(&t.whole, &t.all)
	t.left, t.known = 1-used, known
	switch {
	case known:
		t.spent = t.left <= 0
	case t.certain() <= 0:
		t.spent = true
	}
}

// Burn is how fast the budget is being used up, by the last hour or the last 5 minutes, whichever says less: 1 uses up
// exactly all of it in the window, 2 in half of that. It is unknown unless at least half of each of them is known.
func (t *Tracker) Burn() (rate float64, known bool) { return t.burn(&t.fast) }

// SlowBurn is Burn by the last 6 hours and the last 30 minutes.
func (t *Tracker) SlowBurn() (rate float64, known bool) { return t.burn(&t.slow) }

// Budget is the share of the error budget that is left of the window: 1 is all of it, below 0 more was bad than may be.
// It is unknown unless at least half of the window is known.
func (t *Tracker) Budget() (left float64, known bool) { return t.left, t.known }

// certain is the share of the error budget that would be left if all was good of which nothing is known, and as much was
// asked then.
func (t *Tracker) certain() float64 {
	b := t.whole.sum(&t.all)
	if b.all == 0 {
		return 1
	}
	return 1 - b.bad/b.all/t.allowed*b.known.Seconds()/t.window.Seconds()
}

// Spent reports whether the error budget is used up: none of it is left, or none would be even if all was good of which
// nothing is known. It stays so until a budget above 0 is known: not to know is no recovery.
func (t *Tracker) Spent() bool { return t.spent }

func (t *Tracker) burn(windows *[2]reach) (float64, bool) {
	a, known := t.rate(&t.recent, &windows[0])
	b, also := t.rate(&t.recent, &windows[1])
	return min(a, b), known && also
}

// rate is the share that was bad, by the share that may be. Where nothing was asked nothing was bad.
func (t *Tracker) rate(r *ring, w *reach) (float64, bool) {
	b := r.sum(w)
	switch {
	case b.known < w.over/enough:
		return 0, false
	case b.all == 0:
		return 0, true
	}
	return b.bad / b.all / t.allowed, true
}
