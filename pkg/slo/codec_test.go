package slo

import (
	"bytes"
	"encoding/binary"
	"math"
	"testing"
	"time"
)

// reborn is the tracker after a restart of the host.
func reborn(t *testing.T, x *Tracker) *Tracker {
	t.Helper()
	b, err := x.AppendBinary([]byte("before"))
	if err != nil || len(b) != len("before")+Size {
		t.Fatalf("%d bytes, %v", len(b), err)
	}
	n := new(Tracker)
	if err := n.UnmarshalBinary(b[len("before"):]); err != nil {
		t.Fatal(err)
	}
	return n
}

// TestCountSurvives: the time between is a gap, however long it took and whatever clocks say.
func TestCountSurvives(t *testing.T) {
	x := fresh(0.9, 24*time.Hour)
	now := course(x, boot, 20*time.Hour, 0, 1)
	course(x, now, 72*time.Minute, 1, 1)
	x = reborn(t, x)
	x.Resume(time.Minute, 5*time.Minute)
	now = course(x, time.Minute, 10*time.Minute, 0, 1)
	got, known := x.Budget()
	near(t, "as before", 1-72*60./(20*3600+72*60+10*60-1)/0.1, got, known)
	if b := x.recent.sum(&reach{over: Fast}); b.known != 55*time.Minute-time.Second {
		t.Errorf("of the hour %s is known", b.known)
	}

	x = reborn(t, x)
	x.Resume(now, -time.Hour) // a clock that was set back
	course(x, now, 10*time.Minute, 0, 1)
	if b := x.recent.sum(&reach{over: Fast}); b.known != 55*time.Minute-2*time.Second {
		t.Errorf("after a restart in no time %s of the hour is known", b.known)
	}

	x = reborn(t, x)
	x.Resume(now, math.MaxInt64)
	course(x, now, 13*time.Hour, 0, 1)
	got, known = x.Budget()
	near(t, "what is older than the window is forgiven", 1, got, known)
}

func TestSpentSurvives(t *testing.T) {
	x := fresh(0.99, 24*time.Hour)
	course(x, boot, 15*time.Minute, 1, 1)
	x = reborn(t, x)
	x.Resume(0, 48*time.Hour)
	now := course(x, 0, 11*time.Hour, 0, 1)
	if !x.Spent() {
		t.Error("two days of which nothing is known are a recovery")
	}
	course(x, now, 2*time.Hour, 0, 1)
	if x.Spent() {
		t.Error("a budget that is known to be there is spent")
	}
}

func TestDamagedTracker(t *testing.T) {
	x := fresh(0.99, 24*time.Hour)
	course(x, boot, time.Minute, 0.5, 1)
	good, _ := x.AppendBinary(nil)
	put := func(at int, v uint64) func([]byte) []byte {
		return func(b []byte) []byte {
			binary.LittleEndian.PutUint64(b[at:], v)
			return b
		}
	}
	for name, spoil := range map[string]func([]byte) []byte{
		"cut":               func(b []byte) []byte { return b[:len(b)-1] },
		"version":           func(b []byte) []byte { b[0]++; return b },
		"objective":         put(1, math.Float64bits(math.NaN())),
		"nothing allowed":   put(1, 0),
		"no window":         put(9, 0),
		"endless":           put(9, math.MaxInt64),
		"the past":          put(17, math.MaxUint64),
		"more bad than all": put(26, math.Float64bits(1e9)),
		"infinite":          put(34, math.Float64bits(math.Inf(1))),
		"more than a step":  put(42, uint64(2*time.Minute)),
	} {
		was := *x
		if err := x.UnmarshalBinary(spoil(bytes.Clone(good))); err == nil {
			t.Errorf("%s: taken", name)
		}
		if x.last != was.last || x.allowed != was.allowed {
			t.Errorf("%s: it has changed", name)
		}
	}
}

// FuzzUnmarshal: whatever is taken can be observed with, and is written as the same bytes again.
func FuzzUnmarshal(f *testing.F) {
	x := fresh(0.999, 720*time.Hour)
	for i := range 100 {
		x.Observe(boot+time.Duration(i)*time.Minute, 0.01, float64(i))
	}
	good, _ := x.AppendBinary(nil)
	f.Add(good[:40], 0, int64(0), int64(time.Hour))
	f.Add(good[1:9], 9, int64(math.MaxInt64), int64(math.MinInt64))
	f.Add([]byte{1}, 25, int64(math.MinInt64), int64(math.MaxInt64))
	f.Fuzz(func(t *testing.T, part []byte, at int, now, away int64) {
		b := bytes.Clone(good)
		copy(b[min(max(0, at), len(b)):], part)
		x := new(Tracker)
		if x.UnmarshalBinary(b) != nil {
			return
		}
		if again, _ := x.AppendBinary(nil); !bytes.Equal(again, b) {
			t.Error("other bytes come out")
		}
		start := time.Duration(max(0, now) >> 3)
		x.Resume(start, time.Duration(away))
		for i := range 100 {
			x.Observe(start+time.Duration(i)*time.Minute, 0.5, 1)
		}
		if left, known := x.Budget(); known && (math.IsNaN(left) || math.IsInf(left, 0)) {
			t.Errorf("budget %v", left)
		}
	})
}
