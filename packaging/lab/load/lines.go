package load

import (
	"context"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"

	"github.com/salveops/salve/pkg/transport"
)

// lines makes the connections of a fleet.
type lines struct {
	transport *transport.Transport

	mu     sync.Mutex
	shared map[lineKey]*grpc.ClientConn
}

// lineKey names a shared connection: a group of agents with one node.
type lineKey struct {
	address string
	group   int
}

func newLines(t *transport.Transport) *lines {
	return &lines{transport: t, shared: map[lineKey]*grpc.ClientConn{}}
}

// own is a connection for one session; the caller closes it.
func (l *lines) own(ctx context.Context, address string) (*grpc.ClientConn, error) {
	return l.transport.Client(ctx, address)
}

// redial is how soon a shared connection that broke is made again.
var redial = backoff.Config{BaseDelay: 10 * time.Millisecond, Multiplier: 1.5, MaxDelay: 100 * time.Millisecond}

// of is the connection that a group shares; it lives as long as the fleet.
func (l *lines) of(ctx context.Context, address string, group int) (*grpc.ClientConn, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	key := lineKey{address, group}
	if c := l.shared[key]; c != nil {
		return c, nil
	}
	c, err := l.transport.Client(ctx, address,
		grpc.WithConnectParams(grpc.ConnectParams{Backoff: redial, MinConnectTimeout: time.Second}))
	if err == nil {
		l.shared[key] = c
	}
	return c, err
}

func (l *lines) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range l.shared {
		_ = c.Close()
	}
}
