package log

import "time"

// window adds up what happened within the last seconds.
type window struct {
	slots []float64 // by second, modulo its length
	last  int64     // the newest second
}

func newWindow(length time.Duration) window {
	return window{slots: make([]float64, max(1, length/time.Second))}
}

// second is the one that a moment (a Boot time) belongs to.
func second(at time.Duration) int64 { return int64(at / time.Second) }

// advance makes now the newest second.
func (w *window) advance(now int64) {
	if now-w.last >= int64(len(w.slots)) {
		clear(w.slots)
		w.last = now
	}
	for w.last < now {
		w.last++
		w.slots[w.last%int64(len(w.slots))] = 0
	}
}

// add counts n at a second. What is older than the window is left out, and what is from before the machine started;
// what seems to come from the future is of now.
func (w *window) add(at int64, n float64) {
	at = min(at, w.last)
	if at >= 0 && w.last-at < int64(len(w.slots)) {
		w.slots[at%int64(len(w.slots))] += n
	}
}

// rate is what happened in a second, on average.
func (w *window) rate() float64 {
	var sum float64
	for _, n := range w.slots {
		sum += n
	}
	return sum / float64(len(w.slots))
}
