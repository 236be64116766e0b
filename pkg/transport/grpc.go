package transport

import (
	"context"
	"fmt"
	"net"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
)

// Bounds of gRPC lines. Buffers are small because thousands of agents hold a line each.
const (
	maxRequest  = 1 << 20 // what a server takes in one message
	maxResponse = 16 << 20
	bufferSize  = 4 << 10
	maxStreams  = 256 // side by side on one connection
	pingEvery   = 10 * time.Second
	pingTimeout = 5 * time.Second
)

// GRPC makes a gRPC server and the listener to serve it on. Errors: ErrPlainText.
func (t *Transport) GRPC(ctx context.Context, address string, o ...grpc.ServerOption) (*grpc.Server, net.Listener, error) {
	l, err := t.listen(ctx, address)
	if err != nil {
		return nil, nil, err
	}
	creds := insecure.NewCredentials()
	if !t.Plain() {
		creds = credentials.NewTLS(t.server("h2"))
	}
	o = append([]grpc.ServerOption{
		grpc.Creds(creds), grpc.MaxRecvMsgSize(maxRequest), grpc.MaxConcurrentStreams(maxStreams),
		grpc.ReadBufferSize(bufferSize), grpc.WriteBufferSize(bufferSize),
		grpc.ConnectionTimeout(dialTimeout),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: pingEvery, Timeout: pingTimeout}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: pingEvery / 2, PermitWithoutStream: true}),
	}, o...)
	return grpc.NewServer(o...), l, nil
}

// Client makes a gRPC connection, which dials when it is first used and again when it broke. Each time the address
// is judged anew; it is judged now, too, so that a wrong configuration fails at once. Errors: ErrPlainText.
func (t *Transport) Client(ctx context.Context, address string, o ...grpc.DialOption) (*grpc.ClientConn, error) {
	if _, err := t.permit(ctx, address); err != nil {
		return nil, fmt.Errorf("dial %q: %w", address, err)
	}
	creds := insecure.NewCredentials()
	if !t.Plain() {
		creds = heard{credentials.NewTLS(t.client("h2")), t.o.Dialled}
	}
	o = append([]grpc.DialOption{
		grpc.WithTransportCredentials(creds), grpc.WithContextDialer(t.dial),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxResponse)),
		grpc.WithReadBufferSize(bufferSize), grpc.WithWriteBufferSize(bufferSize),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: pingEvery, Timeout: pingTimeout}),
	}, o...)
	conn, err := grpc.NewClient("passthrough:///"+address, o...)
	if err != nil {
		return nil, fmt.Errorf("dial %q: %w", address, err)
	}
	return conn, nil
}
