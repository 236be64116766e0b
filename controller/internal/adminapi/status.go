package adminapi

import (
	"context"
	"fmt"
	"time"

	"github.com/salveops/salve/controller/internal/state"
	"github.com/salveops/salve/proto/adminpb"
	"github.com/salveops/salve/proto/logpb"
)

// peerSilent is from where on a node is worth a warning.
const peerSilent = 10 * time.Second

// Status implements adminpb.AdminServer.
func (s *Server) Status(ctx context.Context, r *adminpb.StatusRequest) (*adminpb.StatusResponse, error) {
	out := &adminpb.StatusResponse{Version: s.o.Version}
	at, err := s.read(ctx, r.GetStale(), func(st *state.State) {
		out.Format, out.LogTime = st.FormatLevel(), st.At()
		out.FleetMax, out.Permits = uint32(st.FleetMax()), uint32(len(st.Permits()))
		out.ConfigDigest = fmt.Sprintf("%x", st.Config().GetDigest())
		out.Pauses = copies(st.Pauses())
		out.Names = names(st, scopeHosts(out.GetPauses()...)...)
		countHosts(out, st)
		for _, i := range st.Incidents() {
			if open(i) {
				out.OpenIncidents++
			}
			if i.GetState() == logpb.IncidentState_INCIDENT_STATE_ESCALATED {
				out.EscalatedIncidents++
			}
		}
		for _, b := range st.Breakers() {
			if b.GetOpen() {
				out.OpenBreakers++
			}
		}
		out.Warnings = st.Warnings()
	})
	if err != nil {
		return nil, err
	}
	standing := s.o.Node.Standing()
	out.At, out.Leader, out.LeaderAddress = at, standing.Leader, standing.LeaderAddress
	out.Term, out.Role = standing.Term, standing.Role
	out.ConfigRefused, out.ConfigRefusals = standing.Refused, standing.Refusals
	out.Warnings = append(s.clusterWarnings(standing), out.GetWarnings()...)
	return out, nil
}

func countHosts(out *adminpb.StatusResponse, st *state.State) {
	for _, h := range st.Hosts() {
		if h.GetRemoved() {
			continue
		}
		out.Hosts++
		for n, is := range map[*uint32]bool{
			&out.Lost: h.GetLost(), &out.Quarantined: h.GetQuarantined() != "", &out.Awaited: h.GetAwaited(),
		} {
			if is {
				*n++
			}
		}
	}
}

// clusterWarnings are about the nodes.
func (s *Server) clusterWarnings(st Standing) []string {
	var out []string
	switch {
	case st.Problem != "":
		out = append(out, unready(st))
	case st.Leader == "":
		out = append(out, unready(st)+": no permit is given, and no pause is taken, until most of the nodes are back")
	}
	if st.Refused != "" {
		out = append(out, fmt.Sprintf("node %s refused its configuration at the last reload, the old one holds: %s",
			st.ID, st.Refused))
	}
	if st.Certificate != "" {
		out = append(out, fmt.Sprintf("node %s: %s", st.ID, st.Certificate))
	}
	if st.Role != roleLeader {
		return out
	}
	peers, err := s.o.Cluster.Peers()
	if err != nil {
		return append(out, "the list of nodes cannot be read: "+err.Error())
	}
	for _, p := range peers {
		switch heard := time.Duration(p.GetHeard()); {
		case p.GetLeader():
		case p.GetHeard() < 0:
			out = append(out, fmt.Sprintf("node %s was never heard by this leader", p.GetId()))
		case heard > peerSilent:
			out = append(out, fmt.Sprintf("node %s was last heard %s ago", p.GetId(), heard.Round(time.Second)))
		}
	}
	return out
}
