package source

import (
	"context"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/salveops/salve/agent/internal/observe/schedule"
	"github.com/salveops/salve/pkg/clock"
)

// Options are what a source needs that has a schedule of its own. Only Grid may be missing.
type Options struct {
	Clock   clock.Clock
	Log     hclog.Logger
	Book    *Book
	Grid    schedule.Grid
	Deliver func(*Batch) // called from the source's goroutines
}

// Named is the same with a log of that name.
func (o Options) Named(name string) Options {
	o.Log = o.Log.Named(name)
	return o
}

// soon is how long the first of many times waits at most.
const soon = time.Second

// Each calls once at each moment of a schedule until ctx ends. The key spreads those of one period.
func (o Options) Each(ctx context.Context, key string, every time.Duration, once func(context.Context)) {
	offset, first := o.Grid.Offset(key, every), min(every, soon)
	now := o.Clock.Now().Boot
	timer := time.NewTimer(o.Grid.Next(now, first, offset%first) - now)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		once(ctx)
		now := o.Clock.Now().Boot
		timer.Reset(o.Grid.Next(now, every, offset) - now)
	}
}

// Unknown delivers that nothing is known of some signals any more.
func (o Options) Unknown(handles []*Handle) {
	now, b := o.Clock.Now().Boot, o.Book.Batch()
	for _, h := range handles {
		b.Unknown(h, now)
	}
	o.Deliver(b)
}
