package agentapi

import (
	"context"
	"errors"
	"io"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/salveops/salve/proto/agentpb"
)

// wire is a stream without a network: what the test puts in is read, and what is sent is kept, or blocks.
type wire struct {
	ctx  context.Context
	in   chan *agentpb.ConnectRequest
	full chan struct{} // set: sending blocks until the stream ends, as when the other side does not read

	mu   sync.Mutex
	sent []*agentpb.ConnectResponse
}

func (w *wire) Context() context.Context { return w.ctx }

func (w *wire) Recv() (*agentpb.ConnectRequest, error) {
	select {
	case m, ok := <-w.in:
		if !ok {
			return nil, io.EOF
		}
		return m, nil
	case <-w.ctx.Done():
		return nil, w.ctx.Err()
	}
}

func (w *wire) Send(m *agentpb.ConnectResponse) error {
	if w.ctx.Err() != nil {
		return w.ctx.Err()
	}
	if _, err := proto.Marshal(m); err != nil {
		return err
	}
	select {
	case <-w.full:
		<-w.ctx.Done()
		return w.ctx.Err()
	default:
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sent = append(w.sent, m)
	return nil
}

// An agent that does not read holds up nobody, and its session ends.
func TestAgentThatDoesNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := inMemory(t).lead()
		b := r.joined("h2")
		ctx, cancel := context.WithCancel(t.Context())
		w := &wire{ctx: ctx, in: make(chan *agentpb.ConnectRequest, 1), full: make(chan struct{})}
		w.in <- &agentpb.ConnectRequest{What: &agentpb.ConnectRequest_Hello{Hello: helloOf("h1")}}
		ended := make(chan error, 1)
		go func() {
			ended <- r.server.connect(w)
			cancel() // as gRPC does
		}()
		synctest.Wait()
		time.Sleep(time.Second)
		b.drain()
		close(w.full)
		begun := time.Now()
		r.must(pauseOf("all"))
		if b.next().GetStanding() == nil || time.Since(begun) > time.Second {
			t.Errorf("the other one was told after %v", time.Since(begun))
		}
		<-ended
		if took := time.Since(begun); took > silentAfter+2*watchEvery {
			t.Errorf("ended after %v", took)
		}
		r.stop()
	})
}

// The stream may end at any moment of a handshake: nothing is left behind.
func TestStreamEndsInHandshake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := inMemory(t).lead()
		r.seat.Hold(true)
		ctx, cancel := context.WithCancel(t.Context())
		w := &wire{ctx: ctx, in: make(chan *agentpb.ConnectRequest, 1)}
		w.in <- &agentpb.ConnectRequest{What: &agentpb.ConnectRequest_Hello{Hello: helloOf("h1")}}
		ended := make(chan error, 1)
		go func() { ended <- r.server.connect(w) }()
		synctest.Wait()
		cancel()
		if err := <-ended; err == nil || errors.Is(err, errEnded) {
			t.Errorf("ended with %v", err)
		}
		synctest.Wait()
		r.seat.Hold(false)
		synctest.Wait()
		if n := len(r.server.sessions.all()); n != 0 || r.server.gate.inside != 0 || r.server.streams.Load() != 0 {
			t.Errorf("%d sessions, %d at the gate, %d streams are left", n, r.server.gate.inside, r.server.streams.Load())
		}
		r.stop()
	})
}

// Who comes when a node stops is sent away at once: Run has counted those whom it waits for.
func TestConnectAfterStop(t *testing.T) {
	r := build(t).lead()
	r.stop()
	err := r.server.connect(&wire{ctx: t.Context(), in: make(chan *agentpb.ConnectRequest)})
	if status.Code(err) != codes.Unavailable {
		t.Errorf("a node that stops says %v", err)
	}
}
