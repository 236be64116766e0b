package state

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/salveops/salve/pkg/glob"
	"github.com/salveops/salve/proto/logpb"
)

// A pause stops remedies. It ends by log time or by a person, and by nothing else: no configuration file,
// no restart, no new leader. What is under way comes to its next safe end.

// Scopes of a pause: everything, a host by its ID, services by name or glob, a unit on whatever host.
const (
	scopeAll     = "all"
	scopeHost    = "host:"
	scopeService = "service:"
	scopeUnit    = "unit:"
)

// Times as sentences name them.
const (
	hour = 3600e9
	day  = 24 * hour
)

// pause makes one. That of a recurring window is named after it, so that it is not opened twice.
func (s *State) pause(c *logpb.PauseCommand) *logpb.Result {
	p := &logpb.Pause{
		Scope: clip(c.GetScope(), maxName), By: clip(c.GetBy(), maxName), Reason: clip(c.GetReason(), maxText),
		From: s.now(), Window: clip(c.GetWindow(), maxName), Index: s.index,
	}
	if p.GetWindow() != "" && p.GetBy() == "" {
		p.By = "controller"
	}
	if r := s.unpausable(p, c.GetFor()); r != nil {
		return r
	}
	if p.GetWindow() == "" {
		p.Id = s.nextID("pause")
	} else if p.Id = windowID(p); s.pauses[p.GetId()] != nil {
		return &logpb.Result{What: &logpb.Result_Id{Id: p.GetId()}}
	}
	until := "until somebody resumes"
	if c.GetFor() > 0 {
		p.Until = plus(s.now(), c.GetFor())
		until = "for " + asDuration(c.GetFor()).String()
	} else {
		p.Reminds = plus(s.now(), day)
	}
	s.pauses[p.GetId()] = p
	s.note(p.GetBy(), "pause", "%s: %s %s: %s", p.GetId(), p.GetScope(), until, p.GetReason())
	s.bind()
	return &logpb.Result{What: &logpb.Result_Id{Id: p.GetId()}}
}

func windowID(p *logpb.Pause) string {
	if p.GetScope() == scopeAll {
		return "window:" + p.GetWindow()
	}
	return "window:" + p.GetWindow() + " " + p.GetScope()
}

// unpausable says what is wrong with a pause. A scope that means nothing here would be a pause that stops
// nothing, and somebody would rely on it.
func (s *State) unpausable(p *logpb.Pause, length int64) *logpb.Result {
	host, isHost := strings.CutPrefix(p.GetScope(), scopeHost)
	service, isService := strings.CutPrefix(p.GetScope(), scopeService)
	unit, isUnit := strings.CutPrefix(p.GetScope(), scopeUnit)
	switch {
	case p.GetBy() == "":
		return refuse("who", "a pause has a person who wants it")
	case length < 0 || p.GetWindow() != "" && length == 0:
		return refuse("for", "a pause cannot last %v", time.Duration(length))
	case len(s.pauses) >= maxPauses:
		return refuse("many", "there are %d pauses already", len(s.pauses))
	case p.GetScope() == scopeAll:
	case isHost && (s.hosts[host] == nil || s.hosts[host].GetRemoved()):
		return refuse("host", "there is no host %q", host)
	case isService && p.GetWindow() == "" && !s.knowsService(service):
		return refuse("service", "neither a host nor the configuration knows a service %q", service)
	case isHost, isService && service != "", isUnit && unit != "":
	default:
		return refuse("scope", "%q is no scope: all, host:ID, service:NAME, unit:NAME", p.GetScope())
	}
	return nil
}

func (s *State) knowsService(pattern string) bool {
	for name, hosts := range s.derived.services {
		if len(hosts) > 0 && glob.Match(pattern, name) {
			return true
		}
	}
	return slices.ContainsFunc(s.config.GetServices(), func(c *logpb.Service) bool {
		return glob.Match(pattern, c.GetName())
	})
}

// unpause ends the pauses whose time has come, and reminds people of those that have no end.
func (s *State) unpause() {
	for _, p := range sorted(s.pauses, compareIDs) {
		switch {
		case p.GetUntil() != 0 && p.GetUntil() <= s.now():
			delete(s.pauses, p.GetId())
			s.noteSelf("resume", "%s has ended: %s", p.GetId(), p.GetScope())
			s.bind()
		case p.GetUntil() == 0 && reminds(p) <= s.now():
			s.remind(p)
		}
	}
}

// reminds is when people are reminded next of a pause without an end.
func reminds(p *logpb.Pause) int64 {
	if p.GetReminds() != 0 {
		return p.GetReminds()
	}
	return plus(p.GetFrom(), day)
}

// remind tells the first step of the default escalation that a pause still holds.
func (s *State) remind(p *logpb.Pause) {
	p.Reminds = plus(s.now(), day)
	text := fmt.Sprintf("%s has been paused for %v by %s: %s", p.GetScope(), asDuration(s.now()-p.GetFrom()), p.GetBy(),
		p.GetReason())
	s.noteSelf("pause", "%s: %s", p.GetId(), text)
	for _, m := range sorted(s.derived.waiting, compareDeliveries) {
		if Subject(m.GetKey()) == p.GetId() && m.GetState() != logpb.DeliveryState_DELIVERY_STATE_CLAIMED {
			s.scrap(m) // that of another day, which nobody could be told
		}
	}
	s.announce(fmt.Sprintf("%s/%d", p.GetId(), s.now()/day), text)
}

// announce tells the first step of the default escalation what is about no incident.
func (s *State) announce(key, text string) {
	steps := s.ladder(defaultEscalation)
	if len(steps) == 0 {
		return
	}
	for _, notifier := range steps[0].Notify {
		s.send(&logpb.Delivery{Key: key, Notifier: notifier, Kind: reminder, Text: text})
	}
}

// Paused is the pause that binds a service on a host, nil if none does. A remedy of the host itself, which
// has no service, is bound by the pauses of everything that runs there.
func (s *State) Paused(host, service string) *logpb.Pause {
	for _, p := range s.Pauses() {
		if s.binds(p, host, service) {
			return p
		}
	}
	return nil
}

func (s *State) binds(p *logpb.Pause, host, service string) bool {
	if p.GetScope() == scopeAll || p.GetScope() == scopeHost+host {
		return true
	}
	pattern, ok := strings.CutPrefix(p.GetScope(), scopeService)
	if !ok {
		return false
	}
	if service != "" {
		return glob.Match(pattern, service)
	}
	for name, hosts := range s.derived.services {
		if hosts[host] != nil && glob.Match(pattern, name) {
			return true
		}
	}
	return false
}

// pausedElsewhere is a pause of what else a remedy would touch: its unit, and targets beside its own.
func (s *State) pausedElsewhere(c *logpb.Request) *logpb.Pause {
	for _, p := range s.Pauses() {
		if unit, ok := strings.CutPrefix(p.GetScope(), scopeUnit); ok && glob.Match(unit, c.GetUnit()) {
			return p
		}
		for _, t := range c.GetTargets() {
			if t.GetResource() == "" && s.binds(p, t.GetHost(), t.GetService()) {
				return p
			}
		}
	}
	return nil
}

// pausedBy is the refusal of what a pause stops.
func (s *State) pausedBy(p *logpb.Pause) *logpb.Result {
	r := held("paused", []string{p.GetId()}, "%s is paused by %s: %s", p.GetScope(), p.GetBy(), p.GetReason())
	if p.GetUntil() > 0 {
		return later(r, p.GetUntil()-s.at)
	}
	return r
}

// Pauses are all that hold, by their IDs; not to be changed.
func (s *State) Pauses() []*logpb.Pause {
	return slices.DeleteFunc(sorted(s.pauses, compareIDs), func(p *logpb.Pause) bool { return p.GetResumed() != "" })
}

// NotReached are the hosts that a pause binds and that have not confirmed it: there a step may still begin.
func (s *State) NotReached(pause string) []*logpb.Host {
	p := s.pauses[pause]
	if p == nil || p.GetResumed() != "" {
		return nil
	}
	return slices.DeleteFunc(s.Hosts(), func(h *logpb.Host) bool {
		return h.GetRemoved() || h.GetConfirmed() >= p.GetIndex() || !s.concerns(p, h.GetId())
	})
}

// concerns reports whether a pause may bind anything on a host. Which units are there, only it knows.
func (s *State) concerns(p *logpb.Pause, host string) bool {
	return strings.HasPrefix(p.GetScope(), scopeUnit) || s.binds(p, host, "")
}

// compareIDs orders names that end in a number by it: the second before the tenth.
func compareIDs(a, b string) int {
	if len(a) != len(b) {
		return compareNumbers(uint64(len(a)), uint64(len(b)))
	}
	return compare(a, b)
}
