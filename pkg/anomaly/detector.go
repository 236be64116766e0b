// Package anomaly tells the unusual from the usual in one series, sample by sample. It is pure: it knows no clock, no
// dice and no I/O, and the same samples give the same scores. A detector has a fixed size of less than two kilobytes,
// allocates nothing for a sample, and survives a restart as bytes.
//
// It looks at a series in seven ways (Component). Six of them keep a memory of where they have been of late, and call
// a sample as novel as it is far from all of that; see memory. What several of them call novel counts for more. There
// is one set of parameters for every series, and none to set.
//
// A gauge is fed as it is. A counter is fed as what it grew by or as a rate: its own value is always new.
package anomaly

import (
	"math"
	"time"
)

const (
	// Usual is the score to compare with where there is no reason for another one. On the labelled series of the Numenta
	// benchmark it is about as good as the best threshold.
	Usual = 0.9

	// A detector has learned after a day, when it has seen the series at every hour, and this many samples.
	learnTime    = 24 * time.Hour
	learnSamples = 150

	// What lies two weeks and four thousand samples back, whichever is longer, is forgotten.
	eraTime    = 14 * 24 * time.Hour / eras
	eraSamples = 4000 / eras

	warmUp    = 24        // samples until the means mean something
	rest      = 8         // samples in which a novelty ceases to make the next one less of an onset
	agreement = 0.7       // below 1: several components a little broken count for more than one that is quite broken
	gapAfter  = 8         // periods without a sample, after which it is not compared with the one before
	turned    = time.Hour // a clock that goes back by more has been set; by less, the sample is late
	far       = 1 << 62   // nanoseconds from 1970; times beyond are taken for none, so that no difference overflows
	most      = 1e37      // samples beyond are taken for missing: nothing that is measured is so large
)

// spans are how many samples the means reach back. The first is the level, the next two make the trend, the last is the
// long run.
var spans = [...]float64{8, 16, 128, 512}

// Verdict is what a detector says of a sample. The zero value says that nothing is known.
type Verdict struct {
	// Score is how unusual the series is now, from 0 to 1. It stands while the series stays away from where it was before,
	// so that a condition may ask for it to last, and is gone soon after it has come back: see phase.
	Score float64
	// Onset is how far this sample is more novel than the ones just before, on the same scale: one anomaly has one.
	Onset float64
	// Known is false while the detector still learns. Score and Onset mean nothing then.
	Known bool
}

// Detector follows one series. The zero value is not ready: use New.
type Detector struct{ s state }

// state is all that a detector knows; see codec.go.
type state struct {
	N      uint64  // samples
	Last   int64   // time of the newest, in Unix nanoseconds
	Age    float64 // seconds in which samples came: gaps, and what a clock was set by, do not count
	Period float64
	Prev   float64
	Means  [len(spans)]float64
	Spread float64 // mean of the absolute change
	Still  stillness
	Season season
	Views  [views]memory
	EraAge float64 // seconds of the era
	EraN   uint32
	Peak   float64 // strength of the last novelty, fading within rest
	Held   float64 // the same, as long as the anomaly goes on
	Why    reason  // of Held

	Episode episode
}

// New is a detector that has seen nothing.
func New() *Detector {
	d := &Detector{}
	d.s.Season.forget()
	return d
}

// Observe takes in the sample of a moment. Seasons are those of UTC. A value that is no finite number is a missing
// sample, and one that is not later than the one before, by less than an hour, is a late or doubled one: both change
// nothing.
func (d *Detector) Observe(at time.Time, x float64) Verdict {
	s := &d.s
	now := at.UnixNano()
	tooLate := s.N > 0 && now <= s.Last && s.Last-now <= int64(turned)
	if math.IsNaN(x) || math.Abs(x) > most || now <= -far || now >= far || tooLate {
		return d.verdict(0)
	}
	strength := s.observe(now, x)
	onset := max(0, strength-s.Peak)
	s.Peak = max(fade(s.Peak, rest), strength)
	return d.verdict(onset)
}

func (d *Detector) verdict(onset float64) Verdict {
	s := &d.s
	if !s.learned() {
		return Verdict{}
	}
	return Verdict{Score: score(s.Held), Onset: score(onset), Known: true}
}

func (s *state) learned() bool { return s.N >= learnSamples && s.Age >= learnTime.Seconds() }

// score maps the strength of a novelty to 0–1; Usual is where NAB's best threshold lies.
func score(strength float64) float64 { return strength / (strength + 0.01) }

// observe takes in a sample and gives the strength of its novelty, 0 for none.
func (s *state) observe(now int64, x float64) float64 {
	if s.N == 0 {
		s.Last, s.Prev = now, x
		s.Means = [len(spans)]float64{x, x, x, x}
	}
	s.N++
	n := float64(s.N)
	since := max(0, float64(now-s.Last)/1e9)
	usual := since
	gap := s.Period > 0 && since > gapAfter*s.Period
	if gap { // if all are like this, it is none
		usual = gapAfter * s.Period
	}
	s.Period += max(0.01, 1/n) * (usual - s.Period)
	s.Last = now
	s.Age += usual // nothing is learned in a gap, nor by a clock that is set

	why := reason{At: now, Value: x, Prev: s.Prev}
	why.Season = x - s.Season.residual(now, x, s.Means[3], since, s.Age, max(0.001, 1/n))
	for i, span := range spans {
		s.Means[i] += max(1/span, 1/n) * (x - s.Means[i])
	}
	change := x - s.Prev
	s.Prev = x
	if !gap {
		s.Spread += max(1.0/16, 1/n) * (math.Abs(change) - s.Spread)
	}
	looks := [views]float64{x, s.Means[0], s.Means[1] - s.Means[2], change, x - why.Season, s.logSpread()}
	before := expected{s.Views[Value].span(), s.Views[Season].span()}
	why.bound(&before, s.Views[Change].span())
	strength := s.strength(&looks, &why, gap)
	s.follow(strength, &why, &before)
	s.age(since)
	return strength
}

// strength shows each view its look at the sample, and joins what they find novel.
func (s *state) strength(looks *[views]float64, why *reason, gap bool) float64 {
	sum := 0.0
	note := func(c Component, novelty float64) {
		if novelty > 0 {
			part := math.Pow(novelty, agreement)
			why.Parts[c] = part
			sum += part
		}
	}
	if s.N > warmUp {
		for i, y := range looks {
			c := Component(i)
			if gap && (c == Change || c == Spread) || math.IsInf(y, 0) {
				continue
			}
			note(c, s.Views[c].novelty(y))
		}
	}
	note(Flat, s.Still.novelty(looks[Change] == 0 && !gap, float64(s.N)))
	if sum == 0 {
		return 0
	}
	// What is new after a long time is more of a surprise.
	seen := min(float64(s.N), 4*4000)
	return math.Pow(sum, 1/agreement) * math.Pow(seen/1000, 0.25)
}

// logSpread makes a spread that collapses as visible as one that grows; infinite while the series has always been the
// same. The floor keeps a spread of nearly nothing from being worlds apart from nothing.
func (s *state) logSpread() float64 {
	return math.Log(s.Spread + 0.05*s.Season.Error[0])
}

// age forgets, era by era.
func (s *state) age(since float64) {
	s.EraAge += since
	s.EraN++
	if s.EraN < eraSamples || s.EraAge < eraTime.Seconds() {
		return
	}
	s.EraN, s.EraAge = 0, 0
	s.Still.Longest *= 1 - 1.0/eras
	for i := range s.Views {
		s.Views[i].age()
	}
}

// Last is when the newest sample was; the zero time before the first.
func (d *Detector) Last() time.Time {
	if d.s.N == 0 {
		return time.Time{}
	}
	return time.Unix(0, d.s.Last).UTC()
}
