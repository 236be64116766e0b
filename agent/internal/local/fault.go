package local

import (
	"context"
	"errors"
	"runtime/debug"

	"github.com/hashicorp/go-hclog"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// toStatus gives an error the gRPC code that the CLI chooses its exit code by. The text stays whole:
// it was written for people.
func toStatus(err error) error {
	if err == nil {
		return nil
	}
	if _, ok := status.FromError(err); ok {
		return err
	}
	code := codes.Internal
	switch {
	case errors.Is(err, ErrNotFound):
		code = codes.NotFound
	case errors.Is(err, ErrInvalid):
		code = codes.InvalidArgument
	case errors.Is(err, ErrRefused):
		code = codes.FailedPrecondition
	case errors.Is(err, context.Canceled):
		code = codes.Canceled
	case errors.Is(err, context.DeadlineExceeded):
		code = codes.DeadlineExceeded
	}
	return status.Error(code, err.Error())
}

// errPanic is all that a caller learns of a panic; the log has the rest.
var errPanic = status.Error(codes.Internal, "the agent failed while it answered; its log says where")

// recoverUnary keeps a panic in one call from taking the agent, and all its healing, down.
func recoverUnary(log hclog.Logger) grpc.UnaryServerInterceptor {
	return func(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (resp any, err error) {
		defer func() {
			if r := recover(); r != nil {
				logPanic(log, info.FullMethod, r)
				err = errPanic
			}
		}()
		resp, err = next(ctx, req)
		if err != nil {
			return nil, toStatus(err)
		}
		cleanMessage(resp)
		return resp, nil
	}
}

// recoverStream is recoverUnary for streams.
func recoverStream(log hclog.Logger) grpc.StreamServerInterceptor {
	return func(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) (err error) {
		defer func() {
			if r := recover(); r != nil {
				logPanic(log, info.FullMethod, r)
				err = errPanic
			}
		}()
		return toStatus(next(srv, cleanStream{ss}))
	}
}

func logPanic(log hclog.Logger, method string, reason any) {
	log.Error("panic in handler", "method", method, "reason", reason, "stack", string(debug.Stack()))
}
