package state

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/salveops/salve/proto/logpb"
)

// Why an incident cannot be shown.
var (
	ErrNone      = errors.New("there is no such incident")
	ErrAmbiguous = errors.New("several incidents begin like that")
)

// shortest is how much of an incident's name has to be said.
const shortest = 4

// Incidents are all that are kept, newest first; not to be changed.
func (s *State) Incidents() []*logpb.Incident {
	return slices.SortedFunc(maps.Values(s.incidents), func(a, b *logpb.Incident) int {
		if newer(a, b) {
			return -1
		}
		return 1
	})
}

// Incident is one by its name or a name that it had before, nil if there is none; not to be changed.
func (s *State) Incident(id string) *logpb.Incident { return s.byName(id) }

// Involves reports whether an incident is about a service, or has alerts of it.
func (s *State) Involves(i *logpb.Incident, service string) bool {
	if i.GetService() == service {
		return true
	}
	for _, a := range s.derived.members[i.GetId()] {
		if a.GetService() == service {
			return true
		}
	}
	return false
}

// Find is the incident that somebody means: by its name, a name that it had before, the name that an agent
// gave it, a unique beginning of one of these, or "last"; not to be changed.
func (s *State) Find(name string) (*logpb.Incident, error) {
	if name == "last" {
		for _, i := range s.Incidents() {
			return i, nil
		}
		return nil, ErrNone
	}
	if i := s.byName(name); i != nil {
		return i, nil
	}
	if len(name) < shortest {
		return nil, fmt.Errorf("%w: say %d characters of its name at least", ErrNone, shortest)
	}
	found := map[string]bool{}
	for id := range s.incidents {
		found[id] = strings.HasPrefix(id, name)
	}
	for id, alias := range s.aliases {
		found[alias.GetIncident()] = found[alias.GetIncident()] || strings.HasPrefix(id, name)
	}
	for l := range s.derived.locals {
		if strings.HasPrefix(l.name, name) {
			found[s.byLocal(l.host, l.name).GetId()] = true
		}
	}
	maps.DeleteFunc(found, func(_ string, ok bool) bool { return !ok })
	ids := slices.Sorted(maps.Keys(found))
	switch len(ids) {
	case 0:
		return nil, ErrNone
	case 1:
		return s.incidents[ids[0]], nil
	}
	return nil, fmt.Errorf("%w: %s", ErrAmbiguous, clip(join(ids), maxName))
}

// Aliases are the names of incidents that were merged into others, sorted; not to be changed.
func (s *State) Aliases() []*logpb.Alias { return sorted(s.aliases, compare) }

// AliasesOf are the names that an incident had before, and those that agents gave it.
func (s *State) AliasesOf(incident string) []string {
	names := map[string]bool{}
	for id, alias := range s.aliases {
		names[id] = alias.GetIncident() == incident
	}
	for _, a := range s.derived.members[incident] {
		names[a.GetLocal()] = true
	}
	maps.DeleteFunc(names, func(name string, ok bool) bool { return !ok || name == "" || name == incident })
	return slices.Sorted(maps.Keys(names))
}

// PermitsOfIncident are the open permits of an incident; not to be changed.
func (s *State) PermitsOfIncident(incident string) []*logpb.Permit {
	return slices.DeleteFunc(s.Permits(), func(p *logpb.Permit) bool {
		return s.byLocal(p.GetHost(), p.GetIncident()).GetId() != incident
	})
}

// open are the incidents that have not ended, by their names.
func (s *State) ongoing() []*logpb.Incident {
	var out []*logpb.Incident
	for _, list := range s.derived.ongoing {
		for _, i := range list {
			out = append(out, i)
		}
	}
	slices.SortFunc(out, func(a, b *logpb.Incident) int { return compare(a.GetId(), b.GetId()) })
	return out
}
