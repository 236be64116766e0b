package arbiter

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/salveops/salve/controller/internal/arbiter/arbitertest"
	"github.com/salveops/salve/controller/internal/state"
	"github.com/salveops/salve/pkg/transport"
	"github.com/salveops/salve/proto/logpb"
)

// peers serves an arbiter to other nodes on loopback, and gives the way to dial it.
func peers(t *testing.T, r *rig) (address string, dial func(context.Context, string) (*grpc.ClientConn, error)) {
	t.Helper()
	lines, err := transport.New(transport.Options{})
	if err != nil {
		t.Fatal(err)
	}
	g, l, err := lines.GRPC(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r.Register(g)
	var wg sync.WaitGroup
	wg.Go(func() { _ = g.Serve(l) })
	t.Cleanup(func() {
		g.Stop()
		wg.Wait()
	})
	return l.Addr().String(), func(ctx context.Context, address string) (*grpc.ClientConn, error) {
		return lines.Client(ctx, address)
	}
}

// inOffice waits until the node takes commands.
func (r *rig) inOffice() {
	for {
		leads, changed := r.Leads()
		if leads {
			return
		}
		<-changed
	}
}

// Over the wire between nodes: a configuration and a page come into the log of the leader, and nothing else does.
func TestPeer(t *testing.T) {
	j := arbitertest.NewJournal(t)
	r := start(t, j, "n1", 0, nil)
	address, dial := peers(t, r)
	forward, paged := Forward("n2", dial), ForwardPaged(dial)
	c := &logpb.Config{Digest: []byte("two"), Services: []*logpb.Service{{Name: "checkout"}}}

	if _, err := forward(t.Context(), address, c, false); status.Code(err) != codes.FailedPrecondition {
		t.Errorf("a follower took it: %v", err)
	}
	r.seat.Elect("n1", false)
	r.inOffice()
	if kept, err := forward(t.Context(), address, c, false); err != nil || kept {
		t.Errorf("kept %v, %v", kept, err)
	}
	other := &logpb.Config{Digest: []byte("three")}
	if kept, err := forward(t.Context(), address, other, true); err != nil || !kept {
		t.Errorf("a first file replaced the configuration: kept %v, %v", kept, err)
	}
	if _, err := forward(t.Context(), address, &logpb.Config{}, false); status.Code(err) != codes.InvalidArgument {
		t.Errorf("a configuration without a digest: %v", err)
	}
	if _, err := Forward(strings.Repeat("n", maxID+1), dial)(t.Context(), address, c, false); status.Code(err) != codes.InvalidArgument {
		t.Errorf("a node with a long ID: %v", err)
	}
	if err := paged(t.Context(), address, &logpb.QuorumPage{Key: "quorum-x-1/0", Node: "n2", Notifiers: []string{"slack.ops"}}); err != nil {
		t.Errorf("a page: %v", err)
	}
	for name, page := range map[string]*logpb.QuorumPage{
		"nothing": nil,
		"no node": {Key: "k"},
		"long":    {Key: "k", Node: "n2", Text: strings.Repeat("x", maxPageText)},
		"many":    {Key: "k", Node: "n2", Notifiers: make([]string, maxPagePlaces+1)},
	} {
		if err := paged(t.Context(), address, page); status.Code(err) != codes.InvalidArgument {
			t.Errorf("%s: %v", name, err)
		}
	}
	j.View(func(s *state.State) {
		if string(s.Config().GetDigest()) != "two" || len(s.Incidents()) != 1 {
			t.Errorf("configuration %q, incidents %v", s.Config().GetDigest(), s.Incidents())
		}
	})
	if _, err := forward(t.Context(), "192.0.2.1:7600", c, false); !errors.Is(err, transport.ErrPlainText) {
		t.Errorf("plain text off this machine: %v", err)
	}
}
