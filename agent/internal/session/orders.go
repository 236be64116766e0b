package session

import (
	"encoding/json"
	"errors"
	"fmt"

	"google.golang.org/protobuf/encoding/protojson"

	"github.com/salveops/salve/pkg/clock"
	"github.com/salveops/salve/proto/agentpb"
	"github.com/salveops/salve/proto/logpb"
)

// Orders are standing orders, and since when this host knows of each of their pauses: while the controller is
// out of reach that says, whatever any clock shows, by when a pause is over for sure.
type Orders struct {
	*agentpb.Standing                        // nil: there never were any
	Known             map[string]clock.Stamp // by pause
}

// ordersRecord is what the disk has.
type ordersRecord struct {
	Standing json.RawMessage        `json:"standing"`
	Known    map[string]clock.Stamp `json:"known,omitempty"`
}

// Orders are the standing orders that hold: the last that came, also across restarts of the agent and of the
// machine.
func (s *Session) Orders() Orders {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.orders
}

// known takes over since when pauses are known.
func (s *Session) known(o *agentpb.Standing) Orders {
	now, old := clock.Now(s.o.Clock), s.Orders().Known
	out := Orders{Standing: o, Known: make(map[string]clock.Stamp, len(o.GetPauses()))}
	for _, p := range o.GetPauses() {
		out.Known[p.GetId()] = now
		if since, ok := old[p.GetId()]; ok {
			out.Known[p.GetId()] = since
		}
	}
	return out
}

// readOrders takes up the orders of an earlier process.
func (s *Session) readOrders() error {
	var r ordersRecord
	found, err := s.o.Store.Get(keyOrders, &r)
	if err != nil || !found {
		return err
	}
	o := new(agentpb.Standing)
	if err := (protojson.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(r.Standing, o); err != nil {
		s.log.Error("the standing orders are damaged; nothing is known of them until the controller says them again", "error", err)
		return nil
	}
	s.orders = Orders{Standing: o, Known: r.Known}
	return nil
}

// follow takes standing orders: on disk first, then they hold, then the node hears so. Orders that cannot be
// written hold all the same, for they bind, and are confirmed once they are on disk.
func (x *session) follow(o *agentpb.Standing) error {
	x.mu.Lock()
	fresh, anew := x.book.Order(o.GetGeneration(), o.GetIndex(), o.GetRevoked())
	r := x.book.Record()
	x.mu.Unlock()
	switch {
	case anew:
		return fmt.Errorf("%w: the controller is in generation %s", errAnew, o.GetGeneration())
	case !fresh:
		return nil // of a leader that was
	}
	x.o.Step("orders")
	orders := x.known(o)
	written := x.write(orders)
	if written == nil {
		x.save(r)
		x.mu.Lock()
		if !x.recorded {
			written = errors.New("the record of the session is not on disk")
		}
		x.mu.Unlock()
	}
	x.mu.Lock()
	x.orders = orders
	x.mu.Unlock()
	if err := x.o.Orders(x.c.ctx, orders); err != nil {
		return fmt.Errorf("follow standing orders: %w", err)
	}
	if written != nil {
		if x.owed == nil {
			x.log.Error("standing orders hold, but cannot be journaled and are not confirmed", "error", written)
		}
		x.owed = o
		return nil
	}
	x.owed = nil
	return x.c.send(&agentpb.ConnectRequest{What: &agentpb.ConnectRequest_Confirm{Confirm: &logpb.ConfirmStanding{
		Host: x.o.Host, Epoch: x.epoch, Generation: o.GetGeneration(), Index: o.GetIndex(),
	}}})
}

// write queues orders for the disk; they are on it once the record is, which comes after them.
func (s *Session) write(o Orders) error {
	raw, err := protojson.Marshal(o.Standing)
	if err != nil {
		return err
	}
	return s.o.Store.PutSoon(keyOrders, ordersRecord{Standing: raw, Known: o.Known})
}
