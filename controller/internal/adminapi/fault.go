package adminapi

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/salveops/salve/controller/internal/adminapi/reason"
	"github.com/salveops/salve/controller/internal/arbiter"
	"github.com/salveops/salve/proto/logpb"
)

var errStopping = status.Error(codes.Unavailable, "this node is stopping")

// notLeader says where to ask.
func notLeader(st Standing) error {
	if st.Leader == "" || st.Leader == st.ID {
		since := ""
		if st.Silent > 0 {
			since = " for " + st.Silent.Round(time.Second).String()
		}
		why := "most of the nodes are down or cut off, or an election is going on"
		if st.Problem != "" {
			why = st.Problem
		}
		return noQuorum("node %s hears no leader%s: %s", st.ID, since, why)
	}
	return reason.Error(codes.FailedPrecondition, reason.NotLeader,
		map[string]string{"leader": st.Leader, "address": st.LeaderAddress}, 0,
		fmt.Sprintf("node %s does not lead; node %s does, at %s", st.ID, st.Leader, orUnknown(st.LeaderAddress)))
}

func orUnknown(s string) string {
	if s == "" {
		return "an address that is not known"
	}
	return s
}

func noQuorum(format string, args ...any) error {
	return reason.Error(codes.Unavailable, reason.NoQuorum, nil, time.Second, fmt.Sprintf(format, args...))
}

// proposeFault says what became of a command that got no result.
func proposeFault(err error) error {
	var other arbiter.ErrNotLeader
	switch {
	case errors.As(err, &other):
		return notLeader(Standing{ID: "that was asked", Leader: other.ID, LeaderAddress: other.Address})
	case errors.Is(err, arbiter.ErrUnknownOutcome):
		return reason.Error(codes.Unknown, reason.Unknown, nil, 0,
			"it may have been done, or may yet be: leadership was lost before the answer; look before you try again")
	case errors.Is(err, arbiter.ErrBusy):
		return reason.Error(codes.ResourceExhausted, reason.Busy, nil, time.Second, err.Error())
	case errors.Is(err, arbiter.ErrTooLarge):
		return status.Error(codes.InvalidArgument, err.Error())
	}
	return err
}

// refused is the state machine's no in its own words.
func refused(r *logpb.Refusal) error {
	meta := map[string]string{}
	if len(r.GetHolders()) > 0 {
		meta["holders"] = strings.Join(r.GetHolders(), ",")
	}
	return reason.Error(codes.FailedPrecondition, r.GetCode(), meta, time.Duration(r.GetRetryAfter()), r.GetText())
}

// toStatus gives every error a code.
func toStatus(err error) error {
	if err == nil {
		return nil
	}
	if _, ok := status.FromError(err); ok {
		return err
	}
	code := codes.Internal
	switch {
	case errors.Is(err, context.Canceled):
		code = codes.Canceled
	case errors.Is(err, context.DeadlineExceeded):
		code = codes.DeadlineExceeded
	}
	return status.Error(code, err.Error())
}

// errPanic is all that a caller learns of a panic; the log has the rest.
var errPanic = status.Error(codes.Internal, "the controller failed while it answered; its log says where")

// Unary gives errors their codes, and keeps a panic in one call from taking the node down.
func Unary(log hclog.Logger) grpc.UnaryServerInterceptor {
	return func(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (resp any, err error) {
		defer recovered(log, info.FullMethod, &err)
		resp, err = next(ctx, req)
		return resp, toStatus(err)
	}
}

// Stream is Unary for streams.
func Stream(log hclog.Logger) grpc.StreamServerInterceptor {
	return func(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) (err error) {
		defer recovered(log, info.FullMethod, &err)
		return toStatus(next(srv, ss))
	}
}

func recovered(log hclog.Logger, method string, err *error) {
	if r := recover(); r != nil {
		log.Error("panic in a call", "method", method, "panic", r, "stack", string(debug.Stack()))
		*err = errPanic
	}
}
