package session

import (
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/salveops/salve/proto/agentpb"
	"github.com/salveops/salve/proto/logpb"
)

// Bounds of one message with events; one is on its way at a time.
const (
	mostEvents = 256
	mostBytes  = 128 << 10
)

// tell sends the events after a mark, in order, and waits for the node to have them before it sends more.
func (x *session) tell(stream string, mark uint64) {
	for x.c.ctx.Err() == nil {
		events, err := x.o.Outbox.Read(x.c.ctx, mark, mostEvents)
		if err != nil && x.c.ctx.Err() == nil {
			x.log.Error("events cannot be read from the journal; they are not told until they can", "error", err)
		}
		if events = few(events); len(events) == 0 {
			x.idle(err)
			continue
		}
		last := events[len(events)-1].GetN()
		m := &logpb.Events{Host: x.o.Host, Epoch: x.epoch, Stream: stream, Event: events}
		if err := x.c.send(&agentpb.ConnectRequest{What: &agentpb.ConnectRequest_Events{Events: m}}); err != nil {
			x.c.cancel(err)
			return
		}
		for mark < last {
			select {
			case <-x.c.ctx.Done():
				return
			case n := <-x.marks:
				mark = max(mark, n)
			}
		}
	}
}

// idle waits until there may be something to tell, or until it can be tried again.
func (x *session) idle(failed error) {
	var again <-chan time.Time
	if failed != nil {
		again = time.After(time.Second)
	}
	select {
	case <-x.c.ctx.Done():
	case <-x.o.Outbox.Wake():
	case <-again:
	}
}

// few are as many of the first events as one message takes; at least one.
func few(events []*logpb.Event) []*logpb.Event {
	size := 0
	for i, ev := range events {
		if size += proto.Size(ev); size > mostBytes && i > 0 {
			return events[:i]
		}
	}
	return events
}
