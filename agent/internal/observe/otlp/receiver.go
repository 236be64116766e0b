package otlp

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"

	"golang.org/x/net/netutil"

	"github.com/salveops/salve/agent/internal/observe/source"
	"github.com/salveops/salve/pkg/clock"
	"github.com/salveops/salve/pkg/glob"
	"github.com/salveops/salve/pkg/otlp"
)

// Bounds of what comes, of all blocks together.
const (
	maxRequest = 4 << 20 // bytes of one request, when it is not compressed any more
	maxPoints  = 100_000 // of one request
	maxReaders = 2       // requests that are in memory at once
	maxConns   = 64      // of one address
	maxWait    = 2 * time.Second
	maxReading = 5 * time.Second // until all of a request is there; its sender may be ill
)

// receiver has the addresses on which requests come. Blocks with the same address share it.
type receiver struct {
	opt     source.Options
	readers chan struct{} // a place for each

	mu    sync.Mutex // also of all tables
	doors map[place]*door
}

// place is an address, and which form of the protocol is spoken there.
type place struct {
	http    bool
	address string
}

func newReceiver(o source.Options) *receiver {
	return &receiver{opt: o, readers: make(chan struct{}, maxReaders), doors: map[place]*door{}}
}

// door is a place that is open.
type door struct {
	*receiver
	blocks   []*block
	stop     func() // and wait until it has
	meter    source.Meter
	stranger string // service.name of the last sender for whom there is no block
	point    otlp.Point
}

// enter opens a place for a block, or lets it share one that is open.
func (r *receiver) enter(ctx context.Context, at place, b *block) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	d := r.doors[at]
	if d == nil {
		l, err := new(net.ListenConfig).Listen(ctx, "tcp", at.address)
		if err != nil {
			return fmt.Errorf("listen: %w", err)
		}
		d = &door{receiver: r, meter: source.Meter{Name: "otlp." + at.address}}
		serve := d.serveGRPC
		if at.http {
			serve = d.serveHTTP
		}
		d.stop = serve(netutil.LimitListener(l, maxConns))
		r.doors[at] = d
	}
	d.blocks = append(d.blocks, b)
	return nil
}

// leave closes the place that a block is the last to leave.
func (r *receiver) leave(at place, b *block) {
	r.mu.Lock()
	d := r.doors[at]
	d.blocks = slices.DeleteFunc(d.blocks, func(o *block) bool { return o == b })
	last := len(d.blocks) == 0
	if last {
		delete(r.doors, at)
	}
	r.mu.Unlock()
	if last {
		d.stop()
	}
}

// Stats are those of the places.
func (r *receiver) Stats() (stats []source.Stats) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, d := range r.doors {
		stats = append(stats, d.meter.Stats())
	}
	slices.SortFunc(stats, func(a, b source.Stats) int { return cmp.Compare(a.Name, b.Name) })
	return stats
}

// outcome is what became of a request that was read.
type outcome struct {
	rejected int   // points
	why      error // of one of them
}

// receive waits until there is room for a request, reads it, and takes what is in it.
func (d *door) receive(ctx context.Context, read func() ([]byte, error)) (outcome, error) {
	start := d.opt.Clock.Now().Boot
	got, err := d.wait(ctx, read)
	now := d.opt.Clock.Now().Boot
	d.mu.Lock()
	defer d.mu.Unlock()
	d.meter.Record(now, now-start, err)
	return got, err
}

func (d *door) wait(ctx context.Context, read func() ([]byte, error)) (outcome, error) {
	timer := time.NewTimer(maxWait)
	defer timer.Stop()
	select {
	case d.readers <- struct{}{}:
	case <-ctx.Done():
		return outcome{}, ctx.Err()
	case <-timer.C:
		return outcome{}, errBusy
	}
	defer func() { <-d.readers }()
	request, err := read()
	if err != nil {
		return outcome{}, err
	}
	return d.take(request)
}

// take takes the points of a request, all that are good.
func (d *door) take(request []byte) (got outcome, err error) {
	switch n, err := otlp.Check(request); {
	case err != nil:
		return got, errRequest
	case n > maxPoints:
		return got, errPoints
	}
	at := d.opt.Clock.Now()
	d.mu.Lock()
	defer d.mu.Unlock()
	for r := range otlp.Resources(request) {
		name := r.Attributes.Find("service.name")
		var readers []*reader
		for _, b := range d.blocks {
			if glob.Match(b.target.Sender, name) {
				b.table.prepare(at)
				readers = append(readers, &reader{block: b, sender: b.table.set(r.Attributes)})
			}
		}
		if readers == nil {
			d.stranger = name
			continue
		}
		for m := range r.Metrics() {
			d.add(at, &r, &m, readers, &got)
		}
	}
	return got, nil
}

// reader is a block that points of a sender are for.
type reader struct {
	*block
	sender uint64
	of     *origin // the metric that is being read; nil: nothing is made of it
}

// add gives the points of a metric to those who want them.
func (d *door) add(at clock.Instant, r *otlp.Resource, m *otlp.Metric, readers []*reader, got *outcome) {
	wanted := false
	for _, b := range readers {
		b.of = b.table.origin(b.sender, r, m)
		wanted = wanted || b.of != nil
	}
	if !wanted {
		return
	}
	for unread := range m.Points(&d.point) {
		var refused error
		for _, b := range readers {
			if b.of == nil {
				continue
			}
			err := unread
			if err == nil {
				err = b.table.take(at, b.of, &d.point)
			}
			if err != nil {
				b.table.refuse(at, m, err)
				refused = err
			}
		}
		if refused != nil {
			got.rejected++
			got.why = fmt.Errorf("%.100s: %w", m.Name, refused)
		}
	}
	for _, b := range readers {
		b.tell()
	}
}
