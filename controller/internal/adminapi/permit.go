package adminapi

import (
	"context"

	"google.golang.org/protobuf/proto"

	"github.com/salveops/salve/controller/internal/state"
	"github.com/salveops/salve/proto/adminpb"
	"github.com/salveops/salve/proto/logpb"
)

// ListPermits implements adminpb.AdminServer.
func (s *Server) ListPermits(ctx context.Context, r *adminpb.ListPermitsRequest) (*adminpb.ListPermitsResponse, error) {
	out := &adminpb.ListPermitsResponse{}
	var err error
	out.At, err = s.read(ctx, r.GetStale(), func(st *state.State) {
		out.Permits = copies(st.Permits())
		out.Names = names(st, permitHosts(out.GetPermits())...)
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// permitHosts are the hosts that permits are about.
func permitHosts(permits []*logpb.Permit) []string {
	var ids []string
	for _, p := range permits {
		ids = append(ids, p.GetHost())
		for _, t := range p.GetTargets() {
			ids = append(ids, t.GetHost())
		}
	}
	return ids
}

// RevokePermit implements adminpb.AdminServer.
func (s *Server) RevokePermit(
	ctx context.Context, r *adminpb.RevokePermitRequest,
) (*adminpb.RevokePermitResponse, error) {
	p, who, why, err := s.permit(ctx, r.GetToken(), r.GetBy(), r.GetReason())
	if err != nil {
		return nil, err
	}
	at, err := s.do(ctx, &logpb.Command{What: &logpb.Command_Revoke{Revoke: &logpb.Revoke{
		Token: p.GetToken(), Epoch: p.GetEpoch(), By: who, Reason: why,
	}}})
	return &adminpb.RevokePermitResponse{At: at}, err
}

// SettlePermit implements adminpb.AdminServer.
func (s *Server) SettlePermit(
	ctx context.Context, r *adminpb.SettlePermitRequest,
) (*adminpb.SettlePermitResponse, error) {
	if !r.GetForce() {
		return nil, invalid("a permit is settled by its host; force means that you say that nothing of it runs")
	}
	p, who, why, err := s.permit(ctx, r.GetToken(), r.GetBy(), r.GetReason())
	if err != nil {
		return nil, err
	}
	at, err := s.do(ctx, &logpb.Command{What: &logpb.Command_ForceSettle{ForceSettle: &logpb.ForceSettle{
		Token: p.GetToken(), Epoch: p.GetEpoch(), By: who, Reason: why,
	}}})
	return &adminpb.SettlePermitResponse{At: at}, err
}

// permit checks what is said about a permit and finds it.
func (s *Server) permit(ctx context.Context, t *logpb.Token, said, why string) (*logpb.Permit, string, string, error) {
	who, err := by(said)
	why, errWhy := because(why)
	if err := first(err, errWhy); err != nil {
		return nil, "", "", err
	}
	if t.GetN() == 0 || len(t.GetGeneration()) > 32 {
		return nil, "", "", invalid("a token is a number and the beginning of a generation, such as 3@1f0c9a4b")
	}
	found := &logpb.Permit{}
	err = s.look(ctx, func(st *state.State) error {
		p, err := findPermit(st, t)
		if err == nil {
			found.Token, found.Epoch = proto.CloneOf(p.GetToken()), p.GetEpoch()
		}
		return err
	})
	return found, who, why, err
}
