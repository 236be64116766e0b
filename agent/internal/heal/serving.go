package heal

import (
	"google.golang.org/protobuf/proto"

	"github.com/salveops/salve/agent/internal/systemd"
	"github.com/salveops/salve/agent/internal/transaction"
	"github.com/salveops/salve/pkg/config"
	"github.com/salveops/salve/pkg/permit"
	"github.com/salveops/salve/pkg/series"
	"github.com/salveops/salve/proto/logpb"
)

// report tells the controller what this host serves, when that has changed, and once at the start: without that
// there is no session.
func (e *Engine) report() {
	if e.fleet == nil {
		return
	}
	now := make([]*logpb.ServiceReport, len(e.cfg.Services))
	same := e.fleet.reports != nil && len(now) == len(e.fleet.reports)
	for i, s := range e.cfg.Services {
		now[i] = &logpb.ServiceReport{Service: s.Name, Serving: e.serving(s), DependsOn: s.DependsOn, Tier: s.Tier,
			Detection: int64(e.rules.Detection(s.Name))}
		same = same && proto.Equal(now[i], e.fleet.reports[i])
	}
	if !same {
		e.fleet.reports = now
		e.fleet.Permits.Serving(now)
	}
}

// serving is what this host does for a service. It is down when no unit of it is up, or none of its probes is
// answered; sick is not down. What a person holds is held: stopped by hand, masked, or being upgraded. What
// cannot be known is not said.
func (e *Engine) serving(s *config.Service) logpb.Serving {
	up, held, seen := 0, 0, 0
	for _, name := range e.unitsOf(s) {
		u, ok := e.o.Units.Unit(name)
		if !known(u, ok) {
			continue
		}
		seen++
		switch {
		case e.held(u):
			held++
		case u.Active == "active" || u.Active == "reloading":
			up++
		}
	}
	switch {
	case e.o.Units.SystemState() == "", seen == 0:
		return logpb.Serving_SERVING_UNSPECIFIED
	case up > 0 && e.answers(s):
		return logpb.Serving_SERVING_YES
	case up == 0 && held > 0:
		return logpb.Serving_SERVING_HELD
	}
	return logpb.Serving_SERVING_DOWN
}

// held reports whether a person holds the unit.
func (e *Engine) held(u systemd.Unit) bool {
	if u.Load == "masked" || u.Down() && u.Stopped == systemd.Person {
		return true
	}
	if !transaction.Touches(u.FragmentPath) {
		return false
	}
	file, _ := e.transaction()
	return file != ""
}

// answers reports whether any probe of the service is answered. A service without probes answers by being up,
// and a probe that nobody has heard of yet is no proof of anything.
func (e *Engine) answers(s *config.Service) bool {
	asked := false
	for _, p := range s.Probes {
		if !p.Tells() {
			continue
		}
		asked = true
		ok := e.store.Lookup(series.Key{Signal: "probe." + p.Name + ".ok", Of: s.Name})
		if ok == nil {
			return true
		}
		if v, _, known := ok.Last(); !known || v == 1 {
			return true
		}
	}
	return !asked
}

// claims are what this host serves now of a permit's targets.
func (e *Engine) claims(targets []permit.Target) []permit.Claim {
	var out []permit.Claim
	for _, t := range targets {
		if s := e.cfg.Service(t.Service); s != nil && t.Host == e.o.Journal.Host() {
			out = append(out, permit.Claim{Service: s.Name, Serving: e.serving(s)})
		}
	}
	return out
}

// serves reports whether this host serves all of a permit's targets that are its own.
func (e *Engine) serves(targets []permit.Target) bool {
	for _, c := range e.claims(targets) {
		if c.Serving != logpb.Serving_SERVING_YES {
			return false
		}
	}
	return true
}
