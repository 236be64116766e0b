package log

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestWindow(t *testing.T) {
	w := newWindow(3 * time.Second)
	w.advance(100)
	for _, step := range []struct {
		now, at int64
		n, want float64
	}{
		{100, 100, 3, 1},
		{101, 99, 3, 2},  // late
		{101, 98, 9, 2},  // too late
		{102, 200, 6, 3}, // its clock is ahead: 99 has gone, and 102 has 6
		{103, 103, 0, 2}, // 100 has gone
		{104, 104, 0, 2},
		{1000, 1000, 0, 0}, // a long sleep
		{1000, -1, 9, 0},   // before the machine started
		{1001, 1001, 1.5, .5},
	} {
		w.advance(step.now)
		w.add(step.at, step.n)
		if got := w.rate(); got != step.want {
			t.Errorf("%+v: %v", step, got)
		}
	}
}

// A window is what a list of all that was added says.
func TestWindowAgainstAList(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		length := rapid.Int64Range(1, 6).Draw(t, "length")
		w := newWindow(time.Duration(length) * time.Second)
		now := rapid.Int64Range(0, 10).Draw(t, "start")
		w.advance(now)
		added := map[int64]float64{}
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			now += rapid.Int64Range(0, 3).Draw(t, "pause")
			w.advance(now)
			at := now - rapid.Int64Range(0, 8).Draw(t, "age")
			if w.add(at, 1); at >= 0 && at > now-length {
				added[at]++
			}
			var want float64
			for s := now - length + 1; s <= now; s++ {
				want += added[s]
			}
			if got := w.rate() * float64(length); got < want-1e-9 || got > want+1e-9 {
				t.Fatalf("at %d: %v, want %v", now, got, want)
			}
		}
	})
}
