// Package metric makes one figure out of the samples of many series: the share of requests that
// failed, a rate, a quantile from the buckets of a histogram, a gauge. It does not care where samples
// come from. A source opens a Series for each set of labels that some definition wants, puts the values
// of a round into them, and ends the round:
//
//	samples ──▶ Set.Open(name, labels) ──▶ Set.Put(series, value) … ──▶ Set.End(at) ──▶ Set.Figure(i)
//
// Counters may begin again from zero at any time. What cannot be known is unknown, and never zero.
// The package is pure: time comes from the caller, and a Set belongs to one goroutine.
package metric

import (
	"fmt"
	"hash/fnv"
	"time"

	"github.com/salveops/salve/pkg/signal"
)

// Kind is how a figure is made.
type Kind uint8

const (
	Ratio    Kind = iota // growth of Of as a share of the growth of All
	Rate                 // growth of Of a second
	Quantile             // of a histogram, from the growth of its buckets
	Gauge                // the value of Of as it is
)

// Fold is how the values of several series become one.
type Fold string

const (
	Only Fold = ""    // there must not be several
	Sum  Fold = "sum" // all together
	Max  Fold = "max" // the largest
	Min  Fold = "min" // the smallest
)

// Folds are the words for Fold, as the configuration has them.
func Folds() []string { return []string{string(Sum), string(Max), string(Min)} }

// Definition says what a figure is made of.
type Definition struct {
	Kind Kind
	// Of selects what is counted or measured, added up over all series that match; for a Quantile it
	// names the histogram, without "_bucket".
	Of  Selector
	All Selector // of a Ratio: what Of is a share of
	// Share is the quantile of a Quantile, between 0 and 1.
	Share float64
	// Window is how far back the growth of counters is looked at. A Gauge is about now and has none.
	Window time.Duration
	// MinEvents: with fewer events in the window a Ratio or Quantile is unknown. 0 means 1.
	MinEvents int
	Fold      Fold             // of a Gauge
	Dim       signal.Dimension // of the figure
}

// Equal reports whether both make the same figure.
func (d Definition) Equal(o Definition) bool { return d.key() == o.key() }

// key is all that makes the figure what it is.
func (d Definition) key() string {
	return fmt.Sprintf("%d %q %q %g %d %d %s %d", d.Kind, d.Of, d.All, d.Share, d.Window, d.MinEvents, d.Fold, d.Dim)
}

// Digest is another number for each figure.
func (d Definition) Digest() uint64 {
	h := fnv.New64a()
	h.Write([]byte(d.key()))
	return h.Sum64()
}

// String says in words what the figure is, without its unit.
func (d Definition) String() string {
	window := d.Window.Seconds()
	switch d.Kind {
	case Ratio:
		return fmt.Sprintf("growth of %s as a share of %s, over %gs", d.Of, d.All, window)
	case Rate:
		return fmt.Sprintf("growth of %s a second, over %gs", d.Of, window)
	case Quantile:
		return fmt.Sprintf("%g quantile of %s, over %gs", d.Share, d.Of, window)
	}
	if d.Fold == Only {
		return d.Of.String()
	}
	return fmt.Sprintf("%s of %s", d.Fold, d.Of)
}
