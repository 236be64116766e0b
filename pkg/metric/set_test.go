package metric

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/salveops/salve/pkg/signal"
)

// bench is a Set with one definition that is read each second. A round is a text of series and values:
// "a{x=1} 5; a{x=2} 3".
type bench struct {
	t *testing.T
	*Set
	now time.Duration
}

func newBench(t *testing.T, d Definition) *bench {
	return &bench{t: t, Set: New([]Definition{d}, time.Second)}
}

func sel(t testing.TB, text string) Selector {
	t.Helper()
	s, err := ParseSelector(text)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// put puts what a text says.
func (b *bench) put(round string) {
	b.t.Helper()
	for entry := range strings.SplitSeq(round, ";") {
		words := strings.Fields(entry)
		if len(words) == 0 {
			continue
		}
		name, inner, _ := strings.Cut(strings.TrimSuffix(words[0], "}"), "{")
		var labels []Label
		for pair := range strings.SplitSeq(inner, ",") {
			if l, v, ok := strings.Cut(pair, "="); ok {
				labels = append(labels, Label{l, v})
			}
		}
		if !b.Wants([]byte(name)) {
			continue
		}
		s, err := b.Open(name, labels)
		if err != nil {
			b.t.Fatal(err)
		}
		var v float64
		if _, err := fmt.Sscan(words[1], &v); err != nil {
			b.t.Fatal(err)
		}
		b.Put(s, v)
	}
}

// round lets a second pass and reads a round: its figure, "unknown", or what is at fault.
func (b *bench) round(round string) string {
	b.t.Helper()
	b.now += time.Second
	b.put(round)
	b.End(b.now)
	f := b.Figure(0)
	switch {
	case f.Fault != nil:
		return f.Fault.Error()
	case f.Idle:
		return "idle"
	case !f.Known:
		return "unknown"
	}
	return fmt.Sprintf("%.4g", f.Value)
}

// rounds reads several, one a line, each with what it says behind an arrow.
func (b *bench) rounds(lines string) {
	b.t.Helper()
	for line := range strings.SplitSeq(strings.TrimSpace(lines), "\n") {
		in, want, _ := strings.Cut(line, "=>")
		if got := b.round(in); got != strings.TrimSpace(want) {
			b.t.Errorf("%s: got %s, want %s", strings.TrimSpace(in), got, strings.TrimSpace(want))
		}
	}
}

func ratio(t testing.TB, of, all string, least int) Definition {
	return Definition{Kind: Ratio, Of: sel(t, of), All: sel(t, all), Window: 3 * time.Second, MinEvents: least,
		Dim: signal.Ratio}
}

func errorRate(t testing.TB, least int) Definition {
	return ratio(t, `req{code=~"5.."}`, "req", least)
}

func rate(t testing.TB, of string) Definition {
	return Definition{Kind: Rate, Of: sel(t, of), Window: 3 * time.Second, Dim: signal.PerSecond}
}

func gauge(t testing.TB, of string, f Fold) Definition {
	return Definition{Kind: Gauge, Of: sel(t, of), Fold: f, Dim: signal.Count}
}

func TestRatio(t *testing.T) {
	newBench(t, errorRate(t, 10)).rounds(`
		req{code=200} 1000; req{code=500} 100; other 1 => unknown
		req{code=200} 1010; req{code=500} 100 => unknown
		req{code=200} 1020; req{code=500} 100 => 0
		req{code=200} 1030; req{code=500} 110 => 0.25
		req{code=200} 1030; req{code=500} 120 => 0.5
		req{code=200} 1030; req{code=500} 120 => 0.6667
		req{code=200} 1030; req{code=500} 120 => 1
		req{code=200} 1030; req{code=500} 120 => idle`)
}

// The first error ever comes as a series that was not there before: it has grown from zero.
func TestNewSeriesCountsFromZero(t *testing.T) {
	newBench(t, errorRate(t, 1)).rounds(`
		req{code=200} 1000 => unknown
		req{code=200} 1010 => unknown
		req{code=200} 1020 => 0
		req{code=200} 1030; req{code=503} 30 => 0.5`)
}

// A series that was away for a moment goes on where it was.
func TestSeriesComesBack(t *testing.T) {
	newBench(t, rate(t, "req")).rounds(`
		req{code=200} 1000; req{code=404} 500 => unknown
		req{code=200} 1000; req{code=404} 500 => unknown
		req{code=200} 1000 => 0
		req{code=200} 1000; req{code=404} 506 => 2`)
}

func TestSeriesIsForgotten(t *testing.T) {
	b := newBench(t, rate(t, "req"))
	b.put("req{code=200} 1; req{code=404} 1")
	b.End(time.Second)
	b.put("req{code=200} 1")
	b.End(forget + 2*time.Second)
	if len(b.series) != 1 || len(b.all) != 1 {
		t.Errorf("%d series are kept, and %d in order", len(b.series), len(b.all))
	}
}

// TestForgottenSeriesComesBack: what it has counted in all its life has not happened now, and what is new still has.
func TestForgottenSeriesComesBack(t *testing.T) {
	b := newBench(t, rate(t, "req"))
	b.rounds("req{code=200} 1000; req{code=404} 500 => unknown")
	for range forget/time.Second + 2 {
		b.round("req{code=200} 1000")
	}
	b.rounds(`
		req{code=200} 1000; req{code=404} 506 => 0
		req{code=200} 1000; req{code=404} 509 => 1
		req{code=200} 1000; req{code=404} 509; req{code=503} 3 => 2`)
	if len(b.gone) != 0 {
		t.Errorf("%d are gone", len(b.gone))
	}
}

// TestGoneIsBounded: what is kept of series that are gone for good is not much.
func TestGoneIsBounded(t *testing.T) {
	b := newBench(t, rate(t, "req"))
	for i := range 4 {
		for j := range 4000 {
			b.put(fmt.Sprintf("req{code=%d} 1", i*4000+j))
		}
		b.End(time.Duration(i+1) * 2 * forget)
	}
	if n := len(b.gone); n == 0 || n > maxGone {
		t.Errorf("%d are gone", n)
	}
}

// After a restart counters begin from zero: what they say then is what happened since.
func TestCounterReset(t *testing.T) {
	newBench(t, rate(t, "req")).rounds(`
		req{code=200} 1000; req{code=404} 500 => unknown
		req{code=200} 1003; req{code=404} 500 => unknown
		req{code=200} 1006; req{code=404} 500 => 3
		req{code=200} 9; req{code=404} 501 => 5.333`)
}

func TestUnknownIsNeverZero(t *testing.T) {
	newBench(t, errorRate(t, 1)).rounds(`
		 => no series matches req{code=~"5.."}
		other 5 => no series matches req{code=~"5.."}
		req{code=200} NaN => req{code="200"} is NaN
		req{code=200} +Inf => req{code="200"} is +Inf
		req{code=200} -1 => req{code="200"} is below zero, and a counter never is
		req{code=200} 1; req{code=200} 1 => req{code="200"} is there twice`)
	newBench(t, ratio(t, "failed", "req", 1)).rounds(`
		req 1 => no series matches failed
		failed{x=1} 1 => no series matches req`)
	newBench(t, rate(t, `req{code="500"}`)).rounds(`req{code=200} 1 => no series matches req{code="500"}`)
	newBench(t, gauge(t, "depth", Only)).rounds(`
		 => no series matches depth
		depth{q=a} 1; depth{q=b} 2 => 2 series match depth: match one, or say with aggregate what to make of them
		depth NaN => depth is NaN
		depth -3 => -3`)
}

// What was odd in one round does not spoil the next.
func TestOddValueIsLeftOut(t *testing.T) {
	newBench(t, rate(t, "req")).rounds(`
		req 1000 => unknown
		req 1002 => unknown
		req 1004 => 2
		req NaN => req is NaN
		req 1008 => 2`)
}

func TestGauges(t *testing.T) {
	for f, want := range map[Fold]string{Sum: "9", Max: "5", Min: "1"} {
		newBench(t, gauge(t, "depth{q!=\"x\"}", f)).rounds(
			"depth{q=a} 3; depth{q=b} 5; depth{q=c} 1; depth{q=x} 100 => " + want)
	}
}

// A window begins after a gap anew: what grew during the gap is not within it.
func TestGap(t *testing.T) {
	b := newBench(t, rate(t, "req"))
	b.rounds(`
		req 1000 => unknown
		req 1002 => unknown
		req 1004 => 2`)
	b.put("req 9999") // and the page breaks off
	b.Undo()
	if f := b.Figure(0); f.Known || f.Fault != nil {
		t.Errorf("after a failure the figure is %+v", f)
	}
	b.now += 10 * time.Second
	b.rounds(`
		req 5000 => unknown
		req 5001 => unknown
		req 5002 => 1`)
}

func TestTimeGoesBackwards(t *testing.T) {
	b := newBench(t, rate(t, "req"))
	b.rounds("req 1 => unknown\nreq 2 => unknown\nreq 3 => 1")
	for _, at := range []time.Duration{0, b.now} {
		b.put("req 100")
		b.End(at)
		if f := b.Figure(0); f.Known {
			t.Errorf("a round of %s gives %v", at, f.Value)
		}
	}
	b.rounds("req 4 => 1")
}

func quantiles(t testing.TB, p float64, least int) Definition {
	return Definition{Kind: Quantile, Of: sel(t, "lat"), Share: p, Window: 3 * time.Second, MinEvents: least,
		Dim: signal.Seconds}
}

func TestQuantile(t *testing.T) {
	newBench(t, quantiles(t, 0.5, 1)).rounds(`
		lat_bucket{le=0.1} 5; lat_bucket{le=1} 5; lat_bucket{le=10} 5; lat_bucket{le=+Inf} 5; lat_count 5 => unknown
		lat_bucket{le=0.1} 5; lat_bucket{le=1} 5; lat_bucket{le=10} 5; lat_bucket{le=+Inf} 5 => unknown
		lat_bucket{le=0.1} 5; lat_bucket{le=1} 5; lat_bucket{le=10} 5; lat_bucket{le=+Inf} 5 => idle
		lat_bucket{le=0.1} 5; lat_bucket{le=1} 15; lat_bucket{le=10} 15; lat_bucket{le=+Inf} 15 => 0.55
		lat_bucket{le=0.1} 35; lat_bucket{le=1} 45; lat_bucket{le=10} 45; lat_bucket{le=+Inf} 45 => 0.06667
		lat_bucket{le=0.1} 35; lat_bucket{le=1} 45; lat_bucket{le=10} 45; lat_bucket{le=+Inf} 145 => 10`)
	// Several series are one distribution.
	newBench(t, quantiles(t, 0.9, 1)).rounds(`
		lat_bucket{p=a,le=1} 0; lat_bucket{p=b,le=1} 0; lat_bucket{p=a,le=2} 0; lat_bucket{p=a,le=+Inf} 0 => unknown
		lat_bucket{p=a,le=1} 0; lat_bucket{p=b,le=1} 0; lat_bucket{p=a,le=2} 0; lat_bucket{p=a,le=+Inf} 0 => unknown
		lat_bucket{p=a,le=1} 5; lat_bucket{p=b,le=1} 5; lat_bucket{p=a,le=2} 9; lat_bucket{p=a,le=+Inf} 10 => 0.9`)
	newBench(t, quantiles(t, 0.9, 1)).rounds(`
		lat_count 5 => no series matches lat_bucket
		lat_bucket{le=1} 5 => lat needs a bucket with a bound and one for all, le="+Inf"`)
	newBench(t, quantiles(t, 0.9, 1)).rounds(
		`lat_bucket{le=+Inf} 5 => lat needs a bucket with a bound and one for all, le="+Inf"`)
}

// Buckets are not read at one moment, so that one may seem to have fewer events than a smaller one.
func TestBucketsArePutRight(t *testing.T) {
	counts := []float64{5, 3, 10, 10}
	n := cumulate(counts)
	if v := quantile(0.9, []float64{1, 2, 3, math.Inf(1)}, counts); n != 10 || math.Abs(v-2.8) > 1e-9 {
		t.Errorf("%v of %v", v, n)
	}
}

// A page that cannot be made a figure of is no idle service, and neither is a window that fills.
func TestIdle(t *testing.T) {
	newBench(t, errorRate(t, 1)).rounds(`
		req{code=200} 7 => unknown
		req{code=200} 7 => unknown
		req{code=200} 7 => idle
		other 1 => no series matches req{code=~"5.."}
		req{code=200} 7 => idle
		req{code=200} 8 => 0
		req{code=200} 8 => 0
		req{code=200} 8 => 0
		req{code=200} 8 => idle`)
}

func TestFewEventsHaveNoRatio(t *testing.T) {
	newBench(t, errorRate(t, 10)).rounds(`
		req{code=200} 0; req{code=500} 0 => unknown
		req{code=200} 0; req{code=500} 0 => unknown
		req{code=200} 5; req{code=500} 4 => idle
		req{code=200} 5; req{code=500} 5 => 0.5`)
}

func TestFewEventsHaveNoQuantile(t *testing.T) {
	newBench(t, quantiles(t, 0.5, 20)).rounds(`
		lat_bucket{le=1} 0; lat_bucket{le=+Inf} 0 => unknown
		lat_bucket{le=1} 10; lat_bucket{le=+Inf} 10 => unknown
		lat_bucket{le=1} 19; lat_bucket{le=+Inf} 19 => idle
		lat_bucket{le=1} 30; lat_bucket{le=+Inf} 30 => 0.5`)
}

// Other buckets than before cannot be compared with those: the window fills anew.
func TestBucketsChange(t *testing.T) {
	newBench(t, quantiles(t, 0.5, 1)).rounds(`
		lat_bucket{le=1} 0; lat_bucket{le=+Inf} 0 => unknown
		lat_bucket{le=1} 10; lat_bucket{le=+Inf} 10 => unknown
		lat_bucket{le=1} 20; lat_bucket{le=+Inf} 20 => 0.5
		lat_bucket{le=1} 30; lat_bucket{le=2} 30; lat_bucket{le=+Inf} 30 => unknown
		lat_bucket{le=1} 40; lat_bucket{le=2} 40; lat_bucket{le=+Inf} 40 => unknown
		lat_bucket{le=1} 50; lat_bucket{le=2} 50; lat_bucket{le=+Inf} 50 => 0.5`)
}

func TestQuantileOfNegativeBounds(t *testing.T) {
	for _, c := range []struct {
		p, want float64
	}{{0.1, -1}, {0.5, -1}, {0.75, 0}, {1, 1}} {
		if got := quantile(c.p, []float64{-1, 1, math.Inf(1)}, []float64{2, 4, 4}); got != c.want {
			t.Errorf("%v: %v, want %v", c.p, got, c.want)
		}
	}
}

// Numbers that no counter reaches make their own metric unknown, and nothing else.
func TestEnormousCounters(t *testing.T) {
	newBench(t, rate(t, "req")).rounds(`
		req{a=1} 0; req{a=2} 0 => unknown
		req{a=1} 0; req{a=2} 0 => unknown
		req{a=1} 1.7e308; req{a=2} 1.7e308 => unknown`)
}

func TestOpenRefuses(t *testing.T) {
	s := New([]Definition{quantiles(t, 0.5, 1)}, time.Second)
	for _, le := range []string{"", "x", "NaN"} {
		if _, err := s.Open("lat_bucket", []Label{{"le", le}}); err == nil {
			t.Errorf("a bucket up to %q is taken", le)
		}
	}
	_, err := s.Open("lat_bucket", nil)
	if err == nil || !strings.Contains(err.Error(), "lat_bucket: the bucket has no label le") {
		t.Errorf("a bucket without a bound: %v", err)
	}
	for i := range maxBounds {
		if _, err := s.Open("lat_bucket", []Label{{"le", fmt.Sprint(i)}}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Open("lat_bucket", []Label{{"le", "+Inf"}}); err == nil {
		t.Error("too many buckets are taken")
	}
}

func TestExplodingLabels(t *testing.T) {
	s := New([]Definition{rate(t, "req{x!=\"no\"}")}, time.Second)
	for i := range maxSeries {
		if _, err := s.Open("req", []Label{{"id", fmt.Sprint(i)}}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Open("req", []Label{{"id", "one more"}}); err == nil || !strings.Contains(err.Error(), "more than") {
		t.Errorf("one more: %v", err)
	}
	if _, err := s.Open("req", []Label{{"x", "no"}}); err != nil {
		t.Errorf("what nobody wants: %v", err)
	}
	a, errA := s.Open("req", []Label{{"id", "1"}})
	if errA != nil || a == nil || len(a.parts) != 1 {
		t.Errorf("what is there already: %v", errA)
	}
}

func TestOrderOfLabelsDoesNotMatter(t *testing.T) {
	s := New([]Definition{rate(t, "req")}, time.Second)
	a, _ := s.Open("req", []Label{{"a", "1"}, {"b", "2"}})
	b, _ := s.Open("req", []Label{{"b", "2"}, {"a", "1"}})
	c, _ := s.Open("req", []Label{{"a", "12"}, {"b", ""}})
	if a != b || a == c || a.String() != `req{a="1",b="2"}` {
		t.Errorf("%v, %v, %v", a, b, c)
	}
}

// A long window is remembered in few rows, and still gives the rate.
func TestLongWindowIsThin(t *testing.T) {
	d := rate(t, "req")
	d.Window = time.Hour
	b := newBench(t, d)
	got := ""
	for i := range 2 * 3600 {
		got = b.round(fmt.Sprintf("req %d", 7*i))
	}
	if rows := len(b.tallies[0].past.at); got != "7" || rows > 2*mostRows+2 {
		t.Errorf("rate %s from %d rows", got, rows)
	}
}

func TestRoundsAllocateNothing(t *testing.T) {
	s := New([]Definition{errorRate(t, 1), rate(t, "req"), quantiles(t, 0.99, 1), gauge(t, "depth", Sum)}, time.Second)
	var all []*Series
	for _, name := range []string{"req", "depth"} {
		for _, code := range []string{"200", "404", "500"} {
			sr, _ := s.Open(name, []Label{{"code", code}})
			all = append(all, sr)
		}
	}
	for _, le := range []string{"0.1", "1", "+Inf"} {
		sr, _ := s.Open("lat_bucket", []Label{{"le", le}})
		all = append(all, sr)
	}
	now, v := time.Duration(0), 0.0
	round := func() {
		now, v = now+time.Second, v+3
		for _, sr := range all {
			s.Put(sr, v)
		}
		s.End(now)
	}
	for range 10 {
		round()
	}
	if n := testing.AllocsPerRun(100, round); n > 0 {
		t.Errorf("%v allocations a round", n)
	}
	for i := range s.tallies {
		if !s.Figure(i).Known {
			t.Errorf("figure %d: %+v", i, s.Figure(i))
		}
	}
}
