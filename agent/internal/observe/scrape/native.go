package scrape

import (
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/salveops/salve/agent/internal/observe/figure"
	"github.com/salveops/salve/agent/internal/observe/source"
	"github.com/salveops/salve/pkg/exposition"
	"github.com/salveops/salve/pkg/metric"
)

const (
	// maxHistograms bounds the native histograms of a page that metrics are made of.
	maxHistograms = 1000
	// forget is how long one may be away until coming back is not taken for having grown from zero.
	forget = 10 * time.Minute
)

var (
	errNegative = errors.New("it has events below zero, of which no quantile is made")
	errMixed    = errors.New("histograms with native buckets match, and such without; match one kind")
)

// natives make the quantiles of a page's native histograms. Their buckets may become wider or finer at any time, so they
// are made into figure's steps before they are compared with those of the page before.
type natives struct {
	figures []*native // by metric; nil: it is no quantile
	all     map[string]*histogram
	kept    int           // of them, whose buckets are known
	primed  bool          // a page was read: a histogram that is new now has grown from zero
	last    time.Duration // when
}

// native is a quantile.
type native struct {
	*figure.Figure
	there   bool // native histograms of this page match
	classic bool // and such that have classic buckets only
	fault   error
}

// histogram is one of a page.
type histogram struct {
	line   // the metrics that it is for
	name   string
	labels []metric.Label

	now, last *reading      // of this page, and of the one before; nil: nothing is known
	at        time.Duration // of the last page that it was on
	again     bool          // it was away, and nobody knows from where it has grown
}

// reading is what a page says of a histogram.
type reading struct {
	// The buckets, where figure's steps can tell the difference: finer ones lie within one.
	schema int32
	zero   float64
	counts [figure.Steps]float64
}

func newNatives(metrics []source.Metric, every time.Duration) *natives {
	n := &natives{figures: make([]*native, len(metrics)), all: map[string]*histogram{}}
	for i, m := range metrics {
		if m.Kind == metric.Quantile {
			n.figures[i] = &native{Figure: figure.New(m.Definition, every, 0, -1)}
		}
	}
	return n
}

// begin begins a page.
func (n *natives) begin() {
	for _, f := range n.figures {
		if f != nil {
			f.there, f.classic, f.fault = false, false, nil
		}
	}
}

// beside notes a classic bucket of a histogram without native ones.
func (n *natives) beside(metrics []int) {
	for _, i := range metrics {
		if f := n.figures[i]; f != nil {
			f.classic = true
		}
	}
}

// take takes a sample with native buckets, which count once the page has ended.
func (n *natives) take(s exposition.Sample, round uint64) (*histogram, error) {
	h := n.all[string(s.Series)]
	if h == nil {
		var err error
		if h, err = n.open(s, round); err != nil {
			return nil, err
		}
	}
	if len(h.counts) == 0 {
		h.round = round
		return h, nil
	}
	switch {
	case h.round == round:
		n.fail(h, fmt.Errorf("%s is there twice", s.Series))
	case s.Native.Below > 0:
		n.fail(h, fmt.Errorf("%s: %w", s.Series, errNegative))
	}
	h.round = round
	if h.now == nil && h.last == nil {
		if n.kept == maxHistograms {
			return nil, fmt.Errorf("%s: more than %d native histograms match; match fewer", s.Name, maxHistograms)
		}
		n.kept++
	}
	if h.now == nil {
		h.now = &reading{}
	}
	h.now.read(s.Native)
	return h, nil
}

func (n *natives) fail(h *histogram, err error) {
	for _, i := range h.counts {
		n.figures[i].fault = err
	}
}

// open makes a histogram at first sight.
func (n *natives) open(s exposition.Sample, round uint64) (*histogram, error) {
	if len(n.all) == maxLines {
		maps.DeleteFunc(n.all, func(_ string, h *histogram) bool { return h.round != round && h.now == nil && h.last == nil })
	}
	if len(n.all) == maxLines {
		return nil, fmt.Errorf("more than %d native histograms are of the names that metrics are made of", maxLines)
	}
	labels, err := exposition.Labels(s.Series)
	if err != nil {
		return nil, fmt.Errorf("%.200s: %w", s.Series, err)
	}
	h := &histogram{name: string(s.Name), labels: labels, at: n.last}
	for i, f := range n.figures {
		if f != nil && f.Of.Matches(h.name, h.labels) {
			h.counts = append(h.counts, i)
		}
	}
	n.all[string(s.Series)] = h
	return h, nil
}

// end ends a page that was read to its end, and makes the figures.
func (n *natives) end(at time.Duration, round uint64) {
	for _, h := range n.all {
		switch {
		case len(h.counts) == 0:
		case h.round == round:
			n.give(h, at)
		case (h.now != nil || h.last != nil) && at-h.at > forget:
			h.now, h.last, h.again = nil, nil, true
			n.kept--
		}
	}
	n.primed, n.last = true, at
	for _, f := range n.figures {
		if f != nil {
			f.End(at)
		}
	}
}

// give gives by how much a histogram has grown to the metrics that it is for.
func (n *natives) give(h *histogram, at time.Duration) {
	for _, i := range h.counts {
		n.figures[i].there = true
		if part, ok := n.figures[i].Open(figure.Told{Name: h.name, Kind: figure.Events, Labels: h.labels}); ok {
			part.Grow(0, 0)
			h.grown(n.primed && !h.again, part.Grow)
		}
	}
	h.at, h.again = at, false
	h.now, h.last = h.last, h.now
}

// grown calls for each step by how much it has grown. fromZero says that a histogram that is new has grown from zero.
func (h *histogram) grown(fromZero bool, grow func(i int, by float64)) {
	before := h.last
	switch {
	case before == nil && !fromZero:
		return
	case before == nil:
		before = &reading{}
	case before.schema != h.now.schema || before.zero != h.now.zero:
		return // what has grown cannot be told from what has moved
	}
	for i, v := range h.now.counts {
		if v < before.counts[i] { // it began again
			before = &reading{}
			break
		}
	}
	for i, v := range h.now.counts {
		if by := v - before.counts[i]; by > 0 {
			grow(i, by)
		}
	}
}

// read makes steps of buckets.
func (r *reading) read(n *exposition.Native) {
	*r = reading{schema: min(n.Schema, figure.Schema)}
	if figure.Step(n.Threshold) > 0 {
		r.zero = n.Threshold
	}
	add := func(i int, by float64) { r.counts[i] += by }
	figure.Even(n.Threshold, n.Zero, add)
	n.Each(func(from, to, events float64) { figure.Spread(from, to, events, add) })
}

// figure is what the page says of the i-th metric.
func (p *page) figure(i int) metric.Figure {
	if p.natives == nil || p.natives.figures[i] == nil || !p.natives.figures[i].there {
		return p.set.Figure(i)
	}
	switch f := p.natives.figures[i]; {
	case f.fault != nil:
		return metric.Figure{Fault: f.fault}
	case f.classic:
		return metric.Figure{Fault: errMixed}
	default:
		return f.Take()
	}
}
