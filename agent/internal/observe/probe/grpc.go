package probe

import (
	"context"
	"fmt"
	"net"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
)

// grpcProtocol asks a server by the health protocol of gRPC.
type grpcProtocol struct {
	endpoint
	options []grpc.DialOption
	request *grpc_health_v1.HealthCheckRequest
}

const (
	grpcMost   = 4 << 10  // bytes of an answer
	grpcHeader = 16 << 10 // bytes of its header
	grpcBuffer = 1 << 10  // of a connection, in each direction
)

func newGRPC(t Target) grpcProtocol {
	p := grpcProtocol{endpoint: dialed(t.GRPC), request: &grpc_health_v1.HealthCheckRequest{Service: t.Health}}
	creds := insecure.NewCredentials()
	if t.Secure {
		creds = credentials.NewTLS(p.secured(p.host()).tls)
	}
	p.options = []grpc.DialOption{
		grpc.WithTransportCredentials(creds), grpc.WithContextDialer(p.plain),
		grpc.WithUserAgent("salve"), grpc.WithDisableServiceConfig(), grpc.WithNoProxy(),
		grpc.WithMaxHeaderListSize(grpcHeader), grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(grpcMost)),
		grpc.WithReadBufferSize(grpcBuffer), grpc.WithWriteBufferSize(grpcBuffer),
	}
	if p.network == "unix" { // a path is no authority
		p.options = append(p.options, grpc.WithAuthority(p.host()))
	}
	return p
}

// plain makes the connection below.
func (p grpcProtocol) plain(ctx context.Context, _ string) (net.Conn, error) {
	deadline, _ := ctx.Deadline() // none: only the question has one
	return p.connect(ctx, deadline)
}

// dial connects with the first question.
func (p grpcProtocol) dial(context.Context, time.Time) (*grpc.ClientConn, error) {
	c, err := grpc.NewClient("passthrough:///"+p.address, p.options...)
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	return c, nil
}

func (grpcProtocol) sound(c *grpc.ClientConn) bool { return c.GetState() == connectivity.Ready }

func (p grpcProtocol) exchange(ctx context.Context, c *grpc.ClientConn, deadline time.Time) (answer, fate) {
	ctx, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	res, err := grpc_health_v1.NewHealthClient(c).Check(ctx, p.request)
	switch {
	case status.Code(err) == codes.NotFound:
		return grpcAnswer(grpc_health_v1.HealthCheckResponse_SERVICE_UNKNOWN), keep
	case status.Code(err) == codes.Unavailable && ctx.Err() == nil:
		return answer{err: fmt.Errorf("ask: %w", err)}, stale
	case err != nil:
		return answer{err: fmt.Errorf("ask: %w", err)}, drop
	}
	return grpcAnswer(res.Status), keep
}

func grpcAnswer(s grpc_health_v1.HealthCheckResponse_ServingStatus) answer {
	a := answer{answered: true, figure: float64(s)}
	if s != grpc_health_v1.HealthCheckResponse_SERVING {
		a.err = fmt.Errorf("health is %s", s)
	}
	return a
}
