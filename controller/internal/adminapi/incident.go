package adminapi

import (
	"context"
	"errors"
	"io"
	"io/fs"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"github.com/salveops/salve/controller/internal/state"
	"github.com/salveops/salve/proto/adminpb"
	"github.com/salveops/salve/proto/logpb"
)

// chunk is how much of a stream of bytes goes into one message.
const chunk = 256 << 10

// ListIncidents implements adminpb.AdminServer.
func (s *Server) ListIncidents(
	ctx context.Context, r *adminpb.ListIncidentsRequest,
) (*adminpb.ListIncidentsResponse, error) {
	out := &adminpb.ListIncidentsResponse{}
	most := limit(r.GetLimit())
	var err error
	out.At, err = s.read(ctx, r.GetStale(), func(st *state.State) {
		for _, i := range st.Incidents() {
			switch {
			case len(out.GetIncidents()) >= most:
				return
			case !r.GetAll() && !open(i), r.GetService() != "" && !st.Involves(i, r.GetService()):
			default:
				out.Incidents = append(out.Incidents, brief(i))
			}
		}
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// GetIncident implements adminpb.AdminServer.
func (s *Server) GetIncident(ctx context.Context, r *adminpb.GetIncidentRequest) (*adminpb.GetIncidentResponse, error) {
	out := &adminpb.GetIncidentResponse{}
	var missing error
	at, err := s.read(ctx, r.GetStale(), func(st *state.State) {
		i, err := findIncident(st, r.GetId())
		if err != nil {
			missing = err
			return
		}
		out.Incident = proto.CloneOf(i)
		out.Alerts = copies(st.AlertsOf(i.GetId()))
		out.Deliveries = copies(st.DeliveriesOf(i.GetId()))
		out.Aliases = st.AliasesOf(i.GetId())
		out.Permits = copies(st.PermitsOfIncident(i.GetId()))
		out.Names = names(st, incidentHosts(out)...)
	})
	if err := first(err, missing); err != nil {
		return nil, err
	}
	out.At = at
	return out, nil
}

// incidentHosts are the hosts that an incident is about.
func incidentHosts(r *adminpb.GetIncidentResponse) []string {
	ids := permitHosts(r.GetPermits())
	for _, a := range r.GetAlerts() {
		ids = append(ids, a.GetKey().GetHost())
	}
	for _, e := range r.GetIncident().GetTimeline() {
		ids = append(ids, e.GetHost())
	}
	for _, e := range r.GetIncident().GetEvidence() {
		ids = append(ids, e.GetHost())
	}
	return ids
}

// GetEvidence implements adminpb.AdminServer. Evidence lies on the nodes that were given it, so it may be on
// another one.
func (s *Server) GetEvidence(
	r *adminpb.GetEvidenceRequest, out grpc.ServerStreamingServer[adminpb.GetEvidenceResponse],
) error {
	if len(r.GetDigest()) != 32 {
		return invalid("a digest has 32 bytes, and this one %d", len(r.GetDigest()))
	}
	title, in, err := s.o.Evidence.Open(r.GetDigest())
	if errors.Is(err, fs.ErrNotExist) {
		return notFound("node %s does not have this piece of evidence: it was given to another node, or is no longer kept",
			s.o.Node.Standing().ID)
	}
	if err != nil {
		return err
	}
	defer in.Close()
	return send(in, func(piece []byte, begin bool) error {
		m := &adminpb.GetEvidenceResponse{Chunk: piece}
		if begin {
			m.Title = title
		}
		return out.Send(m)
	})
}

// send hands what can be read over piece by piece; what is empty is one piece.
func send(in io.Reader, f func(piece []byte, begin bool) error) error {
	begin := true
	for {
		piece := make([]byte, chunk)
		n, err := io.ReadFull(in, piece)
		if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			return err
		}
		if n > 0 || begin {
			if err := f(piece[:n], begin); err != nil {
				return err
			}
		}
		if err != nil {
			return nil
		}
		begin = false
	}
}

// Acknowledge implements adminpb.AdminServer.
func (s *Server) Acknowledge(ctx context.Context, r *adminpb.AcknowledgeRequest) (*adminpb.AcknowledgeResponse, error) {
	at, i, err := s.person(ctx, r.GetId(), r.GetBy(), func(id, who string) *logpb.Command {
		return &logpb.Command{What: &logpb.Command_Acknowledge{Acknowledge: &logpb.Acknowledge{
			Incident: id, By: who, KeepHealing: r.GetKeepHealing(),
		}}}
	})
	return &adminpb.AcknowledgeResponse{At: at, Incident: i}, err
}

// Release implements adminpb.AdminServer.
func (s *Server) Release(ctx context.Context, r *adminpb.ReleaseRequest) (*adminpb.ReleaseResponse, error) {
	at, i, err := s.person(ctx, r.GetId(), r.GetBy(), func(id, who string) *logpb.Command {
		return &logpb.Command{What: &logpb.Command_Release{Release: &logpb.Release{Incident: id, By: who}}}
	})
	return &adminpb.ReleaseResponse{At: at, Incident: i}, err
}

// Resolve implements adminpb.AdminServer.
func (s *Server) Resolve(ctx context.Context, r *adminpb.ResolveRequest) (*adminpb.ResolveResponse, error) {
	why, err := because(r.GetReason())
	if err != nil {
		return nil, err
	}
	at, i, err := s.person(ctx, r.GetId(), r.GetBy(), func(id, who string) *logpb.Command {
		return &logpb.Command{What: &logpb.Command_ResolveIncident{ResolveIncident: &logpb.ResolveIncident{
			Incident: id, By: who, Reason: why,
		}}}
	})
	return &adminpb.ResolveResponse{At: at, Incident: i}, err
}

// person is what a person says of an incident, and the incident after that.
func (s *Server) person(
	ctx context.Context, said, asks string, command func(id, who string) *logpb.Command,
) (*adminpb.At, *logpb.Incident, error) {
	who, err := by(asks)
	if err != nil {
		return nil, nil, err
	}
	var id string
	if err := s.look(ctx, func(st *state.State) error {
		i, err := findIncident(st, said)
		id = i.GetId()
		return err
	}); err != nil {
		return nil, nil, err
	}
	at, err := s.do(ctx, command(id, who))
	if err != nil {
		return nil, nil, err
	}
	var after *logpb.Incident
	s.at(func(st *state.State) {
		if i := st.Incident(id); i != nil {
			after = brief(i)
		}
	})
	return at, after, nil
}
