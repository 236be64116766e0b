package session

import (
	"context"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/salveops/salve/pkg/clock"
	"github.com/salveops/salve/pkg/permit"
	"github.com/salveops/salve/proto/agentpb"
	"github.com/salveops/salve/proto/logpb"
)

// still is a clock that stands.
type still struct{}

func (still) Now() clock.Instant { return clock.Instant{Boot: time.Hour, Wall: time.Unix(1, 0)} }
func (still) BootID() string     { return "boot" }

// nothing is a store that forgets, and an outbox that is empty.
type nothing struct{ stream string }

func (nothing) Put(string, any) error                                     { return nil }
func (nothing) PutSoon(string, any) error                                 { return nil }
func (nothing) DeleteSoon(string) error                                   { return nil }
func (nothing) Get(string, any) (bool, error)                             { return false, nil }
func (nothing) Each(func(string, func(any) error) error) error            { return nil }
func (n *nothing) Stream() string                                         { return n.stream }
func (nothing) Last() uint64                                              { return 3 }
func (nothing) Opened() uint64                                            { return 3 }
func (nothing) Unacknowledged() uint64                                    { return 0 }
func (nothing) Wake() <-chan struct{}                                     { return nil }
func (nothing) Read(context.Context, uint64, int) ([]*logpb.Event, error) { return nil, nil }
func (nothing) Ack(string, uint64)                                        {}
func (n *nothing) Move(to string) (map[uint64]uint64, error)              { n.stream = to; return nil, nil }

// wall is a line on which nothing moves.
type wall struct{ closed chan struct{} }

func (w wall) Send(*agentpb.ConnectRequest) error {
	<-w.closed
	return io.EOF
}

func (w wall) Recv() (*agentpb.ConnectResponse, error) {
	<-w.closed
	return nil, io.EOF
}

func (wall) Keep(context.Context, *agentpb.EvidenceRequest, string) error { return io.EOF }
func (wall) Bundle(context.Context, *agentpb.BundleRequest) (*agentpb.BundleResponse, error) {
	return nil, io.EOF
}
func (w wall) Close() { close(w.closed) }

func (wall) Figure(context.Context, *agentpb.ReadFigureRequest) (*agentpb.ReadFigureResponse, error) {
	return nil, io.EOF
}

func newFake(t testing.TB) *Session {
	n := &nothing{stream: "s"}
	s, err := New(Options{Host: "h", Fingerprint: "f", Addresses: []string{"a"}, Clock: still{}, Store: n, Outbox: n,
		Log: hclog.NewNullLogger(), Dial: func(context.Context, string) (Line, error) { return nil, io.EOF }})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// fuzzed is a session in the middle of its life.
func fuzzed(t testing.TB) *session {
	s := newFake(t)
	s.book.Hello("nonce")
	s.book.Send(s.now())
	w := &logpb.Welcome{Epoch: 1, Generation: "g"}
	r, err := s.book.Accept(s.now(), w)
	if err != nil {
		t.Fatal(err)
	}
	s.book.Enter(r, w)
	s.recorded = true
	if err := s.book.Ask(permit.Ask{Attempt: "a", Service: "web"}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	c := &conn{ctx: ctx, cancel: cancel, in: make(chan *agentpb.ConnectResponse), out: make(chan *agentpb.ConnectRequest, 1024)}
	x := &session{Session: s, c: c, epoch: 1, sent: map[uint64]time.Duration{}, marks: make(chan uint64, 1)}
	if err := errors.Join(x.pump(), x.beat()); err != nil {
		t.Fatal(err)
	}
	return x
}

// A node that reads nothing holds nobody up and fills no memory: the queue is bounded, and then the session ends.
func TestNodeDoesNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := fuzzed(t)
		x.c = open(t.Context(), wall{make(chan struct{})})
		defer x.c.close()
		for n := 0; ; n++ {
			if err := x.beat(); err != nil {
				if !errors.Is(err, errStuck) || n > queueSize+1 {
					t.Errorf("after %d messages: %v", n, err)
				}
				return
			}
		}
	})
}
