package load

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"google.golang.org/grpc"

	"github.com/salveops/salve/proto/agentpb"
	"github.com/salveops/salve/proto/logpb"
)

// agent is one simulated agent: it holds a session whenever it can.
//
//	        ┌────────── back-off ◄─────────┐
//	        ▼                              │
//	next node ─► hello ─► welcome ─► heartbeats, standing orders, a caller's questions
//	   ▲           │ redirect, no quorum, busy
//	   └───────────┘
type agent struct {
	fleet *Fleet
	host  host
	text  template

	mu      sync.Mutex
	journal journal
	live    *session      // nil: not connected
	up      chan struct{} // closed when live is set
	at      time.Time     // of the last welcome
}

// journal is what a real agent has on disk.
type journal struct {
	nonce      string // of a hello that is not answered yet, else ""
	epoch      uint64
	generation string
	index      uint64
	n          uint64 // requests of this epoch
}

func newAgent(f *Fleet, i int) *agent {
	a := &agent{fleet: f, host: newHost(f.o.Seed, i), up: make(chan struct{})}
	a.text = newTemplate(&a.host, f.o.Size)
	return a
}

// verdict is where to go after a session or a try ended.
type verdict struct {
	welcome bool          // it was a session
	next    string        // the leader's address, "": not known
	wait    time.Duration // before the next try with the same node, 0: as the back-off says, with another one
}

// run connects again and again until ctx ends.
func (a *agent) run(ctx context.Context) {
	addresses := a.fleet.o.Addresses
	turn := a.host.i % len(addresses)
	address, delay := addresses[turn], a.fleet.o.BackoffMin
	followed := false // the last step was to follow a redirect
	for ctx.Err() == nil {
		v := a.try(ctx, address)
		if v.welcome {
			delay = a.fleet.o.BackoffMin
		}
		if v.next != "" && !followed {
			address, followed = v.next, true
			continue
		}
		followed = false
		if v.wait > 0 { // the leader is busy: to the same node, and not before it said
			sleep(ctx, v.wait+rand.N(v.wait))
			continue
		}
		sleep(ctx, delay/2+rand.N(delay/2+1))
		delay = min(2*delay, a.fleet.o.BackoffMax)
		turn = (turn + 1) % len(addresses)
		address = addresses[turn]
	}
}

// sleep returns after d or when ctx ends.
func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// try is one session with one node, from its connection to its end.
func (a *agent) try(ctx context.Context, address string) verdict {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	conn, err := a.line(ctx, address)
	if err != nil {
		a.fleet.fault("%s: %v", a.host.name, err)
		return verdict{}
	}
	if a.fleet.o.PerConn == 1 {
		defer conn.Close()
	}
	stream, err := agentpb.NewLineClient(conn).Connect(ctx)
	if err != nil {
		return verdict{} // the node is down, or not up yet
	}
	s := &session{a: a, stream: stream, address: address, answers: make(chan *agentpb.Answer, 1), done: make(chan struct{})}
	return s.run(ctx, cancel)
}

func (a *agent) line(ctx context.Context, address string) (*grpc.ClientConn, error) {
	if a.fleet.o.PerConn == 1 {
		return a.fleet.lines.own(ctx, address)
	}
	return a.fleet.lines.of(ctx, address, a.host.i/a.fleet.o.PerConn)
}

// hello is the first message. Its nonce stays the same until it was answered.
func (a *agent) hello() *logpb.Hello {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.journal.nonce == "" {
		a.journal.nonce = newNonce()
	}
	h := &a.host
	return &logpb.Hello{
		Host: h.id, Name: h.name, Fingerprint: h.fingerprint, BootId: h.boot, LastEpoch: a.journal.epoch,
		Nonce: a.journal.nonce, Stream: h.stream, Generation: a.journal.generation, Index: a.journal.index,
		Services: h.reports(h.services...), Version: "load",
	}
}

// enter takes a welcome over; an error is a breach of the protocol.
func (a *agent) enter(s *session, w *logpb.Welcome) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case w.GetEpoch() <= a.journal.epoch:
		return errors.New("the epoch of a welcome does not rise")
	case w.GetGeneration() == "":
		return errors.New("a welcome without a generation")
	case a.journal.generation != "" && w.GetGeneration() != a.journal.generation:
		return errors.New("the generation changed, and nobody restored anything")
	case w.GetStream() != a.host.stream:
		return errors.New("another event stream, and the journal did not go back")
	}
	s.epoch, s.permits = w.GetEpoch(), w.GetPermits()
	a.journal = journal{epoch: w.GetEpoch(), generation: w.GetGeneration(), index: a.journal.index}
	a.live, a.at = s, time.Now()
	close(a.up)
	a.fleet.live.Add(1)
	a.fleet.welcomes.Add(1)
	return nil
}

// leave ends a session that was welcome.
func (a *agent) leave() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.live, a.up = nil, make(chan struct{})
	a.fleet.live.Add(-1)
	a.fleet.ended.Add(1)
}

// saw remembers how far the log was seen.
func (a *agent) saw(index uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.journal.index = max(a.journal.index, index)
}

// number counts the requests of an epoch.
func (a *agent) number(epoch uint64) (uint64, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.journal.epoch != epoch {
		return 0, false
	}
	a.journal.n++
	return a.journal.n, true
}

// welcome is when the agent was last welcomed, and whether that session lives.
func (a *agent) welcome() (time.Time, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.at, a.live != nil
}

// session is the one that lives, nil if there is none.
func (a *agent) session() *session {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.live
}

// await waits for a session.
func (a *agent) await(ctx context.Context) (*session, error) {
	for {
		a.mu.Lock()
		s, up := a.live, a.up
		a.mu.Unlock()
		if s != nil {
			return s, nil
		}
		select {
		case <-up:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}
