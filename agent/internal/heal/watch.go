package heal

import (
	"context"
	"errors"

	"github.com/salveops/salve/agent/internal/local"
)

const (
	recentEvents = 1000 // timeline events kept for a watcher's replay
	watcherQueue = 256  // events a watcher may lag behind before it is cut off
)

// errSlow cuts off a watcher that does not read.
var errSlow = errors.New("receiver too slow: events would be lost")

// watchers hands timeline events to those who watch. The engine's goroutine owns it.
type watchers struct {
	recent []local.Event // ring, oldest first once full
	next   int
	open   map[chan local.Event]struct{}
}

func newWatchers() *watchers {
	return &watchers{open: make(map[chan local.Event]struct{})}
}

// publish never blocks: who lags behind too far is cut off by closing the channel.
func (w *watchers) publish(ev local.Event) {
	if len(w.recent) < recentEvents {
		w.recent = append(w.recent, ev)
	} else {
		w.recent[w.next] = ev
		w.next = (w.next + 1) % recentEvents
	}
	for ch := range w.open {
		select {
		case ch <- ev:
		default:
			delete(w.open, ch)
			close(ch)
		}
	}
}

// subscribe returns the last n events and a channel of all that follow.
func (w *watchers) subscribe(n int) ([]local.Event, chan local.Event) {
	ordered := append(append([]local.Event(nil), w.recent[w.next:]...), w.recent[:w.next]...)
	ordered = ordered[max(0, len(ordered)-n):]
	ch := make(chan local.Event, watcherQueue)
	w.open[ch] = struct{}{}
	return ordered, ch
}

func (w *watchers) unsubscribe(ch chan local.Event) {
	if _, open := w.open[ch]; open {
		delete(w.open, ch)
		close(ch)
	}
}

// Watch sends the last replay events and then every new one.
func (e *Engine) Watch(ctx context.Context, replay int, send func(local.Event) error) error {
	var past []local.Event
	var ch chan local.Event
	if err := e.call(ctx, func() { past, ch = e.watchers.subscribe(replay) }); err != nil {
		return err
	}
	defer e.post(func() { e.watchers.unsubscribe(ch) })
	for _, ev := range past {
		if err := send(ev); err != nil {
			return err
		}
	}
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-e.done:
			return ErrStopped
		case ev, open := <-ch:
			if !open {
				return errSlow
			}
			if err := send(ev); err != nil {
				return err
			}
		}
	}
}
