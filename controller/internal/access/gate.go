package access

import (
	"context"
	"errors"
	"fmt"
	"path"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/salveops/salve/controller/internal/state"
	"github.com/salveops/salve/pkg/clock"
	"github.com/salveops/salve/pkg/identity"
	"github.com/salveops/salve/pkg/limit"
)

// Limits of tokens that are wrong: for one address, and in all.
const (
	failBurst, failEvery       = 10, 10 * time.Second
	failAllBurst, failAllEvery = 500, 100 * time.Millisecond
)

// Replica is this node's copy of the state.
type Replica interface {
	View(func(*state.State))
	// Changed is closed when the next entry is applied.
	Changed() <-chan struct{}
}

// Options of New. Replica is mandatory.
type Options struct {
	Replica Replica
	// Plain: lines are plain text, on this machine only, and nobody can be known.
	Plain bool
	Log   hclog.Logger
	Now   func() time.Time // nil: the wall clock, as certificates have it
}

// Gate is what every call passes.
type Gate struct {
	o        Options
	log      hclog.Logger
	table    map[string]Need
	failures *limit.Limiter
	open     visitors

	wrong, limited atomic.Uint64 // tokens
}

// Tokens is how many tokens were wrong since the start, and how many were not looked at because too many had been.
func (g *Gate) Tokens() (wrong, limited uint64) { return g.wrong.Load(), g.limited.Load() }

// New makes a gate.
func New(o Options) (*Gate, error) {
	if o.Replica == nil {
		return nil, errors.New("make gate: option Replica is missing")
	}
	if o.Log == nil {
		o.Log = hclog.NewNullLogger()
	}
	if o.Now == nil {
		o.Now = clock.Wall
	}
	g := &Gate{o: o, log: o.Log.Named("access"), table: Table(),
		failures: limit.New(failBurst, failEvery, failAllBurst, failAllEvery)}
	g.open.init()
	return g, nil
}

// Enter judges a call to a method, "/package.Service/Method". The context that it returns knows the caller.
func (g *Gate) Enter(ctx context.Context, method string) (context.Context, error) {
	need, ok := g.table[method]
	if !ok {
		return nil, status.Errorf(codes.Unimplemented, "there is no method %s", method)
	}
	caller, err := g.known(shown(ctx))
	if err != nil {
		if !need.Anyone {
			return nil, err
		}
		caller = Caller{}
	}
	if caller.How != ByNothing && !need.allows(caller.Name) {
		return nil, refusal(caller, need, method)
	}
	return context.WithValue(ctx, callerKey{}, caller), nil
}

// refusal says what is missing.
func refusal(c Caller, need Need, method string) error {
	name := path.Base(method)
	switch {
	case c.How == "":
		return status.Errorf(codes.Unauthenticated, "%s asks for a certificate or a token: salve login", name)
	case need.Kind == identity.Operator && c.Name.Kind == identity.Operator:
		return status.Errorf(codes.PermissionDenied, "%s has the role %s, and %s asks for %s", c.Name.ID, c.Name.Role, name,
			need.Role)
	}
	return status.Errorf(codes.PermissionDenied, "%s is for a %s, and not for %s", name, need.Kind, c.Name.Short())
}

// MayBe reports whether the caller may speak for a host: each only for itself.
func MayBe(ctx context.Context, host string) error {
	switch c, ok := Of(ctx); {
	case ok && c.How == ByNothing:
		return nil
	case !ok || c.Name.Kind != identity.Host || c.Name.ID != host:
		return fmt.Errorf("the certificate is for %s, and not for host %s", c.Name.Short(), host)
	}
	return nil
}

// Unary is the gate for calls with one answer.
func (g *Gate) Unary() grpc.UnaryServerInterceptor {
	return func(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
		ctx, err := g.Enter(ctx, info.FullMethod)
		if err != nil {
			return nil, err
		}
		g.sign(ctx, info.FullMethod, req)
		return next(ctx, req)
	}
}

// Stream is the gate for streams. One ends when its caller's certificate or token does, or is revoked.
func (g *Gate) Stream() grpc.StreamServerInterceptor {
	return func(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) error {
		ctx, err := g.Enter(ss.Context(), info.FullMethod)
		if err != nil {
			return err
		}
		ctx, leave := g.stay(ctx)
		defer leave()
		err = next(srv, &guarded{ServerStream: ss, ctx: ctx, sign: func(m any) { g.sign(ctx, info.FullMethod, m) }})
		if why := context.Cause(ctx); errors.Is(why, errCut) {
			return status.Error(codes.Unauthenticated, why.Error())
		}
		return err
	}
}

// guarded is a stream whose context ends when its caller has to go.
type guarded struct {
	grpc.ServerStream
	ctx  context.Context
	sign func(any)
}

// Context implements grpc.ServerStream.
func (s *guarded) Context() context.Context { return s.ctx }

// RecvMsg implements grpc.ServerStream.
func (s *guarded) RecvMsg(m any) error {
	if err := s.ServerStream.RecvMsg(m); err != nil {
		return err
	}
	s.sign(m)
	return nil
}

// sign puts the caller's name where an operator's request says who asks, whatever the client wrote there. On a plain
// line that is all there is.
func (g *Gate) sign(ctx context.Context, method string, req any) {
	c, ok := Of(ctx)
	m, isMessage := req.(proto.Message)
	if !ok || !isMessage || c.How == ByNothing || g.table[method].Kind != identity.Operator {
		return
	}
	signMessage(m.ProtoReflect(), c.Name.By())
}

// signMessage sets the field "by" of a message, and of the messages in it.
func signMessage(m protoreflect.Message, by string) {
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		switch {
		case f.IsList() || f.IsMap():
		case f.Kind() == protoreflect.MessageKind && m.Has(f):
			signMessage(m.Mutable(f).Message(), by)
		case f.Kind() == protoreflect.StringKind && f.Name() == "by":
			m.Set(f, protoreflect.ValueOfString(by))
		}
	}
}
