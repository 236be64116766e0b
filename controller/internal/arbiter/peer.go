package arbiter

import (
	"context"
	"errors"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/salveops/salve/controller/internal/access"
	"github.com/salveops/salve/proto/logpb"
	"github.com/salveops/salve/proto/peerpb"
)

// Peer answers other nodes of the cluster. It takes two kinds of commands only, so that who may speak it can change
// what the controller decides by, and end a page, and nothing else.
type Peer struct {
	peerpb.UnimplementedPeerServer
	arbiter *Arbiter
}

var _ peerpb.PeerServer = (*Peer)(nil)

// Register adds the nodes' own service to a gRPC server.
func (a *Arbiter) Register(g *grpc.Server) { peerpb.RegisterPeerServer(g, &Peer{arbiter: a}) }

// Configure proposes the configuration of a follower.
func (p *Peer) Configure(ctx context.Context, r *peerpb.ConfigureRequest) (*peerpb.ConfigureResponse, error) {
	if r.GetNode() == "" || len(r.GetNode()) > maxID {
		return nil, status.Error(codes.InvalidArgument, "the request does not say which node's configuration it is")
	}
	if err := proposable(r.GetConfig()); err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	kept, err := p.arbiter.Adopt(ctx, r.GetConfig(), r.GetNode(), r.GetFirst())
	switch {
	case errors.As(err, new(ErrNotLeader)):
		return nil, status.Error(codes.FailedPrecondition, err.Error())
	case err != nil:
		return nil, status.Error(codes.Unavailable, err.Error())
	}
	return &peerpb.ConfigureResponse{Kept: kept}, nil
}

// Bounds of what a node says that it paged.
const (
	maxPageText   = 4 << 10
	maxPagePlaces = 100
)

// Paged proposes what another node says about its page.
func (p *Peer) Paged(ctx context.Context, r *peerpb.PagedRequest) (*peerpb.PagedResponse, error) {
	page := r.GetPage()
	if page.GetKey() == "" || page.GetNode() == "" || len(page.GetKey())+len(page.GetNode())+len(page.GetText()) > maxPageText ||
		len(page.GetNotifiers()) > maxPagePlaces {
		return nil, status.Error(codes.InvalidArgument, "the page is out of bounds")
	}
	res, _, err := p.arbiter.Propose(ctx, &logpb.Command{From: access.Origin(ctx),
		What: &logpb.Command_QuorumPage{QuorumPage: page}})
	switch {
	case errors.As(err, new(ErrNotLeader)):
		return nil, status.Error(codes.FailedPrecondition, err.Error())
	case err != nil:
		return nil, status.Error(codes.Unavailable, err.Error())
	case res.GetRefusal() != nil:
		return nil, status.Error(codes.InvalidArgument, res.GetRefusal().GetText())
	}
	return &peerpb.PagedResponse{}, nil
}

// ForwardPaged hands a page to the leader at an address.
func ForwardPaged(dial func(ctx context.Context, address string) (*grpc.ClientConn, error)) func(
	context.Context, string, *logpb.QuorumPage) error {
	return func(ctx context.Context, address string, page *logpb.QuorumPage) error {
		conn, err := dial(ctx, address)
		if err != nil {
			return err
		}
		defer conn.Close()
		_, err = peerpb.NewPeerClient(conn).Paged(ctx, &peerpb.PagedRequest{Page: page})
		return err
	}
}

// Forward makes Options.Forward of a way to dial nodes.
func Forward(node string, dial func(ctx context.Context, address string) (*grpc.ClientConn, error)) func(
	context.Context, string, *logpb.Config, bool) (bool, error) {
	return func(ctx context.Context, address string, c *logpb.Config, first bool) (bool, error) {
		conn, err := dial(ctx, address)
		if err != nil {
			return false, err
		}
		defer conn.Close()
		r, err := peerpb.NewPeerClient(conn).Configure(ctx, &peerpb.ConfigureRequest{Node: node, Config: c, First: first})
		return r.GetKept(), err
	}
}
