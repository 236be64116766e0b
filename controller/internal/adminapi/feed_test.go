package adminapi

import (
	"testing"
	"testing/synctest"

	"github.com/salveops/salve/controller/internal/state"
	"github.com/salveops/salve/proto/logpb"
)

// quiet is a store in which nothing happens until news comes.
type quiet struct {
	s       *state.State
	changed chan struct{}
}

func (q *quiet) View(f func(*state.State)) { f(q.s) }

func (q *quiet) Changed() <-chan struct{} { return q.changed }

// Whoever looks for new lines goes when the last one leaves, also when nothing changes any more, and comes back with
// the next one.
func TestFeedIsDeserted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := &quiet{s: state.New(), changed: make(chan struct{})}
		f := &feed{store: q, stop: make(chan struct{})}
		running := func() bool {
			synctest.Wait()
			f.mu.Lock()
			defer f.mu.Unlock()
			return f.running
		}
		for range 2 {
			one, _ := f.join("", 0)
			other, _ := f.join("", 0)
			f.leave(one)
			f.leave(one)
			if !running() {
				t.Error("nobody looks, and one watches")
			}
			f.leave(other)
			if running() {
				t.Error("somebody looks, and nobody watches")
			}
		}
		// One that does not keep up is taken out, and its stream ends a moment later.
		slow, _ := f.join("", 0)
		for range feedBuffer + 1 {
			f.mu.Lock()
			f.hand(lines(&logpb.Incident{}, []*logpb.TimelineEvent{{}}))
			f.mu.Unlock()
		}
		<-slow.slow
		f.leave(slow)
		if running() {
			t.Error("somebody looks, and the only one was too slow")
		}
	})
}
