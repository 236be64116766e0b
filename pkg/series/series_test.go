package series

import (
	"math"
	"slices"
	"testing"
	"time"

	"github.com/salveops/salve/pkg/signal"
)

const sec = time.Second

func polled(window time.Duration) Options {
	return Options{Dim: signal.Count, Every: sec, Window: window}
}

func event(window time.Duration) Options {
	return Options{Dim: signal.Count, Window: window, Event: true}
}

// fill makes a series with one sample a second, the first at 1 s. NaN is an unknown one.
func fill(o Options, vs ...float64) *Series {
	s := New().Open(Key{Signal: "x"}, o)
	for i, v := range vs {
		s.Set(time.Duration(i+1)*sec, v)
	}
	return s
}

func TestSetAndLast(t *testing.T) {
	s := fill(polled(0))
	if _, _, known := s.Last(); known {
		t.Fatal("an empty series knows a value")
	}
	s.Set(5*sec, 1)
	s.Set(4*sec, 2)
	if v, at, known := s.Last(); v != 1 || at != 5*sec || !known {
		t.Fatalf("a late sample was taken: %v at %v, %v", v, at, known)
	}
	s.Set(5*sec, 3)
	if v, _, _ := s.Last(); v != 3 || s.Since(0) != 1 {
		t.Fatalf("a sample of the same moment does not replace: %v, %d samples", v, s.Since(0))
	}
	for _, v := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
		s.Set(6*sec, v)
		if _, at, known := s.Last(); known || at != 6*sec {
			t.Fatalf("%v is known", v)
		}
	}
	s.Unknown(7 * sec)
	if _, known := s.Value(7 * sec); known {
		t.Fatal("an unknown value is known")
	}
}

func TestValueGoesStale(t *testing.T) {
	for _, c := range []struct {
		name string
		opt  Options
		now  time.Duration
		want bool
	}{
		{"three periods", Options{Every: 2 * sec}, 6 * sec, true},
		{"more than three", Options{Every: 2 * sec}, 6*sec + 1, false},
		{"a fast signal lasts 3 s", Options{Every: sec / 10}, 3 * sec, true},
		{"and no longer", Options{Every: sec / 10}, 3*sec + 1, false},
		{"an event holds", Options{Event: true}, 1000 * time.Hour, true},
	} {
		s := New().Open(Key{Signal: "x"}, c.opt)
		s.Set(0, 7)
		if _, known := s.Value(c.now); known != c.want {
			t.Errorf("%s: known is %v", c.name, known)
		}
		if s.Silent(c.now) == c.want {
			t.Errorf("%s: silent is %v", c.name, !c.want)
		}
	}
}

func TestSinceAndEvident(t *testing.T) {
	nan := math.NaN()
	s := fill(polled(10*sec), 1, 2, nan, 4, 5)
	for after, want := range map[time.Duration]int{0: 4, sec: 3, 2 * sec: 2, 3 * sec: 2, 4 * sec: 1, 5 * sec: 0} {
		if got := s.Since(after); got != want {
			t.Errorf("%d samples since %v, want %d", got, after, want)
		}
		if got, want := s.Evident(after), after == 0 || want >= Enough; got != want {
			t.Errorf("evident since %v: %v", after, got)
		}
	}
	e := fill(event(0), 1, nan)
	if e.Evident(sec) || !e.Evident(sec-1) {
		t.Error("an event series needs one known sample")
	}
}

// A sample that looks back speaks about an action only once all that it looks at lies after it.
func TestSpan(t *testing.T) {
	o := polled(10 * sec)
	o.Span = 3 * sec
	s := fill(o, 1, 2, 3, 4, 5, 6, 7)
	for after, want := range map[time.Duration]bool{0: true, sec: true, 2 * sec: false, 4 * sec: false} {
		if got := s.Evident(after); got != want {
			t.Errorf("evident since %v: %v", after, got)
		}
	}
	if !s.Speaks(3*sec, 1) || s.Speaks(4*sec, 1) {
		t.Error("the sample of 7 s speaks about what came after 3 s, and not about what came after 4 s")
	}
	if v, ok := s.Min(7*sec, 10*sec, sec); v != 5 || !ok {
		t.Errorf("the least since 1 s is %v, %v", v, ok)
	}
	if _, ok := s.Min(7*sec, 10*sec, 2*sec); ok {
		t.Error("two samples are too few for a window")
	}
	if n, _ := s.Count(8*sec, 10*sec, sec); n != 3 {
		t.Errorf("%v samples count since 1 s", n)
	}
	if v, ok := s.Newest(8*sec, 10*sec, 4*sec); ok {
		t.Errorf("the newest since 4 s is %v", v)
	}
}

func TestAnotherFigureBeginsAnew(t *testing.T) {
	st := New()
	k, o := Key{"metric.x", "shop"}, polled(10*sec)
	s := st.Open(k, o)
	for _, change := range []func(){func() { o.Dim = signal.Ratio }, func() { o.Span = 5 * sec }} {
		s.Set(sec, 5)
		change()
		if st.Open(k, o) != s || s.Since(0) != 0 || s.Dim() != o.Dim || !s.Silent(sec) {
			t.Errorf("as %+v it knows %d samples", s.opt, s.Since(0))
		}
	}
}

func TestAbsent(t *testing.T) {
	for _, c := range []struct {
		name       string
		s          *Series
		now, since time.Duration
		absent, ok bool
	}{
		{"nothing told yet", fill(polled(0)), 100 * sec, 0, false, false},
		{"known", fill(polled(0), 1), 2 * sec, 0, false, true},
		{"stale", fill(polled(0), 1), 20 * sec, 0, true, true},
		{"said to be unknown", fill(polled(0), math.NaN()), 1 * sec, 0, true, true},
		{"known after since", fill(polled(0), 1, 2), 2 * sec, 1 * sec, false, true},
		{"nothing after since yet", fill(polled(0), 1, 2), 3 * sec, 2 * sec, false, false},
		{"overdue after since", fill(polled(0), 1, 2), 6 * sec, 2 * sec, true, true},
		{"unknown after since", fill(polled(0), 1, math.NaN()), 3 * sec, 1 * sec, true, true},
		{"event, nothing after since", fill(event(0), 1), 99 * sec, 2 * sec, false, false},
	} {
		if absent, ok := c.s.Absent(c.now, c.since); absent != c.absent || ok != c.ok {
			t.Errorf("%s: %v, %v", c.name, absent, ok)
		}
	}
}

func TestStore(t *testing.T) {
	st := New()
	a := st.Open(Key{"unit.cpu", "b.service"}, Options{Dim: signal.Ratio, Every: sec, Window: 10 * sec})
	st.Open(Key{"unit.cpu", "a.service"}, Options{})
	st.Open(Key{"host.cpu.busy", ""}, Options{})
	if b := st.Open(Key{"unit.cpu", "b.service"}, Options{Dim: signal.Ratio, Every: 2 * sec, Window: 5 * sec}); b != a {
		t.Fatal("opening twice makes two series")
	}
	if a.Window() != 10*sec || a.Every() != 2*sec || a.Dim() != signal.Ratio || a.Event() {
		t.Errorf("opened again: %+v", a.opt)
	}
	var keys []string
	for k, s := range st.All() {
		if s.Key() != k || st.Lookup(k) != s {
			t.Errorf("%s has the series of %s", k, s.Key())
		}
		keys = append(keys, k.String())
	}
	want := []string{"host.cpu.busy", "unit.cpu{a.service}", "unit.cpu{b.service}"}
	if !slices.Equal(keys, want) {
		t.Errorf("keys are %q", keys)
	}
	st.Remove(Key{"unit.cpu", "a.service"})
	st.Remove(Key{"unit.cpu", "none"})
	if st.Lookup(Key{"unit.cpu", "a.service"}) != nil {
		t.Error("a removed series is still there")
	}
	for range st.All() {
		break // stopping early must not panic
	}
}

func TestIntern(t *testing.T) {
	st := New()
	up, down := st.Intern("active"), st.Intern("failed")
	if up == down || st.Intern("active") != up || st.Text(up) != "active" || st.Text(down) != "failed" {
		t.Errorf("words are %v %v", up, down)
	}
	for _, id := range []float64{-1, 2, 0.5, math.NaN(), math.Inf(1)} {
		if st.Text(id) != "" {
			t.Errorf("%v is the word %q", id, st.Text(id))
		}
	}
	s := st.Open(Key{Signal: "unit.state"}, Options{Dim: signal.Text, Event: true})
	if s.Format(down) != "failed" {
		t.Errorf("the state is shown as %q", s.Format(down))
	}
	if got := fill(Options{Dim: signal.Ratio}).Format(0.5); got != "50 %" {
		t.Errorf("a ratio is shown as %q", got)
	}
}
