package anomaly

import "math"

const (
	over     = 0.01 // strength below which an anomaly has ended: the score is below a half
	hold     = 30   // samples in which a score fades
	patience = 300  // samples for which a series may be away before it gets used to that
	returned = 4    // samples in a row that make a series be back
	settle   = 64   // samples after which the way back no longer shows in the means
)

// phase is how far an anomaly is.
//
//	none ──novel──► near ──outside──► away ──inside for 4 samples──► back ──for 64──► none
//	                 │ faded           │ faded        ▲                │
//	                 ▼                 ▼              └────outside─────┘
//	                none              none
//
// Outside and inside are of where the series was usual before. The score stands while it is away, for some hundred samples,
// and then fades slowly, as it does while it is near. When it is back the score is gone within a dozen samples: what still
// looks novel then is the way back.
type phase uint8

const (
	none phase = iota
	near
	away
	back
	phases
)

// episode is the anomaly that goes on.
type episode struct {
	Before expected // where the series was usual when it began
	Season float64  // what the season said then
	Inside uint8    // samples in a row that lay there
	Away   uint16
	Phase  phase
}

// expected is where a series is usual.
type expected struct{ Value, Season band }

// band is a range; Known is false while there is none.
type band struct {
	Lo, Hi float64
	Known  bool
}

// at is where a series is usual whose season says so.
func (u *expected) at(season float64) band { return u.Value.within(u.Season, season) }

// within is the part of a band that lies in another one, which is counted from a value; where they contradict each other,
// the band itself.
func (b band) within(o band, from float64) band {
	lo, hi := from+o.Lo, from+o.Hi
	if b.Known {
		lo, hi = max(b.Lo, lo), min(b.Hi, hi)
	}
	if !o.Known || lo > hi {
		return b
	}
	return band{lo, hi, true}
}

// has reports whether a value lies in the band, or so near that a memory would not call it novel; rounding is what the
// value may be wrong by.
func (b band) has(y, rounding float64) bool {
	slack := (b.Hi-b.Lo)/places + rounding
	return !b.Known || b.Lo-slack <= y && y <= b.Hi+slack
}

// follow takes in how novel a sample is, and what was usual before it.
func (s *state) follow(strength float64, why *reason, before *expected) {
	e := &s.Episode
	if e.Phase == none && strength > 0 && s.learned() {
		*e = episode{Before: *before, Season: why.Season, Phase: near}
	}
	if e.Phase != none {
		e.move(e.inside(why.Value, why.Season))
	}
	switch {
	case e.Phase == back:
		s.Held /= 2
		return
	case e.Phase != away || e.Away > patience:
		s.Held = fade(s.Held, hold)
	}
	if strength > s.Held {
		s.Held, s.Why = strength, *why
	}
	if s.Held < over {
		e.Phase = none
	}
}

// fade takes the n-th part away. What is next to nothing becomes nothing: the smallest numbers cost much time.
func fade(strength, n float64) float64 {
	if strength < 1e-100 {
		return 0
	}
	return strength * (1 - 1/n)
}

// inside reports whether a value is as usual as before. The season is as it was then, or as it is now: either may have
// been led astray, by the time that has passed or by what happened in it.
func (e *episode) inside(x, season float64) bool {
	rounding := grain * math.Abs(x)
	return e.Before.Value.has(x, rounding) &&
		(e.Before.Season.has(x-season, rounding) || e.Before.Season.has(x-e.Season, rounding))
}

// move brings the phase up to date.
func (e *episode) move(inside bool) {
	if !inside {
		e.Phase, e.Inside = away, 0
		e.Away = min(e.Away+1, patience+1)
		return
	}
	e.Inside = min(e.Inside+1, settle)
	switch {
	case e.Phase == away && e.Inside == returned:
		e.Phase = back
	case e.Phase == back && e.Inside == settle:
		e.Phase = none
	}
}

func (e *episode) possible() bool {
	ok := e.Phase < phases && sound(e.Season) && e.Inside <= settle && e.Away <= patience+1
	for _, b := range []band{e.Before.Value, e.Before.Season} {
		ok = ok && sound(b.Lo) && sound(b.Hi)
	}
	return ok
}
