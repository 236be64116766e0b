package main

import (
	"context"
	"fmt"
	"sync"
)

// feed keeps what comes in one after another, for those who wait for some of it.
type feed[E any] struct {
	mu     sync.Mutex
	events []E
	news   chan struct{} // closed and replaced at every event and at the end; nil: nobody waits
	err    error         // why nothing comes any more
}

func (f *feed[E]) add(e E) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.events = append(f.events, e)
	f.wake()
}

// fail ends the feed: whoever waits hears why.
func (f *feed[E]) fail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.err = err
	f.wake()
}

func (f *feed[E]) wake() {
	if f.news != nil {
		close(f.news)
		f.news = nil
	}
}

// clear forgets what came.
func (f *feed[E]) clear() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.events = nil
}

// all is what came, in its order.
func (f *feed[E]) all() []E {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.events[:len(f.events):len(f.events)]
}

// await waits for one that pleases ok; it may have come already.
func (f *feed[E]) await(ctx context.Context, what string, ok func(E) bool) (E, error) {
	var none E
	for seen := 0; ; {
		f.mu.Lock()
		events, err := f.events, f.err
		if f.news == nil {
			f.news = make(chan struct{})
		}
		news := f.news
		f.mu.Unlock()
		for ; seen < len(events); seen++ {
			if ok(events[seen]) {
				return events[seen], nil
			}
		}
		if err != nil {
			return none, err
		}
		select {
		case <-news:
		case <-ctx.Done():
			return none, fmt.Errorf("no %s in time: %w", what, ctx.Err())
		}
	}
}
