package heal

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/salveops/salve/agent/internal/systemd"
	"github.com/salveops/salve/agent/internal/transaction"
	"github.com/salveops/salve/pkg/care"
	"github.com/salveops/salve/pkg/config"
	"github.com/salveops/salve/pkg/glob"
	"github.com/salveops/salve/pkg/healing"
	"github.com/salveops/salve/pkg/incident"
	"github.com/salveops/salve/pkg/remedy"
)

// holderFresh is how long an answer about package transactions is good for.
const holderFresh = time.Second

// holder remembers the package transaction that runs.
type holder struct {
	asked time.Duration
	file  string
	since time.Duration
}

// facts is everything that a decision about the alert looks at, as it is now.
func (e *Engine) facts(s *story, p *patient) healing.Facts {
	a := p.live
	f := healing.Facts{
		Alert:    care.Alert(a, p.fired),
		Incident: care.Story(s.Incident),
		Host:     e.hostFacts(),
		Observe:  e.observes(a.Service),
		Broken:   e.fleet.broken(care.Service(a), a.Rule.Name),
		Pauses:   e.allPauses(),
		Windows:  e.allWindows(),
		Depends:  e.depends(a.Service),
		Ahead:    e.ahead(s, p),
		History:  e.past.List(),
	}
	unit := unitOf(a)
	if unit != "" {
		f.Unit = e.unitFacts(unit, a.Service)
	}
	for _, rem := range e.cfg.Candidates(a.Rule, a.Service) {
		c := e.candidate(rem, unit, a.Rule.Name)
		c.Refusal = p.refusal(rem.Name, e.o.Clock.Now().Boot)
		c.Taken = e.taken(s, rem.Kind, c.Services)
		c.Denied, c.DeniedFor = p.denial(rem.Name, e.o.Clock.Now().Boot)
		f.Candidates = append(f.Candidates, c)
	}
	return f
}

// taken says which other incident a person has, whose service a remedy of that kind on units of these services would change
// under their hands; "": none. One of the whole host changes all.
func (e *Engine) taken(s *story, k remedy.Kind, services []string) string {
	for _, o := range e.openStories() {
		if o != s && o.AckBy != "" && !o.Keep && (k.OnHost() || slices.Contains(services, o.Service)) {
			return fmt.Sprintf("%s has the incident %.8s (%s)", o.AckBy, o.ID, o.Title)
		}
	}
	return ""
}

// requestFacts are the facts of a remedy that a person asks for without an alert. own is the attempt that
// is made of it already, "" if none is.
func (e *Engine) requestFacts(rem *config.Remedy, unit string, s *story, own string) healing.Facts {
	f := healing.Facts{
		Alert:  healing.Alert{Rule: "a person's request", Service: rem.Owner(), Instance: unit, Firing: true},
		Host:   e.hostFacts(),
		Pauses: e.allPauses(), Windows: e.allWindows(), History: e.past.List(),
		Candidates: []healing.Candidate{e.candidate(rem, unit, "")},
	}
	if s != nil {
		f.Incident = care.Story(s.Incident)
	}
	f.History = slices.DeleteFunc(f.History, func(a incident.Attempt) bool { return a.ID == own })
	if unit != "" {
		f.Unit = e.unitFacts(unit, rem.Service)
	}
	return f
}

func (e *Engine) hostFacts() healing.Host {
	return healing.Host{State: e.o.Units.SystemState(), PerHour: e.cfg.PerHour, Lost: e.o.BudgetUnknown}
}

// depends are the services that s depends on, of this host and, as far as the controller tells, of others.
func (e *Engine) depends(s *config.Service) []healing.Dependency {
	if s == nil {
		return nil
	}
	var out []healing.Dependency
	for _, name := range s.DependsOn {
		if e.cfg.Service(name) == nil { // of another host
			if d, ok := e.elsewhere(name); ok {
				out = append(out, d)
			}
			continue
		}
		out = append(out, healing.Dependency{Service: name, Open: e.services[name] != nil,
			Detection: e.rules.Detection(name)})
	}
	return out
}

// unitFacts is the unit as systemd told it last. An unknown unit has no Active state, which holds
// every remedy back.
func (e *Engine) unitFacts(name string, s *config.Service) healing.Unit {
	u, ok := e.o.Units.Unit(name)
	f := healing.Unit{Name: name, Startup: s.StartupTime()}
	if !ok {
		return f
	}
	f.Load, f.Active, f.Sub, f.Result, f.Stopped = u.Load, u.Active, u.Sub, u.Result, string(u.Stopped)
	f.Job = u.Job != 0
	if u.Active == "active" || u.Active == "reloading" {
		f.ActiveFor = max(0, e.o.Clock.Now().Boot-u.ActiveEnter)
	}
	if transaction.Touches(u.FragmentPath) {
		f.Transaction, f.Upgrading = e.transaction()
	}
	return f
}

// transaction names the package lock that is held, and for how long it has been seen held. A table
// that cannot be read counts as held: upgrading is a person's work.
func (e *Engine) transaction() (file string, since time.Duration) {
	now := e.o.Clock.Now().Boot
	h := &e.holder
	if h.asked == 0 || now-h.asked > holderFresh {
		file, err := e.o.Packages.Holder()
		if err != nil {
			file = "unreadable lock table (" + err.Error() + ")"
		}
		if file != "" && h.file == "" {
			h.since = now
		}
		h.asked, h.file = now, file
	}
	if h.file == "" {
		return "", 0
	}
	return h.file, now - h.since
}

// candidate is one remedy as the decision sees it.
func (e *Engine) candidate(rem *config.Remedy, unit, ruleName string) healing.Candidate {
	c := care.Candidate(e.o.Clock.Now(), rem, unit, ruleName, e.rules, &e.past)
	c.Allowed, c.Services = e.cfg.AllowsRemedy(rem, unit), e.owners(c.Locks)
	if own := rem.Unit(unit); own != unit && own != "" {
		c.Unit = e.unitFacts(own, e.keeper(own))
	}
	for _, glob := range c.Waits {
		for _, name := range e.o.Units.Match(glob) {
			if u := e.unitFacts(name, nil); u.Transaction != "" {
				c.Unit = healing.Unit{Name: name, Active: "active", Transaction: u.Transaction, Upgrading: u.Upgrading}
			}
		}
	}
	return c
}

// keeper is the service that looks after the unit, and knows how long it takes to start; nil: none does.
func (e *Engine) keeper(unit string) *config.Service {
	for _, s := range e.cfg.Services {
		if s.Covers(unit) {
			return s
		}
	}
	return nil
}

// owners are the services whose units the locks name, or may mean.
func (e *Engine) owners(locks []remedy.Lock) []string {
	var names []string
	for _, s := range e.cfg.Services {
		if slices.ContainsFunc(locks, func(l remedy.Lock) bool {
			unit := l.Unit()
			means := func(own string) bool { return glob.Match(unit, own) }
			return unit != "" && (s.Covers(unit) || glob.Is(unit) && slices.ContainsFunc(e.unitsOf(s), means))
		}) {
			names = append(names, s.Name)
		}
	}
	return names
}

// openStories in a fixed order.
func (e *Engine) openStories() []*story {
	out := make([]*story, 0, len(e.stories))
	for _, id := range slices.Sorted(maps.Keys(e.stories)) {
		out = append(out, e.stories[id])
	}
	return out
}

// known reports whether systemd knows the unit at the moment.
func known(u systemd.Unit, ok bool) bool { return ok && u.Load != "not-found" }
