package state

import (
	"maps"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/salveops/salve/pkg/glob"
	"github.com/salveops/salve/proto/agentpb"
	"github.com/salveops/salve/proto/logpb"
)

// Standing orders are what binds a host, always whole. A host that has one version on its disk knows all
// that was committed up to it.

// bound says in which entry the orders of each host last changed. It is not in a snapshot: a replica that
// starts from one pushes to everybody once.
type bound struct {
	all  uint64            // what binds every host
	host map[string]uint64 // what binds one
}

// bindHost says that what binds one host has changed with this entry.
func (s *State) bindHost(host string) { s.standing, s.bound.host[host] = s.index, s.index }

// bindIncident says that for the hosts that have something to do with an incident.
func (s *State) bindIncident(i *logpb.Incident) {
	for _, a := range s.derived.members[i.GetId()] {
		s.bindHost(a.GetKey().GetHost())
	}
}

// bindService says that for the hosts of a service and of what depends on it.
func (s *State) bindService(service string) {
	if service == "" {
		return
	}
	for _, name := range append(s.derived.graph.dependents(service), service) {
		for host := range s.derived.services[name] {
			s.bindHost(host)
		}
	}
}

// bindServices says that for the hosts of several services.
func (s *State) bindServices(services []string) {
	for _, name := range services {
		s.bindService(name)
	}
}

// StandingVersion is the entry that last changed what binds a host: while it stays, StandingOrders does.
func (s *State) StandingVersion(host string) uint64 { return max(s.bound.all, s.bound.host[host]) }

// StandingOrders are all that binds a host. They are the caller's.
func (s *State) StandingOrders(host string) *agentpb.Standing {
	out := &agentpb.Standing{Generation: s.generation, Index: s.standing}
	h := s.hosts[host]
	if h == nil || h.GetRemoved() {
		return out
	}
	out.Pauses = s.pausesOf(h)
	out.Windows = s.windowsOf()
	for _, b := range s.Breakers() {
		mine := b.GetService() == "" || serviceOf(h, b.GetService()) != nil
		if mine && b.GetOpen() && !slices.Contains(b.GetApproved(), host) {
			out.Breakers = append(out.Breakers, proto.CloneOf(b))
		}
	}
	for _, p := range s.PermitsOf(host) {
		if p.GetRevoked() != "" {
			out.Revoked = append(out.Revoked, proto.CloneOf(p.GetToken()))
		}
	}
	out.Incidents = s.incidentOrders(host)
	out.Services = s.serviceOrders(h)
	out.Changes = s.changesOf(h)
	out.Bundles = s.bundlesOf(h)
	return out
}

func serviceOf(h *logpb.Host, service string) *logpb.HostService {
	i := slices.IndexFunc(h.GetServices(), func(hs *logpb.HostService) bool { return hs.GetService() == service })
	if i < 0 {
		return nil
	}
	return h.GetServices()[i]
}

// pausesOf are the pauses that may bind something on a host. Globs are written out: agents know names only.
func (s *State) pausesOf(h *logpb.Host) []*logpb.Pause {
	var out []*logpb.Pause
	for _, p := range s.Pauses() {
		pattern, isService := strings.CutPrefix(p.GetScope(), scopeService)
		switch {
		case isService && glob.Is(pattern):
			for _, hs := range h.GetServices() {
				if glob.Match(pattern, hs.GetService()) {
					one := proto.CloneOf(p)
					one.Scope = scopeService + hs.GetService()
					out = append(out, one)
				}
			}
		case s.concerns(p, h.GetId()):
			out = append(out, proto.CloneOf(p))
		}
	}
	return out
}

// windowsOf are the recurring pauses, but for those whose turn a person has ended early.
func (s *State) windowsOf() []*logpb.Window {
	resumed := map[string]bool{}
	for _, p := range s.pauses {
		if p.GetResumed() != "" {
			resumed[p.GetWindow()] = true
		}
	}
	var out []*logpb.Window
	for _, w := range s.config.GetWindows() {
		if !resumed[w.GetName()] {
			out = append(out, proto.CloneOf(w))
		}
	}
	return out
}

// incidentOrders are what people decided about the incidents of a host, by its own names for them.
func (s *State) incidentOrders(host string) []*agentpb.IncidentOrder {
	names := map[string]bool{}
	for _, a := range s.derived.live[host] {
		names[a.GetLocal()] = a.GetLocal() != ""
	}
	delete(names, "")
	return sortedValues(names, func(name string) *agentpb.IncidentOrder {
		i := s.byLocal(host, name)
		return &agentpb.IncidentOrder{
			Local: name, Incident: i.GetId(), AckBy: i.GetAckBy(), KeepHealing: i.GetKeepHealing(),
			Released: i.GetReleased(), Escalated: s.escalated(i), Resolved: ended(i),
		}
	})
}

// sortedValues makes one value of each name, in their order.
func sortedValues[V any](names map[string]bool, of func(string) V) []V {
	var out []V
	for _, name := range slices.Sorted(maps.Keys(names)) {
		out = append(out, of(name))
	}
	return out
}

// serviceOrders are what holds for the services of a host and for what they depend on.
func (s *State) serviceOrders(h *logpb.Host) []*agentpb.ServiceOrder {
	names := map[string]bool{}
	for _, hs := range h.GetServices() {
		names[hs.GetService()] = true
		for _, on := range s.derived.graph.dependencies(hs.GetService()) {
			names[on] = true
		}
	}
	return sortedValues(names, func(name string) *agentpb.ServiceOrder {
		c := s.derived.config[name]
		return &agentpb.ServiceOrder{
			Service: name, Autonomy: c.GetAutonomy(), PermitAlways: c.GetPermitAlways(), AloneAct: c.GetAloneAct(),
			Sole:     serviceOf(h, name).GetSole() == logpb.Sole_SOLE_GRANTED,
			Incident: len(s.derived.sick[name]) > 0, Detection: s.derived.graph.detection(name),
		}
	})
}
