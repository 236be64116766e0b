package session

import (
	"fmt"
	"slices"
	"time"

	"github.com/salveops/salve/pkg/permit"
	"github.com/salveops/salve/proto/agentpb"
	"github.com/salveops/salve/proto/logpb"
)

// pingEvery is how often the node is asked whether it is there.
const pingEvery = 2 * time.Second

// session is one established session, in the goroutine that serves it.
type session struct {
	*Session
	c        *conn
	epoch    uint64
	ping     uint64 // the last one
	sent     map[uint64]time.Duration
	heard    uint64            // serial of the last pong
	owed     *agentpb.Standing // orders that are not confirmed, because they are not on disk
	marks    chan uint64       // what the node has of the events
	reported int               // version of the report on bundles that the node has
}

// serve talks to the node until the session ends, and says why.
func (s *Session) serve(c *conn, w *logpb.Welcome) error {
	x := &session{Session: s, c: c, epoch: w.GetEpoch(), sent: map[uint64]time.Duration{}, marks: make(chan uint64, 1)}
	c.work.Go(func() { x.tell(w.GetStream(), w.GetMark()) })
	c.work.Go(x.upload)
	ticker := time.NewTicker(pingEvery)
	defer ticker.Stop()
	err := x.beat()
	for err == nil {
		if err = x.pump(); err != nil {
			break
		}
		select {
		case <-c.ctx.Done():
			return c.err()
		case m := <-c.in:
			err = x.take(m)
		case <-s.wake:
		case <-ticker.C:
			err = x.tick()
		}
	}
	return err
}

// tick pings, and ends a session of which nothing is heard.
func (x *session) tick() error {
	x.mu.Lock()
	silent, stuck := x.book.Silent(x.now()), x.book.Stuck(x.now())
	recorded, r := x.recorded, x.book.Record()
	x.mu.Unlock()
	switch {
	case silent > permit.LostAfter:
		return errSilent
	case stuck:
		return fmt.Errorf("a request was not answered within %v", permit.StartBy)
	}
	if !recorded {
		x.save(r)
	}
	if x.owed != nil {
		if err := x.follow(x.owed); err != nil {
			return err
		}
	}
	return x.beat()
}

// beat sends a ping, which also says which pong came last: only that is a round trip for the node.
func (x *session) beat() error {
	x.ping++
	x.sent[x.ping] = x.now()
	delete(x.sent, x.ping-uint64(2*permit.LostAfter/pingEvery))
	return x.c.send(&agentpb.ConnectRequest{What: &agentpb.ConnectRequest_Ping{
		Ping: &agentpb.Ping{N: x.ping, Heard: x.heard},
	}})
}

// pump sends what there is to say: what has changed here first, so that it counts for what follows.
func (x *session) pump() error {
	x.mu.Lock()
	edges, anew := x.edges()
	var out []*agentpb.ConnectRequest
	if edges != nil {
		out = append(out, &agentpb.ConnectRequest{What: &agentpb.ConnectRequest_Edges{Edges: edges}})
	}
	if c := x.news(); c != nil {
		out = append(out, &agentpb.ConnectRequest{What: &agentpb.ConnectRequest_Bundles{Bundles: c}})
	}
	for _, c := range x.book.Settles(x.now(), claims(x.reports)) {
		out = append(out, &agentpb.ConnectRequest{What: &agentpb.ConnectRequest_Settle{Settle: c}})
	}
	if x.recorded {
		if c := x.book.Next(x.now(), claims(x.reports)); c != nil {
			out = append(out, &agentpb.ConnectRequest{What: &agentpb.ConnectRequest_Request{Request: c}})
		}
	}
	x.mu.Unlock()
	if anew {
		return fmt.Errorf("%w: this host has other services now", errAnew)
	}
	for _, m := range out {
		if m.GetRequest() != nil {
			x.o.Step("request")
		}
		if err := x.c.send(m); err != nil {
			return err
		}
	}
	return nil
}

// edges are what has changed of what this host serves since the node was told. Other services, or other things
// about them, take another hello. The caller holds mu.
func (x *session) edges() (*logpb.Edges, bool) {
	if len(x.reports) != len(x.told) {
		return nil, true
	}
	var out []*logpb.Edge
	for i, r := range x.reports {
		was := x.told[i]
		if r.GetServing() != was.GetServing() {
			out = append(out, &logpb.Edge{Host: x.o.Host, Epoch: x.epoch, Service: r.GetService(), Serving: r.GetServing()})
		}
		if r.GetService() != was.GetService() || r.GetDetection() != was.GetDetection() || r.GetTier() != was.GetTier() ||
			!slices.Equal(r.GetDependsOn(), was.GetDependsOn()) {
			return nil, true
		}
	}
	x.told = x.reports
	if len(out) == 0 {
		return nil, false
	}
	return &logpb.Edges{Edge: out}, false
}

// take deals with one message of the node.
func (x *session) take(m *agentpb.ConnectResponse) error {
	if err := farewell(m); err != nil {
		return err
	}
	switch what := m.GetWhat().(type) {
	case *agentpb.ConnectResponse_Pong:
		return x.pong(what.Pong)
	case *agentpb.ConnectResponse_Mark:
		x.mark(what.Mark)
	case *agentpb.ConnectResponse_Answer:
		return x.answered(what.Answer)
	case *agentpb.ConnectResponse_Standing:
		return x.follow(what.Standing)
	case *agentpb.ConnectResponse_Welcome:
		return fmt.Errorf("%w: a second welcome", errStrange)
	} // what a newer node says beyond that is passed over
	return nil
}

// pong notes a round trip from when its ping was sent.
func (x *session) pong(p *agentpb.Pong) error {
	x.heard = max(x.heard, p.GetSerial())
	if at, ok := x.sent[p.GetN()]; ok {
		x.mu.Lock()
		x.book.RoundTrip(x.now(), at)
		x.mu.Unlock()
	}
	if p.GetUrge() {
		return x.beat()
	}
	return nil
}

// mark notes what the node has of the events.
func (x *session) mark(m *agentpb.Mark) {
	x.o.Outbox.Ack(m.GetStream(), m.GetN())
	if m.GetStream() != x.o.Outbox.Stream() {
		return
	}
	for { // the newest only
		select {
		case x.marks <- m.GetN():
			return
		default:
		}
		select {
		case <-x.marks:
		default:
		}
	}
}

// answered deals with the answer to a request or a settlement; that to a settlement names its token.
func (x *session) answered(a *agentpb.Answer) error {
	if a.GetGrant() != nil {
		x.o.Step("grant")
	}
	x.mu.Lock()
	cleared, anew := false, false
	switch t := permit.TokenOf(a.GetToken()); {
	case a.GetGrant() != nil:
		x.answer(x.book.Granted(a.GetN(), a.GetGrant()), nil)
	case a.GetToken() != nil:
		cleared, anew = x.book.Settled(x.now(), t, a.GetRefusal())
	case a.GetRefusal() != nil:
		var attempt string
		attempt, anew = x.book.Refused(a.GetN(), a.GetRefusal())
		x.answer(attempt, refusalOf(a.GetRefusal()))
	}
	x.mu.Unlock()
	if cleared {
		x.cleared(permit.TokenOf(a.GetToken()))
	}
	if anew {
		return fmt.Errorf("%w: %s", errAnew, a.GetRefusal().GetText())
	}
	return nil
}
