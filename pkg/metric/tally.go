package metric

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"
)

// maxBounds bounds the buckets of a histogram.
const maxBounds = 256

// tally makes the figure of one definition.
type tally struct {
	Definition
	terms  []Selector // of the series that count: one, of a Ratio two
	figure Figure

	// of this round
	fault  error
	count  [2]int  // series that contributed, by term
	folded float64 // of a Gauge

	grown  []float64 // how far each term, or each bucket, has grown since the first round
	bounds []float64 // of the buckets, in order
	past   history
	spare  []float64 // as many as grown
}

func newTally(d Definition, every time.Duration) *tally {
	t := &tally{Definition: d, terms: []Selector{d.Of}}
	switch d.Kind {
	case Ratio:
		t.terms = append(t.terms, d.All)
	case Quantile:
		t.terms[0] = d.Of.buckets()
	}
	if d.Kind != Quantile {
		t.grown, t.spare = make([]float64, len(t.terms)), make([]float64, len(t.terms))
	}
	t.past = newHistory(d.Window, every, len(t.grown))
	return t
}

// parts are what a series contributes: nothing, or as one or both terms.
func (t *tally) parts(name string, labels []Label) (parts []part, err error) {
	for i, sel := range t.terms {
		if !sel.Matches(name, labels) {
			continue
		}
		p := part{tally: t, term: i}
		if t.Kind == Quantile {
			if p.bound, err = bound(labels); err != nil {
				return nil, err
			}
			if err := t.open(p.bound); err != nil {
				return nil, err
			}
		}
		parts = append(parts, p)
	}
	return parts, nil
}

func bound(labels []Label) (float64, error) {
	i := slices.IndexFunc(labels, func(l Label) bool { return l.Name == "le" })
	if i < 0 {
		return 0, errors.New("the bucket has no label le")
	}
	v, err := strconv.ParseFloat(labels[i].Value, 64)
	if err != nil || math.IsNaN(v) {
		return 0, errors.New("the label le of the bucket is not a number")
	}
	return v, nil
}

// open makes room for a bucket. What was counted without it cannot be compared any more.
func (t *tally) open(bound float64) error {
	i, found := slices.BinarySearch(t.bounds, bound)
	switch {
	case found:
		return nil
	case len(t.bounds) == maxBounds:
		return fmt.Errorf("the histogram has more than %d buckets", maxBounds)
	}
	t.bounds = slices.Insert(t.bounds, i, bound)
	t.grown, t.spare = make([]float64, len(t.bounds)), make([]float64, len(t.bounds))
	t.past = newHistory(t.Window, t.past.every, len(t.bounds))
	return nil
}

// fail notes why this round has no figure; the first reason counts.
func (t *tally) fail(format string, args ...any) {
	if t.fault == nil {
		t.fault = fmt.Errorf(format, args...)
	}
}

// take adds a series of this round. fromZero says that one that is new has grown from zero.
func (t *tally) take(p part, sr *Series, fromZero bool) {
	if math.IsNaN(sr.value) || math.IsInf(sr.value, 0) {
		t.fail("%s is %v", sr, sr.value)
		return
	}
	t.count[p.term]++
	if t.Kind == Gauge {
		t.fold(sr.value)
		return
	}
	if sr.value < 0 {
		t.fail("%s is below zero, and a counter never is", sr)
		return
	}
	i := p.term
	if t.Kind == Quantile {
		i, _ = slices.BinarySearch(t.bounds, p.bound)
	}
	switch {
	case !sr.known && !fromZero:
	case !sr.known, sr.value < sr.base: // new, or it began again
		t.grown[i] += sr.value
	default:
		t.grown[i] += sr.value - sr.base
	}
}

func (t *tally) fold(v float64) {
	switch {
	case t.count[0] == 1:
		t.folded = v
	case t.Fold == Sum:
		t.folded += v
	case t.Fold == Max:
		t.folded = max(t.folded, v)
	case t.Fold == Min:
		t.folded = min(t.folded, v)
	}
}

// absent is the selector for which this round had no series though it should have; nil if there is
// none. A Ratio of which Of matches nothing is fine as long as there are other series of that name:
// so pages say that nothing has failed yet.
func (t *tally) absent(s *Set) *Selector {
	for i := range t.terms {
		fine := t.Kind == Ratio && i == 0 && s.families[t.Of.name].round == s.round
		if t.count[i] == 0 && !fine {
			return &t.terms[i]
		}
	}
	return nil
}

// conclude makes the figure and prepares the next round.
func (t *tally) conclude(at time.Duration, absent *Selector) {
	last := len(t.bounds) - 1
	switch {
	case absent != nil:
		t.fail("no series matches %s", absent)
	case t.Kind == Gauge && t.Fold == Only && t.count[0] > 1:
		t.fail("%d series match %s: match one, or say with aggregate what to make of them", t.count[0], t.Of)
	case t.Kind == Quantile && (last == 0 || !math.IsInf(t.bounds[last], 1)):
		t.fail("%s needs a bucket with a bound and one for all, le=\"+Inf\"", t.Of)
	}
	t.figure = Figure{Fault: t.fault}
	if t.fault == nil {
		t.figure = t.value(at)
	}
	t.reset()
}

func (t *tally) reset() { t.fault, t.count = nil, [2]int{} }

// value is the figure of a round in which nothing was at fault.
func (t *tally) value(at time.Duration) Figure {
	if t.Kind == Gauge {
		return known(t.folded)
	}
	t.past.push(at, t.grown)
	over, full := t.past.grown(t.spare)
	if !full {
		return Figure{}
	}
	least := float64(max(1, t.MinEvents))
	switch {
	case t.Kind == Rate:
		return known(t.spare[0] / over.Seconds())
	case t.Kind == Ratio && t.spare[1] >= least:
		return known(t.spare[0] / t.spare[1])
	case t.Kind == Quantile && cumulate(t.spare) >= least:
		return known(quantile(t.Share, t.bounds, t.spare))
	}
	return Figure{Idle: true}
}

func known(v float64) Figure {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return Figure{}
	}
	return Figure{Value: v, Known: true}
}

// cumulate makes counts, which say how many events lie up to each bound, grow with the bounds, and returns how many
// events there are. Buckets are not read at one moment.
func cumulate(counts []float64) float64 {
	for i := 1; i < len(counts); i++ {
		counts[i] = max(counts[i], counts[i-1])
	}
	return counts[len(counts)-1]
}

// quantile is the value that the share p of the events does not exceed. counts say how many events, at least one, lie
// up to each bound, the last of which is infinite; events are taken to lie evenly within their bucket.
// What lies above the last finite bound is at least that, and told as that.
func quantile(p float64, bounds, counts []float64) float64 {
	last := len(bounds) - 1
	rank, i := p*counts[last], 0
	for counts[i] < rank || counts[i] == 0 {
		i++
	}
	switch {
	case i == last:
		return bounds[last-1]
	case i > 0:
		below, inside := bounds[i-1], counts[i]-counts[i-1]
		return below + (bounds[i]-below)*(rank-counts[i-1])/inside
	case bounds[0] <= 0:
		return bounds[0]
	}
	return bounds[0] * rank / counts[0]
}
