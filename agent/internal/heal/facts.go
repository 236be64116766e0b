package heal

import (
	"maps"
	"slices"
	"time"

	"github.com/salveops/salve/agent/internal/act"
	"github.com/salveops/salve/agent/internal/systemd"
	"github.com/salveops/salve/agent/internal/transaction"
	"github.com/salveops/salve/pkg/clock"
	"github.com/salveops/salve/pkg/config"
	"github.com/salveops/salve/pkg/expr"
	"github.com/salveops/salve/pkg/healing"
	"github.com/salveops/salve/pkg/incident"
	"github.com/salveops/salve/pkg/rule"
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
		Alert: healing.Alert{
			Rule: a.Rule.Name, Service: serviceName(a), Instance: a.Instance,
			Firing: true, Clearing: recovering(a), Flapping: a.Flapping, Blind: a.Blind,
			Unknown: a.Holds == expr.Unknown,
			Fired:   p.fired, EscalateAfter: a.Rule.Escalate.After,
		},
		Incident: tale(s),
		Host:     e.hostFacts(),
		Observe:  e.autonomy(a.Service) == config.Observe,
		Broken:   e.fleet.broken(serviceName(a), a.Rule.Name),
		Pauses:   e.allPauses(),
		Windows:  e.allWindows(),
		Depends:  e.depends(a.Service),
		History:  e.past.list(),
	}
	unit := unitOf(a)
	if unit != "" {
		f.Unit = e.unitFacts(unit, a.Service)
	}
	for _, rem := range e.cfg.Candidates(a.Rule, a.Service) {
		c := e.candidate(rem, unit, a.Rule.Name)
		c.Refusal = p.refused[rem.Name]
		c.Denied, c.DeniedFor = p.denial(rem.Name, e.o.Clock.Now().Boot)
		f.Candidates = append(f.Candidates, c)
	}
	return f
}

// recovering reports whether the alert is seen to clear. What cannot be seen any more is not recovering,
// and people must hear of it.
func recovering(a *rule.Alert) bool {
	return a.State == rule.Clearing && !a.Blind && a.Holds != expr.Unknown
}

// requestFacts are the facts of a remedy that a person asks for without an alert. own is the attempt that
// is made of it already, "" if none is.
func (e *Engine) requestFacts(rem *config.Remedy, unit string, s *story, own string) healing.Facts {
	f := healing.Facts{
		Alert:  healing.Alert{Rule: "a person's request", Service: ownerOf(rem), Instance: unit, Firing: true},
		Host:   e.hostFacts(),
		Pauses: e.allPauses(), Windows: e.allWindows(), History: e.past.list(),
		Candidates: []healing.Candidate{e.candidate(rem, unit, "")},
	}
	if s != nil {
		f.Incident = tale(s)
	}
	f.History = slices.DeleteFunc(f.History, func(a incident.Attempt) bool { return a.ID == own })
	if unit != "" {
		f.Unit = e.unitFacts(unit, rem.Service)
	}
	return f
}

func tale(s *story) healing.Story {
	return healing.Story{ID: s.ID, AckBy: s.AckBy, KeepHealing: s.Keep, Told: !s.Escalate.Since.IsZero(),
		Released: s.Released}
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
	f := healing.Unit{Name: name, Startup: startupOf(s)}
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
	c := healing.Candidate{
		Name: rem.Name, Kind: rem.Kind, Target: targetOf(rem, unit), Attempts: rem.Attempts, Recurring: rem.Recurring,
		Cooldown: rem.Cooldown, Prior: rem.Confidence, Conditional: rem.Precondition != nil,
	}
	c.Allowed = act.Allowed(e.cfg.Allow, rem.Kind, c.Target)
	if c.Conditional {
		c.Precondition = e.precondition(rem, unit)
	}
	if c.Target != unit && isUnitKind(rem.Kind) {
		c.Unit = e.unitFacts(c.Target, e.keeper(c.Target))
	}
	c.Verified, c.Failed = e.past.record(rem, ruleName)
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

// precondition is judged by what the host says now.
func (e *Engine) precondition(rem *config.Remedy, unit string) expr.Truth {
	return e.rules.Bind(rule.Subject{Service: rem.Service, Unit: unit}, rem.Precondition).Eval(e.o.Clock.Now())
}

// ownerOf names the service of a remedy, "" for one of the host.
func ownerOf(r *config.Remedy) string {
	if r.Service == nil {
		return ""
	}
	return r.Service.Name
}

// openStories in a fixed order.
func (e *Engine) openStories() []*story {
	out := make([]*story, 0, len(e.stories))
	for _, id := range slices.Sorted(maps.Keys(e.stories)) {
		out = append(out, e.stories[id])
	}
	return out
}

// attempts is the memory of what ran on this host, of the last day, oldest first.
type attempts struct {
	all []*incident.Attempt
}

// put adds an attempt or replaces an older state of it.
func (h *attempts) put(a *incident.Attempt) {
	for i := len(h.all) - 1; i >= 0; i-- {
		if h.all[i].ID == a.ID {
			h.all[i] = a
			return
		}
	}
	h.all = append(h.all, a)
}

// drop forgets an attempt that never began.
func (h *attempts) drop(id string) {
	h.all = slices.DeleteFunc(h.all, func(a *incident.Attempt) bool { return a.ID == id })
}

// forget drops what is too old for any decision.
func (h *attempts) forget(now clock.Stamp) {
	h.all = slices.DeleteFunc(h.all, func(a *incident.Attempt) bool {
		return !a.Open() && a.Intended.Age(now) > historyAge
	})
}

func (h *attempts) byID(id string) *incident.Attempt {
	for _, a := range h.all {
		if a.ID == id {
			return a
		}
	}
	return nil
}

func (h *attempts) list() []incident.Attempt {
	out := make([]incident.Attempt, len(h.all))
	for i, a := range h.all {
		out[i] = *a
	}
	return out
}

// historyAge covers the longest window that a decision looks at, and what confidence is learned from.
const historyAge = 7 * 24 * time.Hour

// record counts the remedy's own outcomes for the service and rule.
func (h *attempts) record(rem *config.Remedy, ruleName string) (verified, failed int) {
	for _, a := range h.all {
		if a.Remedy != rem.Name || a.Service != ownerOf(rem) || ruleName != "" && a.Rule != ruleName {
			continue
		}
		switch a.Outcome {
		case incident.Verified:
			verified++
		case incident.Ineffective, incident.Worse, incident.Inconclusive:
			failed++
		}
	}
	return verified, failed
}

// known reports whether systemd knows the unit at the moment.
func known(u systemd.Unit, ok bool) bool { return ok && u.Load != "not-found" }
