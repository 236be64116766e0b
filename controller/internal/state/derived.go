package state

import (
	"github.com/salveops/salve/proto/logpb"
)

// derived are the indices that make judging a request cost what its own services cost, and not the whole
// fleet. They follow from the tables; rebuild proves it in tests.
type derived struct {
	present  map[string]bool                          // hosts not removed
	services map[string]map[string]*logpb.HostService // service → host → facts, of hosts not removed
	targets  map[target]*logpb.Permit                 // what unsettled permits take away
	acting   map[string]int                           // host → targets of unsettled permits on it
	held     map[string]int                           // host → unsettled permits that it holds
	alone    map[string]bool                          // hosts that may act without a permit on some service
	open     map[remedyKey]int                        // unsettled permits, undo left out
	firing   map[ruleKey]map[string]int64             // host → since when the rule fires there, log time
	config   map[string]*logpb.Service
	checked  check
	book
}

// check is the hash of the state at one entry.
type check struct {
	index uint64
	hash  []byte
}

// target is a service on a host, or a resource.
type target struct{ service, host, resource string }

func targetOf(t *logpb.Target) target { return target{t.GetService(), t.GetHost(), t.GetResource()} }

func newDerived() derived {
	return derived{
		present:  map[string]bool{},
		services: map[string]map[string]*logpb.HostService{}, targets: map[target]*logpb.Permit{},
		acting: map[string]int{}, held: map[string]int{}, alone: map[string]bool{}, open: map[remedyKey]int{},
		firing: map[ruleKey]map[string]int64{}, config: map[string]*logpb.Service{}, book: newBook(),
	}
}

// rebuild computes the indices from the tables.
func (s *State) rebuild() {
	d := newDerived()
	d.checked = s.derived.checked
	d.configure(s.config)
	s.derived = d
	for _, h := range s.hosts {
		s.derived.refresh(s, h)
	}
	for _, p := range s.permits {
		s.derived.add(p)
	}
	for _, i := range s.incidents {
		s.derived.list(i)
	}
	for _, a := range s.alerts {
		s.derived.file(a)
	}
	for _, m := range s.deliveries {
		s.derived.post(m)
	}
}

func (d *derived) configure(c *logpb.Config) {
	d.config = make(map[string]*logpb.Service, len(c.GetServices()))
	for _, svc := range c.GetServices() {
		d.config[svc.GetName()] = svc
	}
}

// refresh takes over what is known of a host's services. It reports of which services others have to know
// more now.
func (d *derived) refresh(s *State, h *logpb.Host) (changed []string) {
	for _, t := range d.graph.said[h.GetId()].takes {
		outOf(d.services, t.service, h.GetId())
	}
	delete(d.alone, h.GetId())
	delete(d.present, h.GetId())
	if h.GetRemoved() {
		return d.graph.set(h.GetId(), nil)
	}
	d.present[h.GetId()] = true
	for _, hs := range h.GetServices() {
		into(d.services, hs.GetService(), h.GetId(), hs)
		if s.actsAlone(h, hs) {
			d.alone[h.GetId()] = true
		}
	}
	return d.graph.set(h.GetId(), h.GetServices())
}

func widthKey(p interface {
	GetService() string
	GetRule() string
	GetDigest() []byte
}) remedyKey {
	return remedyKey{p.GetService(), p.GetRule(), string(p.GetDigest())}
}

func (d *derived) add(p *logpb.Permit) {
	d.held[p.GetHost()]++
	for _, t := range p.GetTargets() {
		d.targets[targetOf(t)] = p
		if t.GetHost() != "" {
			d.acting[t.GetHost()]++
		}
	}
	if !p.GetUndo() {
		d.open[widthKey(p)]++
	}
}

func (d *derived) remove(p *logpb.Permit) {
	if d.held[p.GetHost()]--; d.held[p.GetHost()] == 0 {
		delete(d.held, p.GetHost())
	}
	for _, t := range p.GetTargets() {
		delete(d.targets, targetOf(t))
		if t.GetHost() == "" {
			continue
		}
		if d.acting[t.GetHost()]--; d.acting[t.GetHost()] == 0 {
			delete(d.acting, t.GetHost())
		}
	}
	if p.GetUndo() {
		return
	}
	if d.open[widthKey(p)]--; d.open[widthKey(p)] == 0 {
		delete(d.open, widthKey(p))
	}
}
