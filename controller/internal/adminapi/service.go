package adminapi

import (
	"context"
	"slices"

	"github.com/salveops/salve/controller/internal/state"
	"github.com/salveops/salve/proto/adminpb"
	"github.com/salveops/salve/proto/logpb"
)

// ListServices implements adminpb.AdminServer. The service without a name is what rules about hosts have.
func (s *Server) ListServices(
	ctx context.Context, r *adminpb.ListServicesRequest,
) (*adminpb.ListServicesResponse, error) {
	out := &adminpb.ListServicesResponse{}
	var err error
	out.At, err = s.read(ctx, r.GetStale(), func(st *state.State) {
		begun := map[string]uint32{}
		for _, i := range st.Incidents() {
			if open(i) {
				begun[i.GetService()]++
			}
		}
		all := serviceNames(st)
		if len(breakersOf(st, "")) > 0 || begun[""] > 0 {
			all = append([]string{""}, all...)
		}
		var hosts []string
		for _, name := range all {
			svc := serviceStatus(st, name)
			svc.OpenIncidents = begun[name]
			for _, b := range svc.GetBreakers() {
				hosts = append(hosts, b.GetApproved()...)
			}
			for _, w := range svc.GetWidths() {
				hosts = append(hosts, w.GetFailed()...)
			}
			out.Services = append(out.Services, svc)
		}
		out.Names = names(st, hosts...)
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// serviceStatus is how a service stands by the facts in the log.
func serviceStatus(st *state.State, name string) *adminpb.ServiceStatus {
	v := st.Service(name)
	out := &adminpb.ServiceStatus{
		Service: name, Hosts: uint32(v.N), Cap: uint32(v.Cap),
		Acting: hostNames(st, v.Acting), Out: hostNames(st, v.Out),
		Breakers: copies(breakersOf(st, name)),
	}
	for _, w := range st.Widths("") {
		if w.GetService() == name {
			out.Widths = append(out.Widths, w)
		}
	}
	out.Widths = copies(out.GetWidths())
	for _, svc := range st.Config().GetServices() {
		if svc.GetName() == name {
			out.Autonomy = svc.GetAutonomy()
			if svc.GetAloneAct() && v.N > 1 {
				out.NotGuaranteed = "hosts that are cut off may act on it all at once (alone = \"act\")"
			}
		}
	}
	return out
}

func breakersOf(st *state.State, service string) []*logpb.Breaker {
	return slices.DeleteFunc(st.Breakers(), func(b *logpb.Breaker) bool { return b.GetService() != service })
}

// CloseBreaker implements adminpb.AdminServer.
func (s *Server) CloseBreaker(
	ctx context.Context, r *adminpb.CloseBreakerRequest,
) (*adminpb.CloseBreakerResponse, error) {
	who, err := by(r.GetBy())
	service, errService := optionalName("service", r.GetService())
	rule, errRule := name("rule", r.GetRule())
	if err := first(err, errService, errRule); err != nil {
		return nil, err
	}
	c := &logpb.CloseBreaker{Service: service, Rule: rule, By: who}
	if err := s.look(ctx, func(st *state.State) error {
		if !slices.ContainsFunc(breakersOf(st, service), func(b *logpb.Breaker) bool {
			return b.GetRule() == rule && b.GetOpen()
		}) {
			return notFound("no breaker is open for rule %s of %s", rule, orHosts(service))
		}
		if r.GetHost() == "" {
			return nil
		}
		h, err := findHost(st, r.GetHost())
		c.Host = h.GetId()
		return err
	}); err != nil {
		return nil, err
	}
	at, err := s.do(ctx, &logpb.Command{What: &logpb.Command_CloseBreaker{CloseBreaker: c}})
	return &adminpb.CloseBreakerResponse{At: at}, err
}

func orHosts(service string) string {
	if service == "" {
		return "hosts"
	}
	return service
}
