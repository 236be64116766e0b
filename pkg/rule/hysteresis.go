package rule

import (
	"time"

	"github.com/salveops/salve/pkg/defaults"
	"github.com/salveops/salve/pkg/expr"
)

// stopwatch adds up the time for which a condition was seen to hold. It counts from one look to the
// next if the condition held at both; it starts anew when the condition does not hold, and stands
// still while that is not known.
type stopwatch struct {
	held time.Duration
	at   time.Duration // of the look before
	on   bool          // it held at the look before
}

// look takes the condition as it is now and reports whether it has held for long enough.
func (w *stopwatch) look(now time.Duration, t expr.Truth, enough time.Duration) bool {
	if t == expr.True && w.on {
		w.held += max(0, now-w.at)
	}
	if t == expr.False {
		w.held = 0
	}
	w.on, w.at = t == expr.True, now
	return w.on && w.held >= enough
}

// pause makes it stand still until the next look.
func (w *stopwatch) pause() { w.on = false }

func (w *stopwatch) reset() { *w = stopwatch{} }

const (
	// flapFull is how many changes of state within defaults.FlappingWindow are a share of 1: one every
	// half a minute.
	flapFull = 20
	flapMany = int(flapFull * defaults.FlappingShare) // flapping begins
	flapFew  = flapMany / 2                           // and ends, so that it does not flap itself
)

// flaps remembers when the alert last fired or resolved. What flaps is decided by the changes of the
// whole window, so that neither one good sample nor one resolve forgets the others.
type flaps struct {
	changes [flapMany]time.Duration // ring, newest at next-1
	n, next int
}

// mark records a change.
func (f *flaps) mark(now time.Duration) {
	f.changes[f.next] = now
	f.next = (f.next + 1) % flapMany
	f.n = min(f.n+1, flapMany)
}

// recent counts the changes within the window, up to flapMany.
func (f *flaps) recent(now time.Duration) int {
	n := 0
	for _, at := range f.changes[:f.n] {
		if now-at < defaults.FlappingWindow {
			n++
		}
	}
	return n
}
