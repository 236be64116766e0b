// Package etcd is the client that etcd is measured with: puts through etcd's own gRPC API, over the same kind
// of connections and by the same driver as permits.
package etcd

import (
	"context"
	"errors"
	"fmt"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"

	"github.com/salveops/salve/packaging/lab/load"
	"github.com/salveops/salve/pkg/transport"
)

// Client speaks with one member.
type Client struct{ conn *grpc.ClientConn }

// Dial makes a client of a member on loopback. It connects with its first question, and again soon when the
// member comes back.
func Dial(ctx context.Context, address string) (*Client, error) {
	t, err := transport.New(transport.Options{})
	if err != nil {
		return nil, fmt.Errorf("dial etcd: %w", err)
	}
	conn, err := t.Client(ctx, address,
		grpc.WithDefaultCallOptions(grpc.ForceCodecV2(codec{})),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 10 * time.Millisecond, Multiplier: 1.5, MaxDelay: 100 * time.Millisecond},
			MinConnectTimeout: time.Second,
		}))
	if err != nil {
		return nil, fmt.Errorf("dial etcd: %w", err)
	}
	return &Client{conn: conn}, nil
}

// Close ends the connection.
func (c *Client) Close() { _ = c.conn.Close() }

// Put writes a key. It returns when the put is committed and applied.
func (c *Client) Put(ctx context.Context, key, value []byte) error {
	var r putResponse
	if err := c.conn.Invoke(ctx, "/etcdserverpb.KV/Put", &putRequest{key: key, value: value}, &r); err != nil {
		return fmt.Errorf("put: %w", err)
	}
	if r.header.revision == 0 {
		return errors.New("put: the answer has no revision")
	}
	return nil
}

// Status is what a member says of itself.
type Status struct {
	Member uint64
	Leader uint64 // the member that it follows, 0: none
	Term   uint64
	Index  uint64 // of Raft's last committed entry
}

// Status asks the member.
func (c *Client) Status(ctx context.Context) (Status, error) {
	var r statusResponse
	if err := c.conn.Invoke(ctx, "/etcdserverpb.Maintenance/Status", statusRequest{}, &r); err != nil {
		return Status{}, fmt.Errorf("ask for status: %w", err)
	}
	return Status{Member: r.header.member, Leader: r.leader, Term: r.term, Index: r.index}, nil
}

// puts is a caller that puts its own key again and again.
type puts struct {
	client *Client
	key    []byte
	value  []byte
}

var _ load.Caller = (*puts)(nil)

// Callers are n callers, of which perClient share a client and its connection. A put has size bytes.
func Callers(clients []*Client, n, perClient, size int) ([]load.Caller, error) {
	if need := (n + perClient - 1) / perClient; need > len(clients) {
		return nil, fmt.Errorf("%d callers need %d clients", n, need)
	}
	all := make([]load.Caller, n)
	for i := range all {
		p := &puts{client: clients[i/perClient], key: fmt.Appendf(nil, "load-%06d", i)}
		p.value = make([]byte, max(0, size-len((&putRequest{key: p.key}).encode())))
		for over := 1; over > 0 && len(p.value) > 0; { // the length of the value has a length, too
			if over = len((&putRequest{key: p.key, value: p.value}).encode()) - size; over > 0 {
				p.value = p.value[over:]
			}
		}
		all[i] = p
	}
	return all, nil
}

// Next puts once.
func (p *puts) Next(ctx context.Context) (load.Op, time.Duration, error) {
	start := time.Now()
	err := p.client.Put(ctx, p.key, p.value)
	return load.Put, time.Since(start), err
}

// Finish has nothing to end.
func (p *puts) Finish(context.Context) error { return nil }
