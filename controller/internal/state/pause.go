package state

import (
	"strings"

	"github.com/salveops/salve/proto/logpb"
)

// Scopes of a pause.
const (
	scopeAll     = "all"
	scopeHost    = "host:"
	scopeService = "service:"
	scopeUnit    = "unit:"
)

func (s *State) pause(c *logpb.PauseCommand) *logpb.Result {
	p := &logpb.Pause{Id: s.nextID("pause"), Scope: c.GetScope(), By: c.GetBy(), Reason: c.GetReason(), From: s.at}
	if c.GetFor() > 0 {
		p.Until = s.at + c.GetFor()
	}
	s.pauses[p.GetId()] = p
	s.note(c.GetBy(), "pause", "%s: %s", c.GetScope(), c.GetReason())
	s.bind()
	return &logpb.Result{What: &logpb.Result_Id{Id: p.GetId()}}
}

func (s *State) resume(c *logpb.ResumeCommand) *logpb.Result {
	p := s.pauses[c.GetPause()]
	if p == nil {
		return refuse("pause", "there is no pause %s", c.GetPause())
	}
	delete(s.pauses, p.GetId())
	s.note(c.GetBy(), "resume", "%s", p.GetScope())
	s.bind()
	return done()
}

// Paused is the pause that binds a service on a host, nil if there is none.
func (s *State) Paused(host, service string) *logpb.Pause {
	for _, p := range s.Pauses() {
		name, isService := strings.CutPrefix(p.GetScope(), scopeService)
		switch {
		case p.GetScope() == scopeAll, p.GetScope() == scopeHost+host, isService && name == service:
			return p
		}
	}
	return nil
}

// Pauses are all that hold, by their IDs; not to be changed.
func (s *State) Pauses() []*logpb.Pause { return sorted(s.pauses, compare) }

func (s *State) heldByPerson(h *logpb.Host, c *logpb.Request) *logpb.Result {
	if c.GetBy() == "" && s.derived.config[c.GetService()].GetAutonomy() == "observe" {
		return refuse("observe", "the autonomy of %s is observe", c.GetService())
	}
	return nil
}
