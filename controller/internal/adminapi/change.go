package adminapi

import (
	"context"
	"slices"

	"github.com/salveops/salve/controller/internal/state"
	"github.com/salveops/salve/proto/adminpb"
	"github.com/salveops/salve/proto/logpb"
)

// kinds are the words for what changed.
var kinds = []string{"deployment", "package", "configuration"}

// RecordChange implements adminpb.AdminServer.
func (s *Server) RecordChange(
	ctx context.Context, r *adminpb.RecordChangeRequest,
) (*adminpb.RecordChangeResponse, error) {
	c, err := changeOf(r.GetChange())
	if err != nil {
		return nil, err
	}
	if c.GetHost() != "" {
		if c.Host, err = s.host(ctx, c.GetHost()); err != nil {
			return nil, err
		}
	}
	result, at, err := s.propose(ctx, &logpb.Command{What: &logpb.Command_RecordChange{
		RecordChange: &logpb.RecordChange{Change: c},
	}})
	if err != nil {
		return nil, err
	}
	return &adminpb.RecordChangeResponse{At: at, Id: result.GetId()}, nil
}

// changeOf checks what is said to have changed. ID and time are the state machine's to give.
func changeOf(in *logpb.Change) (*logpb.Change, error) {
	service, err := optionalName("service", in.GetService())
	host, errHost := optionalName("host", in.GetHost())
	what, errText := text("text", in.GetText(), maxText)
	who, errBy := by(in.GetBy())
	if err := first(err, errHost, errText, errBy); err != nil {
		return nil, err
	}
	switch {
	case service == "" && host == "":
		return nil, invalid("a change is of a service, of a host, or of both")
	case !slices.Contains(kinds, in.GetKind()):
		return nil, invalid("kind %q: it must be deployment, package or configuration", in.GetKind())
	case what == "":
		return nil, invalid("the text is missing: what has changed")
	}
	return &logpb.Change{Service: service, Host: host, Kind: in.GetKind(), Text: what, By: who}, nil
}

// ListChanges implements adminpb.AdminServer. The newest come first.
func (s *Server) ListChanges(ctx context.Context, r *adminpb.ListChangesRequest) (*adminpb.ListChangesResponse, error) {
	out := &adminpb.ListChangesResponse{}
	var err error
	out.At, err = s.read(ctx, r.GetStale(), func(st *state.State) {
		var hosts []string
		for _, c := range st.Changes() {
			if r.GetService() == "" || c.GetService() == r.GetService() {
				out.Changes = append(out.Changes, c)
				hosts = append(hosts, c.GetHost())
			}
		}
		out.Changes = copies(out.GetChanges())
		out.Names = names(st, hosts...)
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// ListAudit implements adminpb.AdminServer.
func (s *Server) ListAudit(ctx context.Context, r *adminpb.ListAuditRequest) (*adminpb.ListAuditResponse, error) {
	out := &adminpb.ListAuditResponse{}
	var err error
	out.At, err = s.read(ctx, r.GetStale(), func(st *state.State) {
		out.Records = copies(st.Audit(r.GetAfter(), limit(r.GetLimit())))
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}
