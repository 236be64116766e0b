package statsd

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/salveops/salve/pkg/metric"
)

const (
	// maxGauges bounds the gauges of one metric.
	maxGauges = 1000
	// stale is how long a gauge is believed after its last line.
	stale = 10 * time.Minute
)

// figure makes one metric. All counters, and all timings, that match the same of its selectors are one sum, however
// many tags they have: it cannot explode. Each gauge has a value of its own.
type figure struct {
	metric.Definition
	set    *metric.Set
	sums   map[terms]*sum
	gauges map[*metric.Series]*level
	wrong  kind  // of lines that match and of which the metric cannot be made; 0: none came
	fault  error // of this round
}

// terms are which selectors of a metric match.
type terms struct{ of, all bool }

// sum is one counter, or the buckets of one histogram.
type sum struct {
	series []*metric.Series
	counts []float64
}

// level is what a gauge stands at.
type level struct {
	value float64
	fresh bool          // there was a line in this round
	at    time.Duration // end of the last round in which there was one
}

// part is what lines contribute to: a sum or a gauge.
type part struct {
	sum   *sum
	level *level
}

// wants is the kind of lines of which each kind of metric is made.
var wants = map[metric.Kind]kind{
	metric.Ratio: counter, metric.Rate: counter, metric.Gauge: gauge, metric.Quantile: timing,
}

// bounds are the upper ends of the buckets of every histogram, from 1 µs to 1e12 in steps of the fourth root of two:
// what is said of a quantile between them is wrong by 19 % of it at most.
var bounds = func() (all [60*4 + 2]float64) {
	for i := range all {
		all[i] = math.Exp2(float64(i)/4 - 20)
	}
	all[len(all)-1] = math.Inf(1)
	return all
}()

func newFigure(d metric.Definition, every time.Duration) *figure {
	return &figure{
		Definition: d, set: metric.New([]metric.Definition{d}, every),
		sums: map[terms]*sum{}, gauges: map[*metric.Series]*level{},
	}
}

// open finds what lines with this name, kind and labels contribute to; false: nothing.
func (f *figure) open(name string, k kind, labels []metric.Label) (part, bool) {
	match := terms{f.Of.Matches(name, labels), f.Kind == metric.Ratio && f.All.Matches(name, labels)}
	switch {
	case !match.of && !match.all:
		return part{}, false
	case k != wants[f.Kind]:
		f.wrong = k
		return part{}, false
	case k == gauge:
		l := f.level(name, labels)
		return part{level: l}, l != nil
	}
	s := f.sums[match]
	if s == nil {
		var err error
		if s, err = f.newSum(name, labels); err != nil {
			f.fault = err
			return part{}, false
		}
		f.sums[match] = s
	}
	return part{sum: s}, true
}

// level is the gauge with these labels; nil if there are too many.
func (f *figure) level(name string, labels []metric.Label) *level {
	series, err := f.set.Open(name, labels)
	if err == nil && f.gauges[series] == nil {
		if len(f.gauges) < maxGauges {
			f.gauges[series] = &level{}
		} else {
			err = fmt.Errorf("more than %d gauges match %s; match fewer", maxGauges, f.Of)
		}
	}
	if err != nil {
		f.fault = err
		return nil
	}
	return f.gauges[series]
}

// newSum opens the series of a sum. They have the labels of its first line, but stand for all that match as it does.
func (f *figure) newSum(name string, labels []metric.Label) (*sum, error) {
	s := &sum{counts: make([]float64, 1)}
	if f.Kind == metric.Quantile {
		s.counts = make([]float64, len(bounds))
		name += "_bucket"
		labels = slices.DeleteFunc(slices.Clone(labels), func(l metric.Label) bool { return l.Name == bucket })
	}
	for i := range s.counts {
		own := slices.Clone(labels)
		if f.Kind == metric.Quantile {
			own = append(own, metric.Label{Name: bucket, Value: strconv.FormatFloat(bounds[i], 'g', -1, 64)})
		}
		series, err := f.set.Open(name, own)
		if err != nil {
			return nil, err
		}
		s.series = append(s.series, series)
	}
	return s, nil
}

// bucket is the label of a bucket's upper end.
const bucket = "le"

// add takes one value that stands for weight lines.
func (p part) add(k kind, v float64, signed bool, weight float64) {
	switch k {
	case counter:
		p.sum.counts[0] += v * weight
	case timing:
		i, _ := slices.BinarySearch(bounds[:], v)
		p.sum.counts[i] += weight
	case gauge:
		if signed {
			v += p.level.value
		}
		p.level.value, p.level.fresh = v, true
	}
}

// end ends a round. It reports whether gauges were forgotten.
func (f *figure) end(at time.Duration) (forgot bool) {
	for _, s := range f.sums {
		total := 0.0
		for i, series := range s.series {
			total += s.counts[i]
			f.set.Put(series, total)
		}
	}
	for series, l := range f.gauges {
		switch {
		case l.fresh:
			l.at, l.fresh = at, false
		case at-l.at > stale:
			delete(f.gauges, series)
			forgot = true
			continue
		}
		f.set.Put(series, l.value)
	}
	f.set.End(at)
	return forgot
}

// figure is what the round says, and takes note of why it says nothing.
func (f *figure) figure() metric.Figure {
	got := f.set.Figure(0)
	switch {
	case f.fault != nil:
		got = metric.Figure{Fault: f.fault}
	case got.Fault != nil && f.wrong != 0:
		got.Fault = fmt.Errorf("the lines of it are %s, and it is made of %s", kindNames[f.wrong], kindNames[wants[f.Kind]])
	}
	f.fault = nil
	return got
}
