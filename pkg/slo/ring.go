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
	r.buckets[at%n].add(b)
}

// reach is how far back a sum goes. It remembers what lies before the newest step, which changes once in a step.
type reach struct {
	over  time.Duration
	at    int64  // of the ring, when it was added up
	older bucket // the steps before the newest
	set   bool
}

// sum is what was counted in the last steps, the present one included, that make up the time.
func (r *ring) sum(w *reach) bucket {
	n := int64(len(r.buckets))
	if !w.set || w.at != r.at {
		*w = reach{over: w.over, at: r.at, set: true}
		for i := range int64(w.over/r.step) - 1 {
			w.older.add(r.buckets[((r.at-1-i)%n+n)%n]) // before the first step there are empty ones
		}
	}
	all := w.older
	all.add(r.buckets[(r.at%n+n)%n])
	return all
}

func (b *bucket) add(o bucket) { b.bad, b.all, b.known = b.bad+o.bad, b.all+o.all, b.known+o.known }
