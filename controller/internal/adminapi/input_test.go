package adminapi_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/salveops/salve/proto/adminpb"
	"github.com/salveops/salve/proto/logpb"
)

func messageOf(t *testing.T, name protoreflect.FullName) proto.Message {
	t.Helper()
	mt, err := protoregistry.GlobalTypes.FindMessageByName(name)
	if err != nil {
		t.Fatal(err)
	}
	return mt.New().Interface()
}

// What makes no sense is said to be wrong, with the words of what is wrong.
func TestInput(t *testing.T) {
	r := newRig(t)
	year := int64(366 * 24 * time.Hour)
	pause := func(p *adminpb.PauseRequest) func(context.Context) error {
		return func(ctx context.Context) error { _, err := r.Pause(ctx, p); return err }
	}
	silence := func(s *adminpb.SilenceRequest) func(context.Context) error {
		return func(ctx context.Context) error { _, err := r.Silence(ctx, s); return err }
	}
	record := func(c *logpb.Change) func(context.Context) error {
		return func(ctx context.Context) error {
			_, err := r.RecordChange(ctx, &adminpb.RecordChangeRequest{Change: c})
			return err
		}
	}
	many := make([]*logpb.Label, 17)
	for i := range many {
		many[i] = label("service", "x")[0]
	}
	tests := []struct {
		name string
		call func(context.Context) error
		code codes.Code
		text string
	}{
		{"nobody", pause(&adminpb.PauseRequest{Scope: "all", Reason: "x", UntilResumed: true}), codes.InvalidArgument, "who asks"},
		{"no reason", pause(&adminpb.PauseRequest{Scope: "all", By: "a", UntilResumed: true}), codes.InvalidArgument, "reason"},
		{"blank reason", pause(&adminpb.PauseRequest{Scope: "all", By: "a", Reason: " ", UntilResumed: true}), codes.InvalidArgument, "reason"},
		{"no end", pause(&adminpb.PauseRequest{Scope: "all", By: "a", Reason: "x"}), codes.InvalidArgument, "until_resumed"},
		{"two ends", pause(&adminpb.PauseRequest{Scope: "all", By: "a", Reason: "x", For: 1, UntilResumed: true}), codes.InvalidArgument, "until_resumed"},
		{"negative", pause(&adminpb.PauseRequest{Scope: "all", By: "a", Reason: "x", For: -1}), codes.InvalidArgument, "more than nothing"},
		{"for ever", pause(&adminpb.PauseRequest{Scope: "all", By: "a", Reason: "x", For: year + 1}), codes.InvalidArgument, "at most a year"},
		{"long wait", pause(&adminpb.PauseRequest{Scope: "all", By: "a", Reason: "x", For: 1, Wait: int64(time.Hour)}), codes.InvalidArgument, "30s is the most"},
		{"no scope", pause(&adminpb.PauseRequest{By: "a", Reason: "x", For: 1}), codes.InvalidArgument, "scope is missing"},
		{"odd scope", pause(&adminpb.PauseRequest{Scope: "rack:r1", By: "a", Reason: "x", For: 1}), codes.InvalidArgument, "say all, host:NAME"},
		{"scope of nothing", pause(&adminpb.PauseRequest{Scope: "service:", By: "a", Reason: "x", For: 1}), codes.InvalidArgument, "names nothing"},
		{"mistyped service", pause(&adminpb.PauseRequest{Scope: "service:chekout", By: "a", Reason: "x", For: 1}), codes.NotFound, "chekout not found"},
		{"mistyped name", pause(&adminpb.PauseRequest{Scope: "chekout", By: "a", Reason: "x", For: 1}), codes.NotFound, "no service and no host"},
		{"glob of nothing", pause(&adminpb.PauseRequest{Scope: "service:x*", By: "a", Reason: "x", For: 1}), codes.NotFound, "not found"},
		{"mistyped host", pause(&adminpb.PauseRequest{Scope: "host:web-9", By: "a", Reason: "x", For: 1}), codes.NotFound, "host web-9 not found"},
		{"long name of who", pause(&adminpb.PauseRequest{Scope: "all", By: strings.Repeat("a", 129), Reason: "x", For: 1}), codes.InvalidArgument, "128 are the most"},
		{"reason that steers a terminal", pause(&adminpb.PauseRequest{Scope: "all", By: "a", Reason: "x\x1b[2J", For: 1}), codes.InvalidArgument, "control characters"},
		{"name that steers a terminal", pause(&adminpb.PauseRequest{Scope: "all", By: "a\x1b[2J", Reason: "x", For: 1}), codes.InvalidArgument, "control characters"},
		{"reason of two lines", pause(&adminpb.PauseRequest{Scope: "all", By: "a", Reason: "x\ny", For: 1}), codes.InvalidArgument, "control characters"},
		{"long reason", pause(&adminpb.PauseRequest{Scope: "all", By: "a", Reason: strings.Repeat("x", 1025), For: 1}), codes.InvalidArgument, "1024 are the most"},
		{"matches all", silence(&adminpb.SilenceRequest{By: "a", Reason: "x", For: 1}), codes.InvalidArgument, "service=*"},
		{"many conditions", silence(&adminpb.SilenceRequest{Match: many, By: "a", Reason: "x", For: 1}), codes.InvalidArgument, "17 conditions"},
		{"bad glob", silence(&adminpb.SilenceRequest{Match: label("service", "["), By: "a", Reason: "x", For: 1}), codes.InvalidArgument, "cannot be read"},
		{"silence without end", silence(&adminpb.SilenceRequest{Match: label("service", "x"), By: "a", Reason: "x"}), codes.InvalidArgument, "more than nothing"},
		{"change of nothing", record(&logpb.Change{Kind: "package", Text: "x", By: "a"}), codes.InvalidArgument, "of a service, of a host"},
		{"odd kind", record(&logpb.Change{Service: "x", Kind: "mood", Text: "x", By: "a"}), codes.InvalidArgument, "kind"},
		{"no text", record(&logpb.Change{Service: "x", Kind: "package", By: "a"}), codes.InvalidArgument, "what has changed"},
		{"change of no host", record(&logpb.Change{Host: "web-9", Kind: "package", Text: "x", By: "a"}), codes.NotFound, "web-9"},
		{"resume nothing", func(ctx context.Context) error {
			_, err := r.Resume(ctx, &adminpb.ResumeRequest{Pause: "checkout", By: "a"})
			return err
		}, codes.NotFound, "checkout is not paused"},
		{"breaker of nothing", func(ctx context.Context) error {
			_, err := r.CloseBreaker(ctx, &adminpb.CloseBreakerRequest{Service: "checkout", Rule: "slow", By: "a"})
			return err
		}, codes.NotFound, "no breaker is open"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			before := r.index()
			wants(t, tt.call(r.ctx), tt.code, "", tt.text)
			if r.index() != before {
				t.Error("it came into the log")
			}
		})
	}
}
