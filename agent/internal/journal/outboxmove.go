package journal

import (
	"fmt"

	"google.golang.org/protobuf/proto"

	"github.com/salveops/salve/proto/logpb"
)

// Move goes on in another stream, as the controller asks for when this journal went back in time: what is
// not acknowledged is numbered anew from 1, and alerts among it are known by their new numbers, which Move
// returns by the old ones. Everything else of the old stream is forgotten.
func (o *Outbox) Move(stream string) (map[uint64]uint64, error) {
	o.mu.Lock()
	durable, acked, gone := o.durable, o.acked, o.gone
	o.mu.Unlock()
	var old []*logpb.Event
	if acked < durable {
		stored, err := o.stored(acked, durable, gone)
		if err != nil {
			return nil, fmt.Errorf("move outbox: %w", err)
		}
		old = stored
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, ev := range o.tail { // what came meanwhile, too
		if ev.GetN() > max(durable, acked) {
			old = append(old, ev)
		}
	}
	was := o.stream
	events, numbers := o.renumbered(old, stream)
	ops := []op{dropAll(bucketOutbox, eventPrefix)}
	for _, ev := range events {
		w, err := eventOp(ev)
		if err != nil {
			return nil, fmt.Errorf("move outbox: %w", err)
		}
		ops = append(ops, w)
	}
	next := marks{Stream: stream}
	if len(numbers) > 0 {
		next.Moved = make(map[string]moved, len(numbers))
	}
	for from, to := range numbers {
		next.Moved[moved{was, from}.String()] = moved{stream, to}
	}
	if err := o.j.enqueue(append(ops, marksOp(next))...); err != nil {
		return nil, fmt.Errorf("move outbox: %w", err)
	}
	o.moved = make(map[moved]moved, len(numbers))
	for from, to := range numbers {
		o.moved[moved{was, from}] = moved{stream, to}
	}
	o.stream, o.next, o.durable, o.gone, o.acked, o.seen = stream, uint64(len(events))+1, 0, 0, 0, nil
	o.waiting, o.tail, o.moving = nil, events, true
	poke(o.wake)
	return numbers, nil
}

// renumbered are the events that say something, as those of another stream, and the new numbers of alerts.
func (o *Outbox) renumbered(old []*logpb.Event, stream string) ([]*logpb.Event, map[uint64]uint64) {
	events := make([]*logpb.Event, 0, len(old))
	numbers := map[uint64]uint64{}
	for _, ev := range old {
		if ev.GetWhat() == nil {
			continue
		}
		n := uint64(len(events)) + 1
		ev = proto.CloneOf(ev)
		switch what := ev.GetWhat().(type) {
		case *logpb.Event_Fired:
			numbers[ev.GetN()] = n
			what.Fired.Key.Stream, what.Fired.Key.N = stream, n
		case *logpb.Event_Resolved:
			k := what.Resolved.GetKey()
			if to, ok := numbers[k.GetN()]; ok && k.GetStream() == o.stream {
				k.Stream, k.N = stream, to
			}
		}
		ev.N = n
		events = append(events, ev)
	}
	return events, numbers
}
