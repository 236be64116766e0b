package agentapi

import (
	"context"
	"errors"
	"io"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/salveops/salve/controller/internal/arbiter"
	"github.com/salveops/salve/controller/internal/state"
	"github.com/salveops/salve/proto/agentpb"
	"github.com/salveops/salve/proto/logpb"
)

// Times of a handshake.
const (
	helloTime  = 10 * time.Second // for the first message
	enterTime  = 15 * time.Second // from there to the welcome
	officeTime = 2 * time.Second  // for this node, when it was just elected, to take its office
	twinTime   = 2 * time.Second  // for an older session to show that it lives
)

// maxStreams bounds the sessions of a node, those at the door among them.
const maxStreams = 20_000

// errEnded says that the session is over.
var errEnded = errors.New("the session is over")

// errStops is for whom a node that stops does not serve any more.
var errStops = status.Error(codes.Unavailable, "this node stops")

// Connect is one agent's session.
func (s *Server) Connect(stream grpc.BidiStreamingServer[agentpb.ConnectRequest, agentpb.ConnectResponse]) error {
	return s.connect(stream)
}

func (s *Server) connect(stream stream) error {
	defer s.streams.Add(-1)
	if s.streams.Add(1) > maxStreams {
		return stream.Send(busy(spread(shortBusy, longBusy)))
	}
	x := s.newSession(stream)
	greeted := make(chan struct{})
	failed := make(chan error, 1)
	if !s.sessions.read(func() {
		defer s.sessions.leave(x)
		failed <- x.read(greeted)
	}) {
		return errStops
	}
	err := x.serve(greeted, failed)
	x.end(nil)
	if errors.Is(err, errEnded) || errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// serve waits for the session's end.
func (x *session) serve(greeted <-chan struct{}, failed <-chan error) error {
	timer := time.NewTimer(helloTime)
	defer timer.Stop()
	for {
		select {
		case <-greeted:
			greeted = nil
			timer.Stop()
		case err := <-failed:
			x.bye()
			return err
		case <-x.ended:
			x.bye()
			return nil
		case <-x.stream.Context().Done():
			return status.FromContextError(x.stream.Context().Err()).Err()
		case <-timer.C:
			return status.Error(codes.DeadlineExceeded, "the first message, a hello, did not come")
		}
	}
}

// read is the session from the agent's side: a hello, and then whatever it says. An answer that ends the session
// is left with end; an error is for gRPC.
func (x *session) read(greeted chan<- struct{}) error {
	first, err := x.stream.Recv()
	if err != nil {
		return err
	}
	hello := first.GetHello()
	if hello == nil {
		return status.Error(codes.InvalidArgument, "the first message has to be a hello")
	}
	ctx := x.stream.Context()
	close(greeted) // from here on other times hold
	enter, cancel := context.WithTimeout(ctx, enterTime)
	defer cancel()
	last, err := x.server.welcome(enter, x, hello)
	cancel()
	switch {
	case err != nil:
		return err
	case last != nil:
		x.end(last)
		return errEnded
	}
	for {
		m, err := x.stream.Recv()
		if err != nil {
			return err
		}
		x.working.Store(true)
		err = x.take(ctx, m)
		x.spoke.Store(int64(x.server.o.Clock.Now().Boot))
		x.working.Store(false)
		if err != nil {
			return err
		}
	}
}

// welcome brings a hello into the log and makes x the session of its host. What it returns ends the session
// instead.
func (s *Server) welcome(ctx context.Context, x *session, hello *logpb.Hello) (*agentpb.ConnectResponse, error) {
	if err := checkHello(hello); err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	if s.o.Authorize != nil {
		if err := s.o.Authorize(ctx, hello.GetHost()); err != nil {
			return nil, status.Error(codes.PermissionDenied, err.Error())
		}
	}
	if !s.inOffice(ctx) {
		return s.away(), nil
	}
	hello = proto.CloneOf(hello)
	hello.Twin = s.twin(ctx, hello)
	if !s.gate.enter(ctx, s.urgent(hello)) {
		return busy(spread(shortBusy, longBusy)), nil
	}
	defer s.gate.leave()
	r, _, err := s.o.Arbiter.Propose(ctx, &logpb.Command{From: x.from, What: &logpb.Command_Hello{Hello: hello}})
	switch {
	case errors.Is(err, arbiter.ErrBusy), errors.Is(err, context.DeadlineExceeded):
		return busy(spread(shortBusy, longBusy)), nil
	case errors.Is(err, arbiter.ErrTooLarge):
		return nil, status.Error(codes.InvalidArgument, err.Error())
	case err != nil:
		return s.away(), nil
	case r.GetRefusal() != nil:
		s.log.Warn("agent turned away", "host", hello.GetHost(), "name", hello.GetName(), "reason", r.GetRefusal().GetText())
		return turnedAway(r.GetRefusal().GetCode(), r.GetRefusal().GetText()), nil
	}
	return s.begin(x, hello, r.GetWelcome())
}

// inOffice reports whether this node leads. One that was elected a moment ago is waited for.
func (s *Server) inOffice(ctx context.Context) bool {
	timer := time.NewTimer(officeTime)
	defer timer.Stop()
	for {
		leads, changed := s.o.Arbiter.Leads()
		if leads || !s.o.Leader().Self {
			return leads
		}
		select {
		case <-changed:
		case <-timer.C:
			return false
		case <-ctx.Done():
			return false
		}
	}
}

// begin sends the welcome and the first standing orders.
func (s *Server) begin(x *session, hello *logpb.Hello, w *logpb.Welcome) (*agentpb.ConnectResponse, error) {
	x.host, x.name, x.boot = hello.GetHost(), hello.GetName(), hello.GetBootId()
	x.epoch, x.generation = w.GetEpoch(), w.GetGeneration()
	out := &logpb.Welcome{
		Epoch: w.GetEpoch(), Generation: w.GetGeneration(), Permits: s.permits(x.host), Stream: w.GetStream(), Mark: w.GetMark(),
	}
	now := s.o.Clock.Now().Boot
	x.spoke.Store(int64(now))
	s.o.Arbiter.Heard(x.host, x.epoch, now)
	if err := x.send(&agentpb.ConnectResponse{What: &agentpb.ConnectResponse_Welcome{Welcome: out}}); err != nil {
		return nil, err
	}
	if !s.sessions.enter(x) {
		return turnedAway("superseded", "a newer session of this host has begun"), nil
	}
	if leads, _ := s.o.Arbiter.Leads(); !leads { // lost between the answer and the entry
		return s.away(), nil
	}
	if s.log.IsDebug() {
		s.log.Debug("session begun", "host", x.host, "name", x.name, "epoch", x.epoch)
	}
	return nil, x.push()
}

// permits are those that a host holds, as copies: the answer's own are the state's.
func (s *Server) permits(host string) []*logpb.Permit {
	var out []*logpb.Permit
	s.o.Replica.View(func(st *state.State) {
		for _, p := range st.PermitsOf(host) {
			out = append(out, proto.CloneOf(p))
		}
	})
	return out
}

// twin reports whether an older session of the host, from another boot of a machine, still lives: then there are
// two machines with one identity.
func (s *Server) twin(ctx context.Context, hello *logpb.Hello) bool {
	old := s.sessions.of(hello.GetHost())
	return old != nil && old.boot != hello.GetBootId() && old.alive(ctx, twinTime)
}

// urgent reports whether the host may be in the middle of a repair.
func (s *Server) urgent(hello *logpb.Hello) bool {
	if len(hello.GetRunning()) > 0 {
		return true
	}
	held := false
	s.o.Replica.View(func(st *state.State) { held = len(st.PermitsOf(hello.GetHost())) > 0 })
	return held
}
