package journal

import (
	"context"
	"time"

	"go.etcd.io/bbolt"

	"github.com/salveops/salve/pkg/clock"
	"github.com/salveops/salve/proto/logpb"
)

// flushWait bounds how long Read waits for the disk before it hands out what is in memory only.
const flushWait = 2 * time.Second

// Read returns the events after a number, in order and without gaps, at most so many; none is no error. They
// come from the disk: what was never durable could get another number after a crash. But if the disk takes
// nothing they are handed out all the same: alerts must not wait for a disk, and an agent that then forgets
// them is one whose journal went back in time, which the controller notices.
func (o *Outbox) Read(ctx context.Context, after uint64, most int) ([]*logpb.Event, error) {
	ctx, cancel := context.WithTimeout(ctx, flushWait)
	defer cancel()
	err := o.j.Flush(ctx)
	o.mu.Lock()
	durable, gone := o.durable, o.gone
	o.mu.Unlock()
	switch {
	case after < durable:
		return o.stored(after, min(durable, after+uint64(most)), gone)
	case err != nil:
		return o.unstored(after, most), nil
	}
	return nil, nil
}

// unstored are events that are in memory only.
func (o *Outbox) unstored(after uint64, most int) []*logpb.Event {
	o.mu.Lock()
	defer o.mu.Unlock()
	var out []*logpb.Event
	next := after + 1
	for _, ev := range o.tail {
		for ; next < ev.GetN() && len(out) < most; next++ {
			out = append(out, &logpb.Event{N: next})
		}
		if next == ev.GetN() && len(out) < most {
			out = append(out, ev)
			next++
		}
	}
	return out
}

// stored reads the events after a number up to another one, with one that says nothing in the place of each
// that is missing.
func (o *Outbox) stored(after, last, gone uint64) ([]*logpb.Event, error) {
	return read(o.j, func(tx *bbolt.Tx) (out []*logpb.Event, err error) {
		next := after + 1
		empty := func(until uint64) {
			for ; next < until; next++ {
				out = append(out, &logpb.Event{N: next})
			}
		}
		empty(min(last, gone) + 1)
		b := tx.Bucket([]byte(bucketOutbox))
		if b == nil {
			empty(last + 1)
			return out, nil
		}
		c := b.Cursor()
		for k, v := c.Seek([]byte(numberKey(next))); next <= last; k, v = c.Next() {
			n, ok := numberOf(k)
			if !ok || n > last {
				empty(last + 1)
				break
			}
			ev, err := decodeEvent(k, v)
			if err != nil {
				return nil, err
			}
			empty(n)
			out = append(out, ev)
			next++
		}
		return out, nil
	})
}

// Ack notes that the controller has every event of the stream up to n.
func (o *Outbox) Ack(stream string, n uint64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if stream != o.stream || n <= o.acked || n >= o.next {
		return
	}
	o.acked = n
	now := clock.Now(o.j.clock)
	if len(o.seen) == 0 || o.seen[len(o.seen)-1].At.Age(now) >= o.j.limits.OutboxKeep/seenParts {
		o.seen = append(o.seen, seen{n, now})
	}
	if err := o.j.enqueue(marksOp(o.marks())); err != nil {
		o.j.log.Warn("acknowledgement not journaled; the events will be offered again", "error", err)
	}
}
