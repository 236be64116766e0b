package series

import (
	"math"
	"testing"
	"time"
)

func TestRingGrowsOnlyAsFarAsItsWindow(t *testing.T) {
	s := fill(polled(0))
	for i := range 10_000 {
		s.Set(time.Duration(i)*sec, 1)
	}
	if len(s.ring.buf) != ringLeast {
		t.Errorf("without a window the ring has %d places", len(s.ring.buf))
	}
	s = fill(polled(100 * sec))
	for i := range 10_000 {
		s.Set(time.Duration(i)*sec, 1)
	}
	if len(s.ring.buf) != 128 {
		t.Errorf("for 100 samples the ring has %d places", len(s.ring.buf))
	}
}

// After a window was widened, as by a reload, the samples do not reach back over it yet.
func TestWiderWindowMustFillFirst(t *testing.T) {
	st := New()
	s := st.Open(Key{Signal: "x"}, polled(5*sec))
	now := time.Duration(0)
	for range 100 {
		now += sec
		s.Set(now, 1)
	}
	st.Open(Key{Signal: "x"}, polled(60*sec))
	if _, known := s.Avg(now, 60*sec, 0); known {
		t.Fatal("a minute is known after a ring of seconds")
	}
	if _, known := s.Avg(now, 5*sec, 0); !known {
		t.Fatal("the shorter window was lost")
	}
	for range 60 {
		now += sec
		s.Set(now, 1)
	}
	if _, known := s.Avg(now, 60*sec, 0); !known {
		t.Fatal("the wider window is not known after it was filled")
	}
}

// A storm of events must not make a rule blind: the ring loses detail but reaches back.
func TestStormKeepsTheReach(t *testing.T) {
	s := fill(event(600 * sec))
	s.Set(0, 0)
	now := time.Duration(0)
	for i := range 100_000 {
		now = time.Duration(i) * 10 * time.Millisecond
		s.Set(now, float64(i))
	}
	if len(s.ring.buf) != ringEvents {
		t.Errorf("the ring has %d places", len(s.ring.buf))
	}
	got, known := s.Increase(now, 600*sec, 0)
	if !known || math.Abs(got-60_000) > 600 {
		t.Errorf("60,000 events in ten minutes are counted as %v, known %v", got, known)
	}
}

func TestLimitIsBounded(t *testing.T) {
	for _, o := range []Options{
		{}, polled(6 * time.Hour), event(6 * time.Hour), {Every: time.Nanosecond, Window: 6 * time.Hour},
	} {
		if n := o.limit(); n < ringLeast || n > ringMost || n&(n-1) != 0 {
			t.Errorf("%+v: %d places", o, n)
		}
	}
}

// A gap is not forgotten earlier than the samples around it: what is known must not depend on when
// the ring happened to be full.
func TestLongGapIsNoNewBeginning(t *testing.T) {
	s := fill(polled(10 * sec))
	s.Set(1*sec, 1)
	now := 1 * sec
	for range 40 {
		now += sec
		s.Unknown(now)
	}
	now += sec
	s.Set(now, 5)
	if v, known := s.Avg(now, 10*sec, 0); v != 5 || !known {
		t.Errorf("%v, known %v", v, known)
	}
}

func TestNothingAllocates(t *testing.T) {
	s := fill(polled(300 * sec))
	now := time.Duration(0)
	step := func() {
		now += sec
		s.Set(now, float64(now%7))
	}
	for range 2000 {
		step()
	}
	funcs := map[string]func(){
		"Set":     step,
		"Unknown": func() { step(); s.Unknown(now) },
		"Value":   func() { s.Value(now) },
		"Since":   func() { s.Since(now - 20*sec) },
		"Evident": func() { s.Evident(now - 20*sec) },
		"Absent":  func() { s.Absent(now, 0) },
	}
	for name, f := range windows {
		funcs[name] = func() { f(s, now, 300*sec, 0) }
	}
	for name, f := range funcs {
		if n := testing.AllocsPerRun(100, f); n != 0 {
			t.Errorf("%s allocates %v times", name, n)
		}
	}
}

func BenchmarkSet(b *testing.B) {
	s := fill(polled(300 * sec))
	now := time.Duration(0)
	b.ReportAllocs()
	for b.Loop() {
		now += sec
		s.Set(now, 1)
	}
}

func BenchmarkWindow(b *testing.B) {
	for _, name := range []string{"avg", "max", "rate", "quantile", "predict"} {
		b.Run(name, func(b *testing.B) {
			s := fill(polled(300 * sec))
			now := time.Duration(0)
			for range 1000 {
				now += sec
				s.Set(now, float64(int64(now)*7919%1000))
			}
			b.ReportAllocs()
			for b.Loop() {
				windows[name](s, now, 300*sec, 0)
			}
		})
	}
}
