// Package adminapi is the operator's API of the controller: it checks what comes in, asks the state or
// proposes a command, and says at which point of the log its answer is true.
package adminapi

import (
	"context"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
	"google.golang.org/grpc"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/reflection"

	"github.com/salveops/salve/controller/internal/state"
	"github.com/salveops/salve/pkg/clock"
	"github.com/salveops/salve/proto/adminpb"
	"github.com/salveops/salve/proto/logpb"
)

// Proposer brings a command into the log. Only the leader's does.
type Proposer interface {
	Propose(ctx context.Context, c *logpb.Command) (*logpb.Result, uint64, error)
}

// Store is this node's copy of the state.
type Store interface {
	View(func(*state.State))
	// Changed is closed when the next entry is applied.
	Changed() <-chan struct{}
}

// Standing is how a node stands in its cluster at a moment.
type Standing struct {
	ID, Role      string // Raft ID; "leader", "follower", "candidate"
	Leader        string // Raft ID of the leader, "": none is known
	LeaderAddress string // of its API
	Term          uint64
	Silent        time.Duration // for how long no leader was heard, 0: it leads
	Behind        uint64        // entries that are committed and not applied here
	Problem       string        // what keeps the node from its part, "": nothing
	Refused       string        // why the last reload of its file was refused, "": it was not
	Refusals      uint64        // reloads refused since the node started
	Certificate   string        // what a person should know of the end of its certificate, "": nothing
}

// Node is what reads ask of Raft.
type Node interface {
	Standing() Standing
	// Barrier ends once everything that was committed before is applied here.
	Barrier(ctx context.Context) error
	// VerifyLeader ends once most of the cluster has said that this node still leads.
	VerifyLeader(ctx context.Context) error
}

// Cluster changes who takes part.
type Cluster interface {
	Peers() ([]*adminpb.Peer, error)
	AddPeer(ctx context.Context, id, address string) error
	RemovePeer(ctx context.Context, id string) error
	// Transfer hands the leadership to a peer, "" is the most up to date.
	Transfer(ctx context.Context, to string) error
}

// Backups write the whole state out and take it in.
type Backups interface {
	Backup(ctx context.Context, w io.Writer) error
	// Restore replaces the state and begins a new generation, paused.
	Restore(ctx context.Context, r io.Reader, by string) error
}

// Sessions is what only the leader's memory knows of hosts.
type Sessions interface {
	// Heard says whether a session is open, and how long ago the last round trip was; ok is false if there
	// was none since this node leads.
	Heard(host string) (connected bool, ago time.Duration, ok bool)
}

// Evidence lies beside the log.
type Evidence interface {
	// Open gives a piece of evidence by its digest; the error is fs.ErrNotExist if this node has none.
	Open(digest []byte) (title string, r io.ReadCloser, err error)
}

// Options of a Server. All must be set, but for Log and Authorities.
type Options struct {
	Version  string
	Proposer Proposer
	Store    Store
	Node     Node
	Cluster  Cluster
	Backups  Backups
	Sessions Sessions
	Evidence Evidence
	Clock    clock.Clock // recurring windows go by it
	// Authorities go into tokens, so that their holders know the nodes. nil: lines are plain text.
	Authorities Authorities
	Log         hclog.Logger
}

// Server is the API of one node.
type Server struct {
	adminpb.UnimplementedAdminServer
	o       Options
	log     hclog.Logger
	leading leading
	feed    feed

	watchers atomic.Int32
	stop     chan struct{}
	once     sync.Once
}

var _ adminpb.AdminServer = (*Server)(nil)

// New makes the API of a node.
func New(o Options) *Server {
	if o.Log == nil {
		o.Log = hclog.NewNullLogger()
	}
	s := &Server{o: o, log: o.Log.Named("admin"), stop: make(chan struct{})}
	s.leading.node = o.Node
	s.feed.store, s.feed.stop = o.Store, s.stop
	return s
}

// Register adds the API, health and reflection to a gRPC server, which has to use Unary and Stream.
func (s *Server) Register(g *grpc.Server) {
	adminpb.RegisterAdminServer(g, s)
	healthpb.RegisterHealthServer(g, &health{server: s})
	reflection.Register(g)
}

// Stop ends the streams, so that nobody who watches holds up the end of the gRPC server.
func (s *Server) Stop() { s.once.Do(func() { close(s.stop) }) }

// streamContext ends with the call and with the server.
func (s *Server) streamContext(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	go func() {
		select {
		case <-s.stop:
			cancel(errStopping)
		case <-ctx.Done():
		}
	}()
	return ctx, func() { cancel(nil) }
}

// Unready says why this node cannot answer for the cluster, "" if it can: it hears a leader and has applied
// nearly all that is committed.
func (s *Server) Unready() string { return unready(s.o.Node.Standing()) }
