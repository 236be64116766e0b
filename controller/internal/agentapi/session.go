package agentapi

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/salveops/salve/controller/internal/access"
	"github.com/salveops/salve/proto/agentpb"
	"github.com/salveops/salve/proto/logpb"
)

// Times of a session.
const (
	silentAfter = 10 * time.Second // without a message: half open, or frozen
	stuckAfter  = 5 * time.Second  // in one send: the agent does not read
	farewell    = time.Second      // for the last message
	watchEvery  = time.Second
)

// pongsKept is of how many pongs the time is remembered: at one ping in two seconds more than the lost time.
const pongsKept = 8

// stream is the gRPC stream of a session.
type stream interface {
	Context() context.Context
	Send(*agentpb.ConnectResponse) error
	Recv() (*agentpb.ConnectRequest, error)
}

// session is one agent process on the line, after its welcome. Two goroutines serve it: one reads, has proposed
// what it read, and answers, one message after the other, so that an agent that sends too much waits; the other one
// only ends the stream, which gRPC allows from no other place. Pushes come from a few shared goroutines.
type session struct {
	server     *Server
	stream     stream
	from       *logpb.Origin // for the audit; nil: over no connection
	host       string
	name       string
	boot       string // boot ID
	epoch      uint64
	generation string

	sending chan struct{} // holds one: whoever sends
	since   atomic.Int64  // CLOCK_BOOTTIME at which the send under way began, 0: none
	spoke   atomic.Int64  // CLOCK_BOOTTIME of the newest message
	working atomic.Bool   // it is being dealt with

	ended chan struct{} // closed by end
	once  sync.Once
	last  *agentpb.ConnectResponse // what to say at the end

	mu     sync.Mutex
	ping   uint64 // the newest
	serial uint64 // of the newest pong
	heard  uint64 // the newest pong that the agent has heard
	pongs  [pongsKept]time.Duration
	urged  []*urging

	pushes   atomic.Int32  // pushIdle, pushBusy, pushAgain
	version  atomic.Uint64 // StandingVersion that was looked at last
	pushing  sync.Mutex
	standing pushed
}

// urging waits for the agent to answer one pong.
type urging struct {
	serial uint64        // of that pong, 0: not sent yet
	alive  chan struct{} // closed by the answer
}

func (s *Server) newSession(st stream) *session {
	x := &session{server: s, stream: st, from: access.Origin(st.Context()),
		sending: make(chan struct{}, 1), ended: make(chan struct{})}
	x.spoke.Store(int64(s.o.Clock.Now().Boot))
	return x
}

// send sends one message after the other.
func (x *session) send(m *agentpb.ConnectResponse) error {
	return x.sendMade(func() *agentpb.ConnectResponse { return m })
}

// sendMade makes the message when it is its turn.
func (x *session) sendMade(make func() *agentpb.ConnectResponse) error {
	select {
	case x.sending <- struct{}{}:
	case <-x.ended:
		return errEnded
	}
	defer func() { <-x.sending }()
	x.since.Store(int64(max(1, x.server.o.Clock.Now().Boot)))
	defer x.since.Store(0)
	return x.stream.Send(make())
}

// end ends the session, with a last word unless it is nil. It does not wait.
func (x *session) end(last *agentpb.ConnectResponse) {
	x.once.Do(func() {
		x.last = last
		close(x.ended)
	})
}

// bye says the last word, if there is one and the agent reads.
func (x *session) bye() {
	if x.last == nil {
		return
	}
	said := make(chan struct{})
	go func() { // the end of the stream ends a send that is stuck
		defer close(said)
		select {
		case x.sending <- struct{}{}:
			_ = x.stream.Send(x.last)
			<-x.sending
		case <-x.stream.Context().Done():
		}
	}()
	select {
	case <-said:
	case <-time.After(farewell):
	}
}

// stale says why the session is of no use any more, "" if it is.
func (x *session) stale(now time.Duration) string {
	if quiet := now - time.Duration(x.spoke.Load()); quiet >= silentAfter && !x.working.Load() {
		return fmt.Sprintf("no message for %v", quiet.Round(time.Second))
	}
	if since := time.Duration(x.since.Load()); since > 0 && now-since >= stuckAfter {
		return fmt.Sprintf("it has not read for %v", (now - since).Round(time.Second))
	}
	return ""
}

// pinged answers a ping, and notes the round trip that it completes.
func (x *session) pinged(p *agentpb.Ping) error {
	x.mu.Lock()
	x.ping = max(x.ping, p.GetN())
	sent, ok := x.hear(p.GetHeard())
	x.mu.Unlock()
	if ok {
		x.server.o.Arbiter.Heard(x.host, x.epoch, sent)
	}
	return x.sendMade(func() *agentpb.ConnectResponse { return x.pong(nil) })
}

// hear takes note of the newest pong that the agent has heard, and gives the time at which it was sent. Under mu.
func (x *session) hear(serial uint64) (time.Duration, bool) {
	if serial <= x.heard || serial > x.serial {
		return 0, false
	}
	x.heard = serial
	x.urged = slices.DeleteFunc(x.urged, func(u *urging) bool {
		if u.serial == 0 || u.serial > serial {
			return false
		}
		close(u.alive)
		return true
	})
	if x.serial-serial >= pongsKept {
		return 0, false
	}
	return x.pongs[serial%pongsKept], true
}

// pong is the next one, for whoever sends now. With u it asks for a ping at once.
func (x *session) pong(u *urging) *agentpb.ConnectResponse {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.serial++
	x.pongs[x.serial%pongsKept] = x.server.o.Clock.Now().Boot
	if u != nil {
		u.serial = x.serial
	}
	return &agentpb.ConnectResponse{What: &agentpb.ConnectResponse_Pong{
		Pong: &agentpb.Pong{N: x.ping, Serial: x.serial, Urge: u != nil},
	}}
}

// alive reports whether the agent answers, within a time, what is sent to it now.
func (x *session) alive(ctx context.Context, within time.Duration) bool {
	u := &urging{alive: make(chan struct{})}
	x.mu.Lock()
	x.urged = append(x.urged, u)
	x.mu.Unlock()
	defer func() {
		x.mu.Lock()
		defer x.mu.Unlock()
		x.urged = slices.DeleteFunc(x.urged, func(o *urging) bool { return o == u })
	}()
	go func() { _ = x.sendMade(func() *agentpb.ConnectResponse { return x.pong(u) }) }()
	timer := time.NewTimer(within)
	defer timer.Stop()
	select {
	case <-u.alive:
		return true
	case <-timer.C:
	case <-x.ended:
	case <-ctx.Done():
	}
	return false
}
