// Package figure asks Prometheus servers the queries of controller.hcl, on the node that leads, and tells hosts what they
// answered: one question for the fleet, and none of it in the log. What is known is lost with the leadership.
package figure

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/salveops/salve/pkg/clock"
	"github.com/salveops/salve/pkg/promql"
	"github.com/salveops/salve/proto/agentpb"
)

// Query is one query of controller.hcl.
type Query struct {
	Name   string
	Every  time.Duration
	Window time.Duration // how far an answer looks back
	Server promql.Query
}

// Options of New. All are required but Log.
type Options struct {
	// Leads reports whether this node leads; the channel is closed when that changes.
	Leads func() (bool, <-chan struct{})
	Clock clock.Clock
	Log   hclog.Logger // nil: silent
}

// Server asks, and answers hosts. Its methods may be called from any goroutine.
type Server struct {
	agentpb.UnimplementedFiguresServer
	o       Options
	log     hclog.Logger
	swapped chan struct{} // holds one after Swap

	mu      sync.Mutex
	queries []Query
	asked   map[string]*asked // by name; empty while this node does not lead
}

// asked is a query with its newest answer.
type asked struct {
	Query
	answer *promql.Answer // nil: none, or it failed
	err    error
	n      uint64        // of the answer
	at     clock.Instant // before the server was asked
}

// New makes a server without queries.
func New(o Options) (*Server, error) {
	switch {
	case o.Leads == nil:
		return nil, errors.New("answer queries: option Leads is missing")
	case o.Clock == nil:
		return nil, errors.New("answer queries: option Clock is missing")
	case o.Log == nil:
		o.Log = hclog.NewNullLogger()
	}
	return &Server{o: o, log: o.Log.Named("figure"), swapped: make(chan struct{}, 1)}, nil
}

// Register adds the answers to a gRPC server.
func (s *Server) Register(g *grpc.Server) { agentpb.RegisterFiguresServer(g, s) }

// Swap replaces the queries. Unless they are as they were, all of them are asked anew.
func (s *Server) Swap(queries []Query) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if slices.Equal(s.queries, queries) {
		return
	}
	s.queries = queries
	select {
	case s.swapped <- struct{}{}:
	default:
	}
}

// Run asks while this node leads, until ctx ends.
func (s *Server) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		leads, changed := s.o.Leads()
		lead, stop := context.WithCancel(ctx)
		var working sync.WaitGroup
		if leads {
			for _, a := range s.begin() {
				working.Go(func() { s.ask(lead, a) })
			}
		}
		select {
		case <-ctx.Done():
		case <-changed:
		case <-s.swapped:
		}
		stop()
		working.Wait()
		s.forget()
	}
	return nil
}

// begin makes all queries, which have no answers.
func (s *Server) begin() (all []*asked) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = map[string]*asked{}
	for _, q := range s.queries {
		a := &asked{Query: q}
		s.asked[q.Name] = a
		all = append(all, a)
	}
	return all
}

func (s *Server) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = nil
}

// ask asks one query at once, and then with its period.
func (s *Server) ask(ctx context.Context, a *asked) {
	client := promql.New(a.Server)
	defer client.Close()
	ticker := time.NewTicker(a.Every)
	defer ticker.Stop()
	warned := false
	for {
		at := s.o.Clock.Now()
		answer, err := client.Ask(ctx)
		if ctx.Err() != nil {
			return
		}
		if err == nil && len(answer.Warnings) > 0 != warned {
			if warned = !warned; warned {
				s.log.Warn("answer with reservations", "query", a.Name, "warning", answer.Warnings[0])
			}
		}
		s.note(a, answer, err, at)
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// note takes an answer over. Its number is random, so that that of another leader is another one.
func (s *Server) note(a *asked, answer *promql.Answer, err error, at clock.Instant) {
	s.mu.Lock()
	was := a.err
	a.answer, a.err, a.at, a.n = answer, err, at, 1+rand.N(^uint64(0))
	s.mu.Unlock()
	switch {
	case err != nil && was == nil:
		s.log.Warn("query cannot be answered", "query", a.Name, "error", err)
	case err == nil && was != nil:
		s.log.Info("query can be answered again", "query", a.Name)
	}
}

// ReadFigure implements agentpb.FiguresServer.
func (s *Server) ReadFigure(_ context.Context, r *agentpb.ReadFigureRequest) (*agentpb.ReadFigureResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.asked == nil {
		return nil, status.Error(codes.FailedPrecondition, "this node does not lead")
	}
	a := s.asked[r.GetQuery()]
	if a == nil {
		return nil, status.Errorf(codes.NotFound, "controller.hcl has no query %q", r.GetQuery())
	}
	out := &agentpb.ReadFigureResponse{Every: int64(a.Every), Window: int64(a.Window)}
	switch {
	case a.err != nil:
		out.Error = a.err.Error()
	case a.answer == nil:
		out.Error = "the server has not answered so far"
	default:
		f, err := a.answer.Figure(r.GetHost())
		if err == nil {
			err = f.Late(a.at.Wall)
		}
		if err != nil {
			out.Error = err.Error()
			return out, nil
		}
		out.Value, out.Known, out.Answer, out.Age = f.Value, f.Known, a.n, int64(s.o.Clock.Now().Boot-a.at.Boot)
	}
	return out, nil
}
