package state

import (
	"slices"

	"github.com/salveops/salve/proto/logpb"
)

// million is the unit of shares in the log: parts per million.
const million = 1_000_000

// View is a service by the facts in the log.
type View struct {
	N      int      // hosts that reported it and are not removed
	Cap    int      // at most so many hosts acting at once
	Acting []string // host IDs: targets of unsettled permits, and lost hosts that may act alone
	Out    []string // acting, and every host that is not known to serve
}

// Service counts a service.
func (s *State) Service(name string) View {
	hosts := s.derived.services[name]
	v := View{N: len(hosts), Cap: s.capOf(name, len(hosts))}
	for id, hs := range hosts {
		h := s.hosts[id]
		acting := s.derived.targets[target{service: name, host: id}] != nil || s.actsAlone(h, hs)
		if acting {
			v.Acting = append(v.Acting, id)
		}
		if acting || !knownToServe(h, hs) {
			v.Out = append(v.Out, id)
		}
	}
	slices.Sort(v.Acting)
	slices.Sort(v.Out)
	return v
}

// capOf is how many hosts of a service may be acting: a number, or a share that gives at least one; never
// all of several; 0 is never.
func (s *State) capOf(service string, n int) int {
	most := 1
	if c := s.derived.config[service]; c != nil {
		switch {
		case c.MaxUnavailableShare != nil:
			most = max(1, int(uint64(c.GetMaxUnavailableShare())*uint64(n)/million))
		case c.MaxUnavailable != nil:
			most = int(min(c.GetMaxUnavailable(), 1<<30))
		}
	}
	if n > 1 {
		most = min(most, n-1)
	}
	return most
}

// FleetMax is how many hosts may be acting over all services.
func (s *State) FleetMax() int {
	if n := s.config.GetFleetMax(); n > 0 {
		return int(min(n, 1<<30))
	}
	return max(3, len(s.derived.present)/10)
}

// knownToServe: what is lost, quarantined, not heard of in this generation, or held by a person is out.
func knownToServe(h *logpb.Host, hs *logpb.HostService) bool {
	return !h.GetLost() && h.GetQuarantined() == "" && !h.GetAwaited() && hs.GetServing() == logpb.Serving_SERVING_YES
}

// down reports whether the log says that the host does not serve, so that acting takes nothing away.
func (s *State) down(service, host string) bool {
	h, hs := s.hosts[host], s.derived.services[service][host]
	return h != nil && hs != nil && !h.GetLost() && !h.GetAwaited() && hs.GetServing() == logpb.Serving_SERVING_DOWN
}

// actsAlone reports whether the host may be acting on the service without a permit. One that is cut off may,
// if it is the only host. One whose right was taken back counts, lost or not, until it confirms: a new
// leader does not know yet for how long it has been cut off.
func (s *State) actsAlone(h *logpb.Host, hs *logpb.HostService) bool {
	switch hs.GetSole() {
	case logpb.Sole_SOLE_WITHDRAWN:
		return true
	case logpb.Sole_SOLE_GRANTED:
		return h.GetLost()
	}
	return h.GetLost() && s.derived.config[hs.GetService()].GetAloneAct()
}

// serves reports whether the host serves again everything that the permit took away there.
func (s *State) serves(h *logpb.Host, p *logpb.Permit) bool {
	for _, t := range p.GetTargets() {
		hs := s.derived.services[t.GetService()][t.GetHost()]
		if hs != nil && t.GetHost() == h.GetId() && !knownToServe(h, hs) {
			return false
		}
	}
	return true
}

// Permits are the open ones, in the order of their tokens; not to be changed.
func (s *State) Permits() []*logpb.Permit {
	return sorted(s.permits, func(a, b token) int {
		if a.generation != b.generation {
			return compare(a.generation, b.generation)
		}
		return compareNumbers(a.n, b.n)
	})
}

// Permit is an open permit, nil if there is none of that token; not to be changed.
func (s *State) Permit(t *logpb.Token) *logpb.Permit { return s.permits[tokenOf(t)] }

// PermitsOf are the open permits that a host holds.
func (s *State) PermitsOf(host string) []*logpb.Permit {
	if s.derived.held[host] == 0 {
		return nil
	}
	return slices.DeleteFunc(s.Permits(), func(p *logpb.Permit) bool { return p.GetHost() != host })
}

func without(hosts []string, these ...string) []string {
	return slices.DeleteFunc(slices.Clone(hosts), func(h string) bool { return slices.Contains(these, h) })
}

// name is what people call a host.
func (s *State) name(id string) string {
	if n := s.hosts[id].GetName(); n != "" {
		return n
	}
	return id
}

func (s *State) names(ids []string) []string {
	out := make([]string, len(ids))
	for i, id := range ids {
		out[i] = s.name(id)
	}
	return out
}

// what is a target as people name it.
func (s *State) what(t *logpb.Target) string {
	if t.GetResource() != "" {
		return t.GetResource()
	}
	return t.GetService() + " on " + s.name(t.GetHost())
}

func compareTargets(a, b *logpb.Target) int {
	for _, pair := range [][2]string{
		{a.GetService(), b.GetService()}, {a.GetHost(), b.GetHost()}, {a.GetResource(), b.GetResource()},
	} {
		if c := compare(pair[0], pair[1]); c != 0 {
			return c
		}
	}
	return 0
}

func compareNumbers(a, b uint64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// settlementText is a settlement as people read it.
func settlementText(x logpb.Settlement) string {
	switch x {
	case logpb.Settlement_SETTLEMENT_UNUSED:
		return "unused"
	case logpb.Settlement_SETTLEMENT_SERVING:
		return "serving"
	case logpb.Settlement_SETTLEMENT_FAILED:
		return "failed"
	case logpb.Settlement_SETTLEMENT_UNKNOWN:
		return "unknown"
	case logpb.Settlement_SETTLEMENT_CLEARED:
		return "cleared"
	}
	return "unspecified"
}
