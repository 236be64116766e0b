package web

import (
	"context"
	"net/http"

	"google.golang.org/grpc"

	"github.com/salveops/salve/controller/internal/access"
	"github.com/salveops/salve/controller/internal/adminapi"
	"github.com/salveops/salve/proto/adminpb"
)

// known is a request's context with what it shows of its sender.
func known(r *http.Request) context.Context {
	s := access.Shown{Address: r.RemoteAddr, Bearer: access.Bearer(r.Header.Get("Authorization"))}
	if r.TLS != nil && len(r.TLS.PeerCertificates) > 0 {
		s.Peer = r.TLS.PeerCertificates[0]
	}
	return access.With(r.Context(), s)
}

// viewers keeps everybody out who may not read.
func (s *Server) viewers(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.o.Gate != nil {
			if _, err := s.o.Gate.Enter(known(r), adminpb.Admin_Status_FullMethodName); err != nil {
				fail(w, err)
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}

// unaryGate is the gate that calls over gRPC pass, too.
func (a *api) unaryGate() grpc.UnaryServerInterceptor {
	outer := adminapi.Unary(a.log)
	if a.gate == nil {
		return outer
	}
	inner := a.gate.Unary()
	return func(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
		return outer(ctx, req, info, func(ctx context.Context, req any) (any, error) { return inner(ctx, req, info, next) })
	}
}

// streamGate is unaryGate for streams.
func (a *api) streamGate() grpc.StreamServerInterceptor {
	outer := adminapi.Stream(a.log)
	if a.gate == nil {
		return outer
	}
	inner := a.gate.Stream()
	return func(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) error {
		return outer(srv, ss, info, func(srv any, ss grpc.ServerStream) error { return inner(srv, ss, info, next) })
	}
}
