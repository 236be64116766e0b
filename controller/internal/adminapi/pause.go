package adminapi

import (
	"context"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/salveops/salve/controller/internal/state"
	"github.com/salveops/salve/proto/adminpb"
	"github.com/salveops/salve/proto/logpb"
)

// How long a pause waits for the hosts to confirm it.
const (
	confirmWait    = 2 * time.Second
	maxConfirmWait = 30 * time.Second
)

// Pause implements adminpb.AdminServer. Committed, nothing is granted any more; that no step begins is
// known of a host only once it has confirmed, so those that have not are named.
func (s *Server) Pause(ctx context.Context, r *adminpb.PauseRequest) (*adminpb.PauseResponse, error) {
	c, err := pauseCommand(r)
	if err != nil {
		return nil, err
	}
	if err := s.look(ctx, func(st *state.State) (err error) {
		c.Scope, err = findScope(st, r.GetScope())
		return err
	}); err != nil {
		return nil, err
	}
	result, at, err := s.propose(ctx, &logpb.Command{What: &logpb.Command_Pause{Pause: c}})
	if err != nil {
		return nil, err
	}
	wait := confirmWait
	if r.GetWait() > 0 {
		wait = time.Duration(r.GetWait())
	}
	out := s.confirmed(ctx, result.GetId(), wait)
	out.At = at
	return out, nil
}

func pauseCommand(r *adminpb.PauseRequest) (*logpb.PauseCommand, error) {
	who, err := by(r.GetBy())
	why, errWhy := because(r.GetReason())
	if err := first(err, errWhy); err != nil {
		return nil, err
	}
	switch {
	case r.GetUntilResumed() && r.GetFor() != 0:
		return nil, invalid("a pause with an end and until_resumed")
	case !r.GetUntilResumed() && r.GetFor() == 0:
		return nil, invalid("a pause without an end has to say until_resumed")
	case r.GetWait() < 0 || r.GetWait() > maxConfirmWait.Nanoseconds():
		return nil, invalid("a wait of %s: %s is the most", time.Duration(r.GetWait()), maxConfirmWait)
	}
	if !r.GetUntilResumed() {
		if _, err := span("a pause", r.GetFor()); err != nil {
			return nil, err
		}
	}
	return &logpb.PauseCommand{By: who, Reason: why, For: r.GetFor()}, nil
}

// confirmed waits until every host that the pause binds has confirmed it, but no longer than wait. The pause
// holds whatever comes of this.
func (s *Server) confirmed(ctx context.Context, id string, wait time.Duration) *adminpb.PauseResponse {
	over := time.NewTimer(wait)
	defer over.Stop()
	for {
		out := &adminpb.PauseResponse{}
		changed := s.o.Store.Changed() // before looking, so that nothing is missed
		s.at(func(st *state.State) {
			for _, p := range st.Pauses() {
				if p.GetId() == id {
					out.Pause = proto.CloneOf(p)
					out.NotReached = reachedNot(st, id)
					out.Names = names(st, scopeHosts(p)...)
				}
			}
		})
		if len(out.GetNotReached()) == 0 {
			return out
		}
		select {
		case <-changed:
		case <-over.C:
			return out
		case <-ctx.Done():
			return out
		case <-s.stop:
			return out
		}
	}
}

// reachedNot are the names of the hosts that a pause binds and that have not confirmed it.
func reachedNot(st *state.State, pause string) []string {
	var out []string
	for _, h := range st.NotReached(pause) {
		out = append(out, hostName(st, h.GetId()))
	}
	slices.Sort(out)
	return out
}

// Resume implements adminpb.AdminServer.
func (s *Server) Resume(ctx context.Context, r *adminpb.ResumeRequest) (*adminpb.ResumeResponse, error) {
	who, err := by(r.GetBy())
	if err != nil {
		return nil, err
	}
	out := &adminpb.ResumeResponse{}
	c := &logpb.ResumeCommand{By: who, Pause: r.GetPause()}
	if err := s.look(ctx, func(st *state.State) (err error) {
		if c.Pause, out.Ended, err = findPause(st, r.GetPause()); err != nil {
			return err
		}
		out.Names = names(st, scopeHosts(out.GetEnded()...)...)
		return nil
	}); err != nil {
		return nil, err
	}
	out.At, err = s.do(ctx, &logpb.Command{What: &logpb.Command_Resume{Resume: c}})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// findPause is what a person wants to end: a pause by its ID, or all of one scope. What failed too often is
// named "all", "service:NAME", or "service:NAME/RULE"; whether a rule has such a thing, the state machine knows.
func findPause(st *state.State, said string) (string, []*logpb.Pause, error) {
	if _, err := name("pause or scope", said); err != nil {
		return "", nil, err
	}
	ends := func(is func(*logpb.Pause) bool) []*logpb.Pause {
		return copies(slices.DeleteFunc(st.Pauses(), func(p *logpb.Pause) bool { return !is(p) }))
	}
	if by := ends(func(p *logpb.Pause) bool { return p.GetId() == said || p.GetScope() == said }); len(by) > 0 {
		return said, by, nil
	}
	if service, rule, ok := cutRule(said); ok {
		scope, err := findRule(st, service, rule)
		return scope, nil, err
	}
	scope, err := findScope(st, said)
	if err != nil {
		return "", nil, err
	}
	by := ends(func(p *logpb.Pause) bool { return p.GetScope() == scope })
	if len(by) == 0 && !halted(st, scope) {
		return "", nil, notFound("%s is not paused", said)
	}
	return scope, by, nil
}

// halted reports whether a remedy of the scope waits for a person after failures in a row.
func halted(st *state.State, scope string) bool {
	service, ok := strings.CutPrefix(scope, scopeService)
	return (ok || scope == scopeAll) && slices.ContainsFunc(st.Widths(""), func(w *logpb.Width) bool {
		return (scope == scopeAll || w.GetService() == service) && len(w.GetFailed()) > 1
	})
}

// ListPauses implements adminpb.AdminServer.
func (s *Server) ListPauses(ctx context.Context, r *adminpb.ListPausesRequest) (*adminpb.ListPausesResponse, error) {
	out := &adminpb.ListPausesResponse{}
	var err error
	out.At, err = s.read(ctx, r.GetStale(), func(st *state.State) {
		for _, p := range st.Pauses() {
			out.Pauses = append(out.Pauses, &adminpb.PauseStatus{Pause: proto.CloneOf(p), NotReached: reachedNot(st, p.GetId())})
		}
		out.Names = names(st, scopeHosts(st.Pauses()...)...)
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}
