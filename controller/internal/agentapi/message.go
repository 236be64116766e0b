package agentapi

import (
	"context"
	"errors"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/salveops/salve/controller/internal/arbiter"
	"github.com/salveops/salve/controller/internal/state"
	"github.com/salveops/salve/proto/agentpb"
	"github.com/salveops/salve/proto/logpb"
)

// Waits of a session while too many commands are before it.
const (
	busyFirst = 50 * time.Millisecond
	busyMost  = time.Second
)

// maxEvents bounds the events of one command, in bytes; what an agent sends in one message is cut into such pieces.
const maxEvents = 128 << 10

// take deals with one message. An error ends the session.
func (x *session) take(ctx context.Context, m *agentpb.ConnectRequest) error {
	if err := checkMessage(x, m); err != nil {
		return status.Error(codes.InvalidArgument, err.Error())
	}
	switch what := m.GetWhat().(type) {
	case *agentpb.ConnectRequest_Ping:
		return x.pinged(what.Ping)
	case *agentpb.ConnectRequest_Events:
		return x.events(ctx, what.Events)
	case *agentpb.ConnectRequest_Edges:
		_, err := x.propose(ctx, &logpb.Command{What: &logpb.Command_Edges{Edges: what.Edges}})
		return err
	case *agentpb.ConnectRequest_Request:
		return x.request(ctx, what.Request)
	case *agentpb.ConnectRequest_Settle:
		return x.settle(ctx, what.Settle)
	case *agentpb.ConnectRequest_Confirm:
		return x.counts(x.propose(ctx, &logpb.Command{What: &logpb.Command_ConfirmStanding{ConfirmStanding: what.Confirm}}))
	case *agentpb.ConnectRequest_Bundles:
		return x.bundles(ctx, what.Bundles)
	}
	return status.Error(codes.InvalidArgument, "the message says nothing that this node knows")
}

// propose brings a command into the log. While too many wait, the session waits, too. An error ends it.
func (x *session) propose(ctx context.Context, c *logpb.Command) (*logpb.Result, error) {
	for wait := busyFirst; ; wait = min(2*wait, busyMost) {
		r, _, err := x.server.o.Arbiter.Propose(ctx, c)
		switch {
		case err == nil:
			return r, nil
		case errors.Is(err, arbiter.ErrTooLarge):
			return nil, status.Error(codes.InvalidArgument, err.Error())
		case !errors.Is(err, arbiter.ErrBusy):
			if ctx.Err() == nil { // the agent comes again, and says again what was not answered
				x.end(x.server.away())
			}
			return nil, errEnded
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-x.ended:
			return nil, errEnded
		}
	}
}

// counts ends the session if the state machine says that it does not count.
func (x *session) counts(r *logpb.Result, err error) error {
	if err != nil || r.GetRefusal() == nil {
		return err
	}
	x.end(turnedAway(r.GetRefusal().GetCode(), r.GetRefusal().GetText()))
	return errEnded
}

// events brings events into the log and acknowledges them.
func (x *session) events(ctx context.Context, c *logpb.Events) error {
	for _, piece := range cut(c) {
		r, err := x.propose(ctx, &logpb.Command{What: &logpb.Command_Events{Events: piece}})
		if err := x.counts(r, err); err != nil {
			return err
		}
	}
	mark := &agentpb.Mark{}
	x.server.o.Replica.View(func(s *state.State) {
		h := s.Host(x.host)
		mark.Stream, mark.N = h.GetStream(), h.GetMark()
	})
	return x.send(&agentpb.ConnectResponse{What: &agentpb.ConnectResponse_Mark{Mark: mark}})
}

// cut makes commands of at most maxEvents each, in order; a single event that is larger stays one.
func cut(c *logpb.Events) []*logpb.Events {
	var out []*logpb.Events
	for all := c.GetEvent(); len(all) > 0; {
		n, size := 0, 0
		for n < len(all) {
			if size += proto.Size(all[n]) + 8; size > maxEvents && n > 0 {
				break
			}
			n++
		}
		out = append(out, &logpb.Events{Host: c.GetHost(), Epoch: c.GetEpoch(), Stream: c.GetStream(), Event: all[:n]})
		all = all[n:]
	}
	return out
}

// request brings a request into the log and answers it.
func (x *session) request(ctx context.Context, c *logpb.Request) error {
	r, err := x.propose(ctx, &logpb.Command{From: x.from, What: &logpb.Command_Request{Request: c}})
	if err != nil {
		return err
	}
	answer := &agentpb.Answer{N: c.GetN()}
	if r.GetRefusal() != nil {
		answer.What = &agentpb.Answer_Refusal{Refusal: r.GetRefusal()}
	} else {
		answer.What = &agentpb.Answer_Grant{Grant: r.GetGrant()}
	}
	return x.send(&agentpb.ConnectResponse{What: &agentpb.ConnectResponse_Answer{Answer: answer}})
}

// settle brings a settlement into the log and answers it.
func (x *session) settle(ctx context.Context, c *logpb.Settle) error {
	r, err := x.propose(ctx, &logpb.Command{From: x.from, What: &logpb.Command_Settle{Settle: c}})
	if err != nil {
		return err
	}
	answer := &agentpb.Answer{N: c.GetToken().GetN(), Token: c.GetToken()}
	if r.GetRefusal() != nil {
		answer.What = &agentpb.Answer_Refusal{Refusal: r.GetRefusal()}
	} else {
		answer.What = &agentpb.Answer_Settled{Settled: &agentpb.Settled{}}
	}
	return x.send(&agentpb.ConnectResponse{What: &agentpb.ConnectResponse_Answer{Answer: answer}})
}
