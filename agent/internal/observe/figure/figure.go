// Package figure makes figures for sources that are told by others, and when those like: StatsD and OTLP; and of native
// histograms on pages. A source opens a Part for what tells growth, events or a level, and gives it that; when it ends a
// round there is a figure:
//
//	New(definition) ──▶ Figure.Open(Told) ──▶ Part.Grow, Part.Set … ──▶ Figure.End(at) ──▶ Figure.Take()
package figure

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/salveops/salve/pkg/metric"
)

const (
	// maxLevels bounds the levels of one figure.
	maxLevels = 1000
	// maxSums bounds its sums: histograms whose buckets have other bounds are another sum.
	maxSums = 16
)

// Kind is what is told.
type Kind uint8

const (
	Counter Kind = iota + 1 // by how much something grew
	Level                   // what something is
	Events                  // how many events were in each bucket
)

var kindNames = map[Kind]string{Counter: "counters", Level: "gauges", Events: "timings or histograms"}

// Told is what one series of a source is, at first sight.
type Told struct {
	Name   string
	Kind   Kind
	Labels []metric.Label
	Bounds []float64 // of Events: the upper ends of the buckets, the last of which is infinite; nil: they come in Steps
	// Silent: nothing is told of a Counter or of Events while it does not grow. Of another one that is silent nothing is
	// known after a while.
	Silent bool
}

// As is the same with an ending to the name.
func (t Told) As(ending string) Told {
	t.Name += ending
	return t
}

// Figure makes one metric. All counters, and all events, that match the same of its selectors are one sum, however many
// labels they have: it cannot explode. Each level has a value of its own. It belongs to one goroutine.
type Figure struct {
	metric.Definition
	set    *metric.Set
	stale  time.Duration
	sums   map[terms]*sum
	levels map[*metric.Series]*level
	wrong  Kind  // of what matches and cannot make this metric; 0: none came
	full   error // why not all that matches is in it; until something is forgotten
}

// terms are which selectors of a metric match, and for events in which buckets they come.
type terms struct {
	of, all bool
	bounds  string
}

// sum is one counter, or the buckets of one histogram.
type sum struct {
	series []*metric.Series
	counts []float64
	silent bool
	told
}

// level is what a gauge stands at.
type level struct {
	value float64
	told
}

// told is when something was told of last.
type told struct {
	fresh bool          // it was in this round
	ever  bool          // it was in an earlier one
	at    time.Duration // end of the last round in which it was
}

// ends ends a round, and returns for how long nothing was told.
func (t *told) ends(at time.Duration) time.Duration {
	if t.fresh {
		t.at, t.fresh, t.ever = at, false, true
	}
	return at - t.at
}

// Part is what a series contributes to. The zero value must not be used.
type Part struct {
	sum   *sum
	level *level
}

// wants is what each kind of metric is made of.
var wants = map[metric.Kind]Kind{
	metric.Ratio: Counter, metric.Rate: Counter, metric.Gauge: Level, metric.Quantile: Events,
}

// New is a figure that counts from the given moment on: whatever comes has grown from zero. What was not told of for
// longer than stale is forgotten. A round is expected in every so often.
func New(d metric.Definition, every, stale, at time.Duration) *Figure {
	f := &Figure{
		Definition: d, set: metric.New([]metric.Definition{d}, every), stale: stale,
		sums: map[terms]*sum{}, levels: map[*metric.Series]*level{},
	}
	f.End(at)
	return f
}

// Open finds what a series contributes to; false: nothing. A Part is good until End says that something was forgotten.
func (f *Figure) Open(t Told) (Part, bool) {
	match := terms{of: f.Of.Matches(t.Name, t.Labels), all: f.Kind == metric.Ratio && f.All.Matches(t.Name, t.Labels)}
	switch {
	case !match.of && !match.all:
		return Part{}, false
	case t.Kind != wants[f.Kind]:
		f.wrong = t.Kind
		return Part{}, false
	case t.Kind == Level:
		l := f.level(t)
		return Part{level: l}, l != nil
	case t.Kind == Events && t.Bounds == nil:
		t.Bounds = steps[:]
	case t.Kind == Events:
		match.bounds = fmt.Sprint(t.Bounds)
	}
	s := f.sums[match]
	if s == nil {
		var err error
		if s, err = f.newSum(t, match.bounds); err != nil {
			f.full = err
			return Part{}, false
		}
		f.sums[match] = s
	}
	s.silent = s.silent || t.Silent
	return Part{sum: s}, true
}

// level is the gauge with these labels; nil if there are too many.
func (f *Figure) level(t Told) *level {
	series, err := f.set.Open(t.Name, t.Labels)
	if err == nil && f.levels[series] == nil {
		if len(f.levels) < maxLevels {
			f.levels[series] = &level{}
		} else {
			err = fmt.Errorf("more than %d gauges match %s; match fewer", maxLevels, f.Of)
		}
	}
	if err != nil {
		f.full = err
		return nil
	}
	return f.levels[series]
}

// bucket is the label of a bucket's upper end.
const bucket = "le"

// newSum opens the series of a sum. They have the labels of the first that is told, but stand for all that match as it
// does. Buckets with other bounds are told apart by a label that no selector can name.
func (f *Figure) newSum(t Told, bounds string) (*sum, error) {
	if len(f.sums) == maxSums {
		return nil, fmt.Errorf("histograms with too many different bounds match %s; match fewer", f.Of)
	}
	s := &sum{counts: make([]float64, max(1, len(t.Bounds)))}
	if t.Kind == Events {
		t.Name += "_bucket"
		t.Labels = append(slices.DeleteFunc(slices.Clone(t.Labels), func(l metric.Label) bool { return l.Name == bucket }),
			metric.Label{Value: bounds})
	}
	for i := range s.counts {
		own := slices.Clone(t.Labels)
		if t.Kind == Events {
			own = append(own, metric.Label{Name: bucket, Value: strconv.FormatFloat(t.Bounds[i], 'g', -1, 64)})
		}
		series, err := f.set.Open(t.Name, own)
		if err != nil {
			return nil, err
		}
		s.series = append(s.series, series)
	}
	return s, nil
}

// Grow adds to a counter (of which i is 0), or to the i-th bucket of events.
func (p Part) Grow(i int, by float64) {
	p.sum.counts[i] += by
	p.sum.fresh = true
}

// Set says what a level is.
func (p Part) Set(v float64) { p.level.value, p.level.fresh = v, true }

// Value is what a level was last; 0 if it was not told yet.
func (p Part) Value() float64 { return p.level.value }

// Gone says that a level is none any more.
func (p Part) Gone() { p.level.fresh, p.level.at = false, math.MinInt64/2 }

// End ends a round. It reports whether something was forgotten, and every Part has to be opened again.
func (f *Figure) End(at time.Duration) (forgot bool) {
	for match, s := range f.sums {
		if s.ends(at) > f.stale && !s.silent {
			delete(f.sums, match)
			forgot = true
			continue
		}
		if !s.ever { // it was opened, and what was to follow could not be read
			continue
		}
		total := 0.0
		for i, series := range s.series {
			total += s.counts[i]
			f.set.Put(series, total)
		}
	}
	for series, l := range f.levels {
		if l.ends(at) > f.stale {
			delete(f.levels, series)
			forgot = true
			continue
		}
		if l.ever {
			f.set.Put(series, l.value)
		}
	}
	f.set.End(at)
	if forgot {
		f.full = nil
	}
	return forgot
}

// Take is what the round says, and why it says nothing.
func (f *Figure) Take() metric.Figure {
	got := f.set.Figure(0)
	switch {
	case f.full != nil:
		return metric.Figure{Fault: f.full}
	case got.Fault != nil && f.wrong != 0:
		got.Fault = fmt.Errorf("what comes of it are %s, and it is made of %s", kindNames[f.wrong], kindNames[wants[f.Kind]])
	}
	return got
}

// Name writes a name as selectors have it: what is neither a letter, a digit nor "_" becomes "_".
func Name(into, name []byte) []byte {
	into = append(into[:0], name...)
	for i, c := range into {
		if c < '0' || c > '9' && c < 'A' || c > 'Z' && c < 'a' && c != '_' || c > 'z' {
			into[i] = '_'
		}
	}
	return into
}
