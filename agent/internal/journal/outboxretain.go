package journal

import (
	"fmt"

	"go.etcd.io/bbolt"

	"github.com/salveops/salve/pkg/clock"
	"github.com/salveops/salve/proto/logpb"
)

// seenParts is in how many steps what is acknowledged ages.
const seenParts = 24

// prune applies the retention of the outbox. It runs in the writer's goroutine.
func (o *Outbox) prune() {
	if o == nil {
		return
	}
	ops, gone, err := o.expired()
	if err == nil && len(ops) > 0 {
		err = o.j.write(ops)
		o.j.setHealth(err)
	}
	if err != nil {
		o.j.log.Warn("outbox not pruned", "error", err)
		return
	}
	o.mu.Lock()
	o.gone = max(o.gone, gone)
	o.mu.Unlock()
}

// expired lists what may go: acknowledged events after a day, or beyond what is kept of them, and beyond its
// bound the oldest lines of stories that nobody has yet. Alerts stay until they are acknowledged.
func (o *Outbox) expired() (ops []op, gone uint64, err error) {
	o.mu.Lock()
	now, acked, gone := clock.Now(o.j.clock), o.acked, o.gone
	for len(o.seen) > 0 && o.seen[0].At.Age(now) >= o.j.limits.OutboxKeep {
		gone, o.seen = max(gone, o.seen[0].N), o.seen[1:]
	}
	if over := o.j.limits.OutboxLines; acked > uint64(over) {
		gone = max(gone, acked-uint64(over))
	}
	o.gone = gone // before the disk: what is gone is handed out as saying nothing
	m := o.marks()
	o.mu.Unlock()
	ops, err = read(o.j, func(tx *bbolt.Tx) ([]op, error) { return o.leaveOut(tx, gone, acked) })
	if len(ops) > 0 {
		ops = append(ops, marksOp(m))
	}
	return ops, gone, err
}

// leaveOut finds the records to drop.
func (o *Outbox) leaveOut(tx *bbolt.Tx, gone, acked uint64) (ops []op, err error) {
	b := tx.Bucket([]byte(bucketOutbox))
	if b == nil {
		return nil, nil
	}
	var lines []*logpb.Event
	err = b.ForEach(func(k, v []byte) error {
		n, ok := numberOf(k)
		switch {
		case !ok:
		case n <= gone:
			ops = append(ops, drop(bucketOutbox, string(k)))
		case n > acked:
			ev, err := decodeEvent(k, v)
			if err != nil {
				return err
			}
			if thin(ev) {
				lines = append(lines, ev)
			}
		}
		return nil
	})
	if err != nil || len(lines) <= o.j.limits.OutboxLines {
		return ops, err
	}
	left := lines[:len(lines)-o.j.limits.OutboxLines/2]
	for _, ev := range left[:len(left)-1] {
		ops = append(ops, drop(bucketOutbox, numberKey(ev.GetN())))
	}
	last := left[len(left)-1]
	last.GetStory().Event.Text = fmt.Sprintf("%d lines of this host's stories before this one were left out: "+
		"nobody could be told for too long; %s", len(left)-1, last.GetStory().GetEvent().GetText())
	said, err := eventOp(last)
	return append(ops, said), err
}
