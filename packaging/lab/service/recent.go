package main

import (
	"sync"
	"time"
)

const (
	window    = 100             // how many requests the share of errors is taken over, at most
	horizon   = 5 * time.Second // older ones do not count
	minEvents = 20              // one failure in one request is not 100 %
	maxErrors = 0.05
)

// recent remembers how the last requests ended.
type recent struct {
	mu   sync.Mutex
	at   [window]time.Time
	bad  [window]bool
	next int
}

func (r *recent) add(now time.Time, failed bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.at[r.next], r.bad[r.next] = now, failed
	r.next = (r.next + 1) % window
}

// ratio is the share of failures among the n requests that still count.
func (r *recent) ratio(now time.Time) (share float64, n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	failed := 0
	for i, at := range r.at {
		if at.IsZero() || now.Sub(at) > horizon {
			continue
		}
		n++
		if r.bad[i] {
			failed++
		}
	}
	if n == 0 {
		return 0, 0
	}
	return float64(failed) / float64(n), n
}
