package rule

import (
	"cmp"
	"slices"

	"github.com/salveops/salve/pkg/config"
	"github.com/salveops/salve/pkg/expr"
	"github.com/salveops/salve/pkg/glob"
	"github.com/salveops/salve/pkg/signal"
)

// id names an instance for ever, across reloads.
type id struct{ rule, service, instance string }

// plan is an instance that should exist.
type plan struct {
	Subject
	id   id
	rule *config.Rule
}

// plans are all instances that the configuration asks for on what exists now, each once, in the order
// of the rules.
func (e *Engine) plans() []plan {
	var out []plan
	seen := make(map[id]bool)
	for _, r := range e.cfg.Rules {
		for _, s := range e.subjects(r) {
			p := plan{Subject: s, rule: r, id: id{rule: r.Name, instance: name(r, s)}}
			if s.Service != nil {
				p.id.service = s.Service.Name
			}
			if !seen[p.id] {
				seen[p.id] = true
				out = append(out, p)
			}
		}
	}
	return out
}

// subjects are what the rule is about. Where nothing matches there are none.
func (e *Engine) subjects(r *config.Rule) []Subject {
	services := []*config.Service{nil}
	if len(r.Services) > 0 {
		services = slices.DeleteFunc(slices.Clone(e.cfg.Services), func(s *config.Service) bool { return !r.About(s) })
	}
	var out []Subject
	for _, s := range services {
		for _, unit := range e.unitsOf(r, s) {
			for _, key := range e.keysOf(r, s) {
				out = append(out, Subject{Service: s, Unit: unit, Key: key})
			}
		}
	}
	return out
}

// unitsOf are the units that the rule is about in a service; "" stands for the service or the host as
// a whole.
func (e *Engine) unitsOf(r *config.Rule, s *config.Service) []string {
	switch {
	case r.Unit != "" && !glob.Is(r.Unit):
		return []string{r.Unit}
	case r.Unit != "":
		return e.existing(func(unit string) bool { return glob.Match(r.Unit, unit) && !e.foreign(unit, s) })
	case s == nil:
		return []string{""}
	case !glob.Is(s.Unit):
		return []string{s.Unit}
	case readsUnit(r.When) || readsUnit(r.Clear):
		return e.existing(s.Covers)
	}
	return []string{""}
}

// foreign reports whether a unit belongs to another service than s. A rule about the host takes all.
func (e *Engine) foreign(unit string, s *config.Service) bool {
	owner := e.owner(unit)
	return s != nil && owner != nil && owner != s
}

// owner is the service that looks after the unit, or nil.
func (e *Engine) owner(unit string) *config.Service {
	for _, s := range e.cfg.Services {
		if s.Covers(unit) {
			return s
		}
	}
	return nil
}

func (e *Engine) existing(wanted func(string) bool) []string {
	var out []string
	for _, unit := range e.units {
		if wanted(unit) {
			out = append(out, unit)
		}
	}
	return out
}

// keysOf are the instances of the family that the rule's conditions leave open; one nameless key if
// they leave none open.
func (e *Engine) keysOf(r *config.Rule, s *config.Service) []string {
	family := r.When.Each()
	if family == "" && r.Clear != nil {
		family = r.Clear.Each()
	}
	switch family {
	case "":
		return []string{""}
	case "probe":
		return names(s, func(s *config.Service) (out []string) {
			for _, p := range s.Probes {
				out = append(out, p.Name)
			}
			return out
		})
	case "pool":
		return names(s, func(s *config.Service) (out []string) {
			for _, p := range s.Pools {
				out = append(out, p.Name)
			}
			return out
		})
	case "log":
		return names(s, func(s *config.Service) (out []string) {
			for _, g := range s.Logs {
				out = append(out, g.Name)
			}
			return out
		})
	case signal.SLO:
		return names(s, func(s *config.Service) (out []string) {
			for _, o := range s.SLOs {
				out = append(out, o.Name)
			}
			return out
		})
	}
	return e.keys[family]
}

func names(s *config.Service, of func(*config.Service) []string) []string {
	if s == nil {
		return nil
	}
	return of(s)
}

// name is the instance's name for people.
func name(r *config.Rule, s Subject) string {
	several := glob.Is(r.Unit) || r.Unit == "" && s.Service != nil && glob.Is(s.Service.Unit)
	switch {
	case s.Key != "" && several && s.Unit != "":
		return s.Unit + " " + s.Key
	case s.Key != "":
		return s.Key
	case s.Unit == "" && s.Service != nil:
		return s.Service.Name
	}
	return s.Unit
}

func readsUnit(p *expr.Program) bool {
	return p != nil && slices.ContainsFunc(p.Refs(), func(r expr.Ref) bool { return r.Info.Scope == signal.Unit })
}

func (i id) compare(o id) int {
	return cmp.Or(cmp.Compare(i.rule, o.rule), cmp.Compare(i.service, o.service), cmp.Compare(i.instance, o.instance))
}
