// Package otlp receives metrics as OpenTelemetry's SDKs and collectors send them, over gRPC and HTTP, and tells the
// figures that the metric blocks of services make of them. Blocks of several services share an address.
package otlp

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/salveops/salve/agent/internal/observe/source"
)

// Target is what one service sends. Nothing in it may be missing but one of the addresses.
type Target struct {
	Service string
	Name    string
	GRPC    string        // host:port, or "" for none
	HTTP    string        // likewise
	Sender  string        // glob of the service.name of who sends
	Every   time.Duration // how often it does
	Metrics []source.Metric
}

func (t Target) equal(o Target) bool {
	return t.Service == o.Service && t.Name == o.Name && t.GRPC == o.GRPC && t.HTTP == o.HTTP && t.Sender == o.Sender &&
		t.Every == o.Every && slices.EqualFunc(t.Metrics, o.Metrics, source.Metric.Equal)
}

// Watcher receives for all services.
type Watcher struct {
	*source.Group[Target]
	receiver *receiver
}

// New makes a watcher for nobody.
func New(o source.Options) *Watcher {
	r := newReceiver(o)
	return &Watcher{source.NewGroup(func(t Target) source.Member[Target] { return newBlock(r, t) }), r}
}

// Stats are those of the services, and then those of the addresses.
func (w *Watcher) Stats() []source.Stats { return append(w.Group.Stats(), w.receiver.Stats()...) }

// pause is the least time between two rounds of a block.
const pause = 100 * time.Millisecond

// block is one target with the figures of it.
type block struct {
	*receiver
	target  Target
	meter   source.Meter
	handles []*source.Handle // of the metrics
	table   *table
	places  map[place]bool // where it could not enter: false
	told    chan struct{}  // something came
}

func newBlock(r *receiver, t Target) *block {
	b := &block{receiver: r, target: t, handles: r.opt.Book.Metrics(t.Metrics, t.Service), places: map[place]bool{},
		told: make(chan struct{}, 1), table: newTable(t.Metrics, t.Every, r.opt.Clock.Now())}
	b.meter.Name = "otlp." + t.Name + "{" + t.Service + "}"
	for address, http := range map[string]bool{t.GRPC: false, t.HTTP: true} {
		if address != "" {
			b.places[place{http, address}] = false
		}
	}
	return b
}

// Watches implements source.Member.
func (b *block) Watches(t Target) bool { return b.target.equal(t) }

// Stats implements source.Member.
func (b *block) Stats() source.Stats {
	s := b.meter.Stats()
	b.mu.Lock()
	defer b.mu.Unlock()
	s.Points = b.table.results()
	return s
}

// tell wakes the block up.
func (b *block) tell() {
	select {
	case b.told <- struct{}{}:
	default:
	}
}

// Run delivers figures when something came, and otherwise that nothing did.
func (b *block) Run(ctx context.Context) {
	defer b.close()
	timer := time.NewTimer(b.target.Every)
	defer timer.Stop()
	for {
		failed := b.open(ctx)
		select {
		case <-ctx.Done():
			b.opt.Unknown(b.handles)
			return
		case <-b.told:
		case <-timer.C:
		}
		timer.Reset(b.target.Every)
		b.round(failed)
		select { // what comes meanwhile is one round
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
}

// open enters the places in which the block is not yet.
func (b *block) open(ctx context.Context) (failed error) {
	for at, entered := range b.places {
		if entered {
			continue
		}
		if err := b.enter(ctx, at, b); err != nil {
			failed = err
			continue
		}
		b.places[at] = true
	}
	return failed
}

func (b *block) close() {
	for at, entered := range b.places {
		if entered {
			b.leave(at, b)
		}
	}
}

// round ends a round if something came, and tells how it went.
func (b *block) round(failed error) {
	now := b.opt.Clock.Now().Boot
	batch := b.opt.Book.Batch()
	b.mu.Lock()
	err := b.end(now, batch)
	b.mu.Unlock()
	if len(batch.Samples) > 0 {
		b.opt.Deliver(batch)
	} else {
		batch.Release()
	}
	if failed != nil {
		err = failed
	}
	took := b.opt.Clock.Now().Boot - now
	if !b.meter.Record(now, took, err) {
		return
	}
	if err != nil {
		b.opt.Log.Warn("metrics cannot be read", "service", b.target.Service, "otlp", b.target.Name, "error", err)
		return
	}
	b.opt.Log.Info("metrics can be read again", "service", b.target.Service, "otlp", b.target.Name)
}

// end writes the figures of a round into the batch, and returns what the operator should know.
func (b *block) end(now time.Duration, batch *source.Batch) error {
	t := b.table
	if !t.fresh {
		if now-t.told <= t.stale {
			return t.complaint(now)
		}
		for _, h := range b.handles {
			batch.Unknown(h, now)
		}
		return b.silence(now)
	}
	at := t.end(now)
	err := t.complaint(now)
	for i, h := range b.handles {
		f := t.figure(i)
		batch.Figure(h, at, f)
		if err == nil && f.Fault != nil && now-t.begun > t.stale {
			err = fmt.Errorf("metric %s: %w", b.target.Metrics[i].Name, f.Fault)
		}
	}
	return err
}

// silence says what is known of why nothing comes.
func (b *block) silence(now time.Duration) error {
	if err := b.table.complaint(now); err != nil {
		return err
	}
	err := fmt.Errorf("no points of a metric came from service.name %q for %s", b.target.Sender,
		(now - b.table.told).Truncate(time.Second))
	for _, d := range b.doors {
		if d.stranger != "" && slices.Contains(d.blocks, b) {
			err = fmt.Errorf("%w; there is a service.name %q for which there is no block", err, d.stranger)
		}
	}
	return err
}
