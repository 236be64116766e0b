// Package agentapi is the controller's end of the line to the agents: one session for each agent process, on the
// node that leads. It checks what arrives, has it proposed, and pushes to each host what binds it.
package agentapi

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
	"google.golang.org/grpc"

	"github.com/salveops/salve/controller/internal/state"
	"github.com/salveops/salve/pkg/clock"
	"github.com/salveops/salve/proto/agentpb"
	"github.com/salveops/salve/proto/logpb"
)

// Arbiter proposes; only the leader's does.
type Arbiter interface {
	Propose(ctx context.Context, c *logpb.Command) (*logpb.Result, uint64, error)
	// Leads reports whether this node leads and takes commands; the channel is closed when that changes.
	Leads() (bool, <-chan struct{})
	// Heard notes a round trip; sent is CLOCK_BOOTTIME when we sent what the host answered.
	Heard(host string, epoch uint64, sent time.Duration)
	// LastHeard is when the last round trip began; false: none since this node leads.
	LastHeard(host string) (time.Duration, bool)
}

// Replica is this node's copy of the state.
type Replica interface {
	View(f func(*state.State))
	Changed() <-chan struct{}
}

// Leader is who leads, as this node sees it.
type Leader struct {
	Self    bool          // this node does
	Address string        // where agents reach it; "": nobody is known to lead
	Silent  time.Duration // for how long no leader was heard
}

// Options of New. Only Log and Authorize may be missing.
type Options struct {
	Arbiter Arbiter
	Replica Replica
	Clock   clock.Clock
	Leader  func() Leader
	Data    string // folder; evidence lies in a folder below
	Log     hclog.Logger
	// Authorize reports whether the caller may speak for the host with this ID. nil: everybody may, as on a
	// line in plain text on this machine.
	Authorize func(ctx context.Context, host string) error
}

func (o *Options) validate() error {
	switch {
	case o.Arbiter == nil:
		return errors.New("option Arbiter is missing")
	case o.Replica == nil:
		return errors.New("option Replica is missing")
	case o.Clock == nil:
		return errors.New("option Clock is missing")
	case o.Leader == nil:
		return errors.New("option Leader is missing")
	case o.Data == "":
		return errors.New("option Data is missing")
	}
	return nil
}

// Server is the line's end on one node.
type Server struct {
	agentpb.UnimplementedLineServer
	o        Options
	log      hclog.Logger
	sessions registry
	gate     gate
	evidence *Store
	uploads  chan struct{}
	streams  atomic.Int32
}

var _ agentpb.LineServer = (*Server)(nil)

// New makes the line's end; it serves once it is registered and runs.
func New(o Options) (*Server, error) {
	if err := o.validate(); err != nil {
		return nil, fmt.Errorf("start line to agents: %w", err)
	}
	if o.Log == nil {
		o.Log = hclog.NewNullLogger()
	}
	store, err := OpenStore(o.Data)
	if err != nil {
		return nil, fmt.Errorf("start line to agents: %w", err)
	}
	s := &Server{o: o, log: o.Log.Named("agentapi"), evidence: store, uploads: make(chan struct{}, maxUploads)}
	s.sessions.open()
	return s, nil
}

// Register adds the line to a gRPC server.
func (s *Server) Register(g *grpc.Server) { agentpb.RegisterLineServer(g, s) }

// Store is the evidence that agents have handed over to this node.
func (s *Server) Store() *Store { return s.evidence }

// Heard says whether a session of the host is open here, and how long ago its last round trip began; ok is false
// if there was none since this node leads.
func (s *Server) Heard(host string) (connected bool, ago time.Duration, ok bool) {
	at, ok := s.o.Arbiter.LastHeard(host)
	if ok {
		ago = max(0, s.o.Clock.Now().Boot-at)
	}
	return s.sessions.of(host) != nil, ago, ok
}

// Run pushes standing orders, ends what is silent, and sends everybody away when this node leads no more, until
// ctx ends; then it waits for the sessions.
func (s *Server) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() { s.pushAll(ctx) })
	wg.Go(func() { s.watch(ctx) })
	for {
		leads, changed := s.o.Arbiter.Leads()
		if !leads {
			s.sendAway()
		}
		select {
		case <-changed:
		case <-ctx.Done():
			s.sessions.close()
			s.sendAway()
			s.sessions.readers.Wait()
			return nil
		}
	}
}

// sendAway ends every session: the agents look for the leader.
func (s *Server) sendAway() {
	all := s.sessions.all()
	if len(all) == 0 {
		return
	}
	m := s.away()
	for _, x := range all {
		x.end(m)
	}
	s.log.Info("sessions ended: this node does not lead", "sessions", len(all))
}

// away says where to go.
func (s *Server) away() *agentpb.ConnectResponse {
	switch l := s.o.Leader(); {
	case l.Self: // elected, and not ready yet; or it leads no more, and does not know it
		return busy(spread(shortBusy/10, shortBusy/2))
	case l.Address == "":
		return &agentpb.ConnectResponse{What: &agentpb.ConnectResponse_NoQuorum{
			NoQuorum: &agentpb.NoQuorum{Since: int64(l.Silent)},
		}}
	default:
		return &agentpb.ConnectResponse{What: &agentpb.ConnectResponse_Redirect{
			Redirect: &agentpb.Redirect{Address: l.Address},
		}}
	}
}

// watch ends sessions that are silent or stuck.
func (s *Server) watch(ctx context.Context) {
	ticker := time.NewTicker(watchEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		now := s.o.Clock.Now().Boot
		for _, x := range s.sessions.all() {
			if why := x.stale(now); why != "" {
				s.log.Info("session ended", "host", x.name, "reason", why)
				x.end(nil)
			}
		}
	}
}
