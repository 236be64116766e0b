package linetest

import (
	"fmt"
	"maps"
	"slices"

	"google.golang.org/protobuf/proto"

	"github.com/salveops/salve/pkg/permit"
	"github.com/salveops/salve/proto/agentpb"
	"github.com/salveops/salve/proto/logpb"
)

// bind says that what binds hosts has changed, and pushes it.
func (s *Server) bind() {
	s.index++
	s.standing = s.index
	for _, h := range s.hosts {
		if h.session != nil {
			s.push(h)
		}
	}
}

func (s *Server) push(h *host) {
	h.session.pushed[s.standing] = true
	h.session.send(&agentpb.ConnectResponse{What: &agentpb.ConnectResponse_Standing{Standing: s.standingOf(h)}})
}

func (s *Server) standingOf(h *host) *agentpb.Standing {
	out := &agentpb.Standing{Generation: s.generation, Index: s.standing}
	for _, p := range s.pauses {
		out.Pauses = append(out.Pauses, proto.CloneOf(p))
	}
	for _, c := range s.changes {
		out.Changes = append(out.Changes, proto.CloneOf(c))
	}
	for _, b := range s.breakers {
		out.Breakers = append(out.Breakers, proto.CloneOf(b))
	}
	for _, w := range s.windows {
		out.Windows = append(out.Windows, proto.CloneOf(w))
	}
	for _, p := range s.permits {
		if p.GetRevoked() != "" && p.GetHost() == h.id {
			out.Revoked = append(out.Revoked, p.GetToken())
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s.incidents)) {
		out.Incidents = append(out.Incidents, proto.CloneOf(s.incidents[name]))
	}
	for _, name := range slices.Sorted(maps.Keys(s.services)) {
		out.Services = append(out.Services, proto.CloneOf(s.services[name]))
	}
	for _, d := range s.bundles {
		out.Bundles = append(out.Bundles, proto.CloneOf(d.order))
	}
	return out
}

// Pause pauses a scope, until log time if that is not 0, and returns the pause's ID.
func (s *Server) Pause(scope, by string, until int64) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ids++
	id := fmt.Sprintf("pause-%d", s.ids)
	s.pauses = append(s.pauses, &logpb.Pause{Id: id, Scope: scope, By: by, Reason: "maintenance", Until: until})
	s.bind()
	return id
}

// Change tells hosts of a change that was recorded at a moment of log time.
func (s *Server) Change(service, kind, text string, at int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ids++
	s.changes = append(s.changes, &logpb.Change{Id: fmt.Sprintf("change-%d", s.ids), Service: service, Kind: kind,
		Text: text, By: "ci", At: at})
	s.bind()
}

// SetFrom says since when, by log time, the pauses hold.
func (s *Server) SetFrom(from int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.pauses {
		p.From = from
	}
	s.bind()
}

// Window adds a recurring pause.
func (s *Server) Window(w *logpb.Window) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.windows = append(s.windows, w)
	s.bind()
}

// Resume ends a pause; "" ends all.
func (s *Server) Resume(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pauses = slices.DeleteFunc(s.pauses, func(p *logpb.Pause) bool { return id == "" || p.GetId() == id })
	s.bind()
}

// Order changes what holds for a service.
func (s *Server) Order(service string, change func(*agentpb.ServiceOrder)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := &agentpb.ServiceOrder{Service: service}
	if old := s.services[service]; old != nil {
		o = proto.CloneOf(old)
	}
	change(o)
	s.services[service] = o
	s.bind()
}

// Breaker opens the breaker of a rule, or closes it.
func (s *Server) Breaker(service, rule string, open bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.breakers = nil
	if open {
		s.breakers = []*logpb.Breaker{{Service: service, Rule: rule, Open: true}}
	}
	s.bind()
}

// Decide changes what people decided about an incident, by the agent's name for it.
func (s *Server) Decide(local string, change func(*agentpb.IncidentOrder)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(s.order(local))
	s.bind()
}

func (s *Server) order(local string) *agentpb.IncidentOrder {
	o := &agentpb.IncidentOrder{Local: local, Incident: "c-" + local}
	if old := s.incidents[local]; old != nil {
		o = proto.CloneOf(old)
	}
	s.incidents[local] = o
	return o
}

// Escalates says whether hand-overs are told to people; at first they are.
func (s *Server) Escalates(yes bool) { s.set(func() { s.escalates = yes }) }

// Revoke asks the holder of every open permit to stop.
func (s *Server) Revoke(by string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.permits {
		p.Revoked = by
	}
	s.bind()
}

// Force settles every open permit on the word of a person.
func (s *Server) Force() { s.set(func() { s.permits = map[permit.Token]*logpb.Permit{} }) }

// Say sends a message to every session, whatever it is: for nodes that are hostile or broken.
func (s *Server) Say(m *agentpb.ConnectResponse) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, h := range s.hosts {
		if h.session != nil {
			h.session.send(proto.CloneOf(m))
		}
	}
}

// PushOld sends orders of an earlier version to every session, as a leader that was does.
func (s *Server) PushOld(o *agentpb.Standing) {
	s.Say(&agentpb.ConnectResponse{What: &agentpb.ConnectResponse_Standing{Standing: o}})
}

// Standing are the orders of a host.
func (s *Server) Standing(id string) *agentpb.Standing {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.standingOf(s.hosts[id])
}
