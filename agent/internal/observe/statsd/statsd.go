// Package statsd listens for lines of StatsD and DogStatsD over UDP and Unix datagrams, and tells the figures that the
// metric blocks of services make of them. Blocks of several services share an address, each line being offered to all.
package statsd

import (
	"context"
	"slices"
	"time"

	"github.com/salveops/salve/agent/internal/observe/source"
)

// Target is what one service sends. Nothing in it may be missing.
type Target struct {
	Service string
	Name    string
	Listen  string        // host:port, or unixgram:/path
	Every   time.Duration // between two figures
	Metrics []source.Metric
}

func (t Target) equal(o Target) bool {
	return t.Service == o.Service && t.Name == o.Name && t.Listen == o.Listen && t.Every == o.Every &&
		slices.EqualFunc(t.Metrics, o.Metrics, source.Metric.Equal)
}

// Watcher listens for all services.
type Watcher = source.Group[Target]

// New makes a watcher for nobody.
func New(o source.Options) *Watcher {
	r := newReceiver(o)
	return source.NewGroup(func(t Target) source.Member[Target] { return newBlock(r, t) })
}

// block is one target with the figures of it.
type block struct {
	*receiver
	target  Target
	meter   source.Meter
	handles []*source.Handle // of the metrics
	table   *table
	door    *door // nil: its address could not be opened
}

func newBlock(r *receiver, t Target) *block {
	b := &block{
		receiver: r, target: t, handles: r.opt.Book.Metrics(t.Metrics, t.Service), table: newTable(t.Metrics, t.Every),
	}
	b.meter.Name = "statsd." + t.Name + "{" + t.Service + "}"
	return b
}

// Watches implements source.Member.
func (b *block) Watches(t Target) bool { return b.target.equal(t) }

// Stats implements source.Member.
func (b *block) Stats() source.Stats { return b.meter.Stats() }

// Run delivers figures at each moment of the schedule.
func (b *block) Run(ctx context.Context) {
	_ = b.enter(ctx, b) // another process may have the address; it is told from the first round on
	b.opt.Each(ctx, b.target.Service+"\x00"+b.target.Name, b.target.Every, b.round)
	b.leave(b)
	b.opt.Unknown(b.handles)
}

// round ends a round, and tells how it went.
func (b *block) round(ctx context.Context) {
	if b.door == nil {
		if err := b.enter(ctx, b); err != nil {
			b.record(b.opt.Clock.Now().Boot, 0, err)
			b.opt.Unknown(b.handles)
			return
		}
	}
	now, batch := b.opt.Clock.Now().Boot, b.opt.Book.Batch()
	read, err := b.door.end(b.table, now)
	for i, f := range b.table.told {
		batch.Figure(b.handles[i], now, f)
	}
	b.opt.Deliver(batch)
	b.record(now, read+b.opt.Clock.Now().Boot-now, err)
}

// record notes a round, and writes the one line for a source that begins to fail or works again.
func (b *block) record(now, took time.Duration, err error) {
	if !b.meter.Record(now, took, err) {
		return
	}
	if err != nil {
		b.opt.Log.Warn("metrics cannot be read", "service", b.target.Service, "statsd", b.target.Name, "error", err)
		return
	}
	b.opt.Log.Info("metrics can be read again", "service", b.target.Service, "statsd", b.target.Name)
}
