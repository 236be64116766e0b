package slo

import "time"

// bucket is what was counted in one step of time.
type bucket struct {
	bad, all float64       // weights
	known    time.Duration // how much of the step was observed
}

// ring holds the buckets of the newest steps; a step that nobody observed is empty.
type ring struct {
	step    time.Duration
	buckets []bucket
	at      int64 // number of the newest step; the first began at 0
}

// add brings the ring up to now, and adds to the newest step.
func (r *ring) add(now time.Duration, b bucket) {
	n := int64(len(r.buckets))
	at := int64(now / r.step)
	for i := max(r.at+1, at-n+1); i <= at; i++ {
		r.buckets[i%n] = bucket{}
	}
	r.at = at
	newest := &r.buckets[at%n]
	newest.bad, newest.all, newest.known = newest.bad+b.bad, newest.all+b.all, newest.known+b.known
}

// sum is what was counted in the last steps, the present one included, that make up the time.
func (r *ring) sum(over time.Duration) (all bucket) {
	i := int(r.at % int64(len(r.buckets)))
	for range over / r.step {
		b := &r.buckets[i]
		all.bad, all.all, all.known = all.bad+b.bad, all.all+b.all, all.known+b.known
		if i--; i < 0 { // before the first step there are empty ones
			i = len(r.buckets) - 1
		}
	}
	return all
}
