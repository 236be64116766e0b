package figure

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/salveops/salve/pkg/metric"
)

const every = time.Second

func definition(t *testing.T, kind metric.Kind, of string) metric.Definition {
	t.Helper()
	s, err := metric.ParseSelector(of)
	if err != nil {
		t.Fatal(err)
	}
	d := metric.Definition{Kind: kind, Of: s, Share: 0.5, Window: 2 * every}
	if kind == metric.Gauge {
		d.Fold, d.Window = metric.Sum, 0
	}
	return d
}

func part(t *testing.T, f *Figure, told Told) Part {
	t.Helper()
	p, ok := f.Open(told)
	if !ok {
		t.Fatalf("%+v contributes nothing: %+v", told, f.Take())
	}
	return p
}

func id(i int) []metric.Label { return []metric.Label{{Name: "id", Value: fmt.Sprint(i)}} }

// Labels that explode are one sum; levels have a bound, and what has too many is unknown until it has not.
func TestBounds(t *testing.T) {
	f := New(definition(t, metric.Rate, "n"), every, 3*every, 0)
	part(t, f, Told{Name: "n", Kind: Counter}).Grow(0, 0)
	f.End(every)
	for i := range 5000 {
		part(t, f, Told{Name: "n", Kind: Counter, Labels: id(i)}).Grow(0, 1)
	}
	f.End(2 * every)
	f.End(3 * every)
	if got := f.Take(); !got.Known || got.Value != 2500 || len(f.sums) != 1 {
		t.Errorf("%+v from %d sums", got, len(f.sums))
	}

	f = New(definition(t, metric.Gauge, "n"), every, 3*every, 0)
	for i := range maxLevels {
		part(t, f, Told{Name: "n", Kind: Level, Labels: id(i)}).Set(1)
	}
	if _, ok := f.Open(Told{Name: "n", Kind: Level, Labels: id(-1)}); ok {
		t.Error("one more level than there may be")
	}
	for at := every; at <= 4*every; at += every {
		if forgot := f.End(at); forgot || f.Take().Fault == nil {
			t.Errorf("at %s: forgot %v, %+v", at, forgot, f.Take())
		}
	}
	if !f.End(5 * every) {
		t.Error("nothing is forgotten")
	}
	part(t, f, Told{Name: "n", Kind: Level}).Set(7)
	f.End(6 * every)
	if got := f.Take(); !got.Known || got.Value != 7 {
		t.Errorf("%+v", got)
	}
}

// A counter that is silent is forgotten, unless it is one of those that are when they do not grow.
func TestSilent(t *testing.T) {
	for _, silent := range []bool{false, true} {
		f := New(definition(t, metric.Rate, "n"), every, 3*every, 0)
		part(t, f, Told{Name: "n", Kind: Counter, Silent: silent}).Grow(0, 5)
		forgot := false
		for at := every; at <= 6*every; at += every {
			forgot = f.End(at) || forgot
		}
		if got := f.Take(); forgot == silent || got.Known != silent || got.Value != 0 {
			t.Errorf("silent %v: forgot %v, %+v", silent, forgot, got)
		}
	}
}

// Events in buckets of different bounds are added up; bounds without end are not.
func TestEvents(t *testing.T) {
	f := New(definition(t, metric.Quantile, "n"), every, 3*every, 0)
	sums := func(grow float64) {
		for _, bounds := range [][]float64{{1, 2, math.Inf(1)}, {2, math.Inf(1)}} {
			p := part(t, f, Told{Name: "n", Kind: Events, Labels: []metric.Label{{Name: "le", Value: "x"}}, Bounds: bounds})
			p.Grow(0, grow)
			p.Grow(1, grow)
		}
	}
	for at := every; at <= 3*every; at += every {
		sums(1)
		f.End(at)
	}
	if got := f.Take(); !got.Known || got.Value < 1 || got.Value > 2 {
		t.Errorf("%+v", got)
	}
	for i := range maxSums {
		f.Open(Told{Name: "n", Kind: Events, Bounds: []float64{float64(i), math.Inf(1)}})
	}
	if got := f.Take(); got.Fault == nil || !strings.Contains(got.Fault.Error(), "too many different bounds") {
		t.Errorf("%+v", got)
	}
}

// What was opened and never told of is unknown, and not zero.
func TestNeverTold(t *testing.T) {
	for _, told := range []Told{{Name: "n", Kind: Counter, Silent: true}, {Name: "n", Kind: Level}} {
		kind := metric.Rate
		if told.Kind == Level {
			kind = metric.Gauge
		}
		f := New(definition(t, kind, "n"), every, 10*every, 0)
		p := part(t, f, told)
		for at := every; at <= 4*every; at += every {
			if f.End(at); f.Take().Known {
				t.Errorf("%s at %s: %+v", kindNames[told.Kind], at, f.Take())
			}
		}
		for at := 5 * every; at <= 8*every; at += every {
			if told.Kind == Level {
				p.Set(2)
			} else {
				p.Grow(0, 2)
			}
			f.End(at)
		}
		if got := f.Take(); !got.Known || got.Value != 2 {
			t.Errorf("%s: %+v", kindNames[told.Kind], got)
		}
	}
}

func TestWrongKind(t *testing.T) {
	f := New(definition(t, metric.Rate, "n"), every, 3*every, 0)
	if _, ok := f.Open(Told{Name: "n", Kind: Level}); ok {
		t.Error("a level makes a rate")
	}
	f.End(every)
	if got := f.Take(); got.Fault == nil || got.Fault.Error() != "what comes of it are gauges, and it is made of counters" {
		t.Errorf("%+v", got)
	}
}

// What lies between two powers of two is shared out, all of it and nowhere else.
func TestSpread(t *testing.T) {
	infinite := len(steps) - 1
	for _, tt := range []struct {
		from, to float64
		want     string
	}{
		{0, 0.25, "81:8 "},                                       // a whole step
		{0.125, 0.25, "81:8 "},                                   // a part of one
		{0, 1, "81:2 82:2 83:2 84:2 "},                           // several
		{-0.125, 0.125, "80:4 81:4 "},                            // across a bound
		{-100, -50, "0:8 "},                                      // below all
		{-20.5, -19.5, "0:4 1:2 2:2 "},                           // from below
		{39.5, 40.5, fmt.Sprintf("239:2 240:2 %d:4 ", infinite)}, // and to above
		{99, 1e12, fmt.Sprintf("%d:8 ", infinite)},               // above all
	} {
		got := ""
		Spread(tt.from, tt.to, 8, func(i int, by float64) { got += fmt.Sprintf("%d:%g ", i, by) })
		if got != tt.want {
			t.Errorf("from 2^%g to 2^%g: %q, want %q", tt.from, tt.to, got, tt.want)
		}
	}
	if got := Step(1.1); got != 81 || steps[got-1] != 1 {
		t.Errorf("1.1 is in step %d", got)
	}
}
