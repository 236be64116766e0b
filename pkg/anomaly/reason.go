package anomaly

import (
	"cmp"
	"slices"
	"time"
)

// Component is one way to look at a series.
type Component int

// The components of a score.
const (
	Value  Component = iota // the sample itself
	Level                   // mean of the last few samples
	Trend                   // how the level moves
	Change                  // from the sample before
	Season                  // distance from what is usual at this time
	Spread                  // how far samples lie from each other
	Flat                    // a series that moves stands still
	components
)

// views are the components that have a memory: all but the last.
const views = int(Flat)

// String is the component's name, as people read it.
func (c Component) String() string {
	return [...]string{"value", "level", "trend", "change", "season", "spread", "flat line"}[c]
}

// Reason says why a score is what it is. It is about the most novel sample of late.
type Reason struct {
	At        time.Time
	Value     float64     // of the sample
	Low, High float64     // where the series was expected; equal when it has always been the same
	Broken    []Component // what was novel, most of it first
}

// reason is what is kept of it.
type reason struct {
	At        int64
	Value     float64
	Prev      float64 // the sample before
	Season    float64 // the prediction
	Low, High float64
	Parts     [components]float64
}

// bound sets the expected band: where the sample would have been novel neither by itself nor as a change nor for the
// season. Where they contradict each other the first of them counts.
func (r *reason) bound(u *expected, change band) {
	b := u.at(r.Season).within(change, r.Prev)
	if r.Low, r.High = b.Lo, b.Hi; !b.Known {
		r.Low, r.High = r.Value, r.Value
	}
}

// Usual is where the series is expected at the time of day of its newest sample; while an anomaly goes on, where it was
// before. ok is false while the detector learns.
func (d *Detector) Usual() (low, high float64, ok bool) {
	s := &d.s
	u, season := expected{s.Views[Value].span(), s.Views[Season].span()}, s.Season.predict(s.Last, s.Means[3])
	if s.Episode.Phase != none {
		u, season = s.Episode.Before, s.Episode.Season
	}
	b := u.at(season)
	return b.Lo, b.Hi, b.Known && s.learned()
}

// Why explains the score; ok is false while nothing novel has been seen since the detector has learned, and when it has
// faded.
func (d *Detector) Why() (why Reason, ok bool) {
	r := &d.s.Why
	if v := d.verdict(0); !v.Known || v.Score < 0.5 {
		return Reason{}, false
	}
	why = Reason{At: time.Unix(0, r.At).UTC(), Value: r.Value, Low: r.Low, High: r.High}
	for c := range components {
		if r.Parts[c] > 0 {
			why.Broken = append(why.Broken, c)
		}
	}
	slices.SortStableFunc(why.Broken, func(a, b Component) int { return cmp.Compare(r.Parts[b], r.Parts[a]) })
	return why, true
}
