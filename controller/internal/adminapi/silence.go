package adminapi

import (
	"context"

	"github.com/salveops/salve/controller/internal/state"
	"github.com/salveops/salve/pkg/glob"
	"github.com/salveops/salve/proto/adminpb"
	"github.com/salveops/salve/proto/logpb"
)

// Silence implements adminpb.AdminServer.
func (s *Server) Silence(ctx context.Context, r *adminpb.SilenceRequest) (*adminpb.SilenceResponse, error) {
	who, err := by(r.GetBy())
	why, errWhy := because(r.GetReason())
	length, errFor := span("a silence", r.GetFor())
	match, errMatch := matchers(r.GetMatch())
	if err := first(err, errWhy, errFor, errMatch); err != nil {
		return nil, err
	}
	result, at, err := s.propose(ctx, &logpb.Command{What: &logpb.Command_Silence{Silence: &logpb.SilenceCommand{
		Match: match, By: who, Reason: why, For: length,
	}}})
	if err != nil {
		return nil, err
	}
	return &adminpb.SilenceResponse{At: at, Id: result.GetId()}, nil
}

// matchers are the conditions of a silence. None would silence everything, which has to be said: service=*.
func matchers(in []*logpb.Label) ([]*logpb.Label, error) {
	switch {
	case len(in) == 0:
		return nil, invalid("a silence that matches everything has to say so: service=*")
	case len(in) > maxMatchers:
		return nil, invalid("%d conditions, and %d are the most", len(in), maxMatchers)
	}
	for _, l := range in {
		_, err := name("name of a condition", l.GetName())
		_, errValue := name("value of "+l.GetName(), l.GetValue())
		if err := first(err, errValue); err != nil {
			return nil, err
		}
		if !glob.Valid(l.GetValue()) {
			return nil, invalid("value of %s: the glob %q cannot be read", l.GetName(), l.GetValue())
		}
	}
	return in, nil
}

// EndSilence implements adminpb.AdminServer.
func (s *Server) EndSilence(ctx context.Context, r *adminpb.EndSilenceRequest) (*adminpb.EndSilenceResponse, error) {
	who, err := by(r.GetBy())
	id, errID := name("silence", r.GetId())
	if err := first(err, errID); err != nil {
		return nil, err
	}
	if err := s.look(ctx, func(st *state.State) error {
		for _, x := range st.Silences() {
			if x.GetId() == id {
				return nil
			}
		}
		return notFound("silence %s not found", id)
	}); err != nil {
		return nil, err
	}
	at, err := s.do(ctx, &logpb.Command{What: &logpb.Command_EndSilence{EndSilence: &logpb.EndSilence{Id: id, By: who}}})
	return &adminpb.EndSilenceResponse{At: at}, err
}

// ListSilences implements adminpb.AdminServer.
func (s *Server) ListSilences(
	ctx context.Context, r *adminpb.ListSilencesRequest,
) (*adminpb.ListSilencesResponse, error) {
	out := &adminpb.ListSilencesResponse{}
	var err error
	out.At, err = s.read(ctx, r.GetStale(), func(st *state.State) { out.Silences = copies(st.Silences()) })
	if err != nil {
		return nil, err
	}
	return out, nil
}
