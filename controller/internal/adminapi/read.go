package adminapi

import (
	"context"

	"github.com/salveops/salve/controller/internal/access"
	"github.com/salveops/salve/controller/internal/state"
	"github.com/salveops/salve/proto/adminpb"
	"github.com/salveops/salve/proto/logpb"
)

const roleLeader = "leader"

// read looks at the state: as the leader, or stale, as this node has it. What f takes out of the state must
// be a copy.
func (s *Server) read(ctx context.Context, stale bool, f func(*state.State)) (*adminpb.At, error) {
	if !stale {
		if err := s.leading.prove(ctx); err != nil {
			return nil, err
		}
	}
	at := s.at(f)
	if stale {
		at.Stale = s.o.Node.Standing().Silent.Nanoseconds()
	}
	return at, nil
}

// at looks at the state of this moment.
func (s *Server) at(f func(*state.State)) *adminpb.At {
	at := &adminpb.At{Node: s.o.Node.Standing().ID}
	s.o.Store.View(func(st *state.State) {
		at.Generation, at.Index = st.Generation(), st.Index()
		if f != nil {
			f(st)
		}
	})
	return at
}

// propose brings a command into the log, with where it came from, and says where it stands there. A refusal of the
// state machine is an error with the refusal's own words.
func (s *Server) propose(ctx context.Context, c *logpb.Command) (*logpb.Result, *adminpb.At, error) {
	c.From = access.Origin(ctx)
	r, index, err := s.o.Proposer.Propose(ctx, c)
	if err != nil {
		return nil, nil, proposeFault(err)
	}
	if r.GetRefusal() != nil {
		return nil, nil, refused(r.GetRefusal())
	}
	at := s.at(nil)
	at.Index = index
	return r, at, nil
}

// do is propose for commands that answer nothing.
func (s *Server) do(ctx context.Context, c *logpb.Command) (*adminpb.At, error) {
	_, at, err := s.propose(ctx, c)
	return at, err
}
