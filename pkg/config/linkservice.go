package config

import (
	"slices"
	"strings"

	"github.com/salveops/salve/pkg/glob"
)

// linkServices settles which service has which unit, what depends on what, and who may act alone.
func (l *loader) linkServices() {
	for i, d := range l.services {
		l.agent.Services = append(l.agent.Services, d.Service)
		l.shareUnits(d, l.services[:i])
		l.limitAutonomy(d)
		l.checkLonely(d)
		l.checkController(d.Service)
	}
	for _, r := range l.remedies {
		l.agent.Remedies = append(l.agent.Remedies, r.Remedy)
	}
	for _, d := range l.services {
		l.checkDepends(d)
	}
	l.checkCycles()
	for _, r := range l.eachRemedy() {
		l.checkPermit(r)
		for _, w := range r.affects {
			if l.agent.Service(w.text) == nil {
				l.fail(w.at, "Unknown service", "There is no service %q on this host.%s", w.text, meant(w.text, l.serviceNames()))
			}
		}
	}
}

// shareUnits sees to it that no unit has two services: of two globs that overlap the one declared
// first has the unit, and a name always has it before a glob.
func (l *loader) shareUnits(d *serviceDraft, before []*serviceDraft) {
	for _, other := range before {
		switch {
		case !glob.Overlap(d.Unit, other.Unit):
		case glob.Is(d.Unit):
			d.Except = append(d.Except, other.Unit)
			if glob.Is(other.Unit) {
				l.warn(d.unitAt.at, "Overlapping units", "Units that match both %q and %q belong to the service %q, "+
					"which was declared first.", d.Unit, other.Unit, other.Name)
			}
		case glob.Is(other.Unit):
			other.Except = append(other.Except, d.Unit)
		default:
			l.fail(d.unitAt.at, "Duplicate unit", "%s belongs to the service %q already, declared at %s.",
				d.Unit, other.Name, place(other.Range))
		}
	}
}

// limitAutonomy lets the stricter of host and service win.
func (l *loader) limitAutonomy(d *serviceDraft) {
	d.Autonomy = l.agent.Autonomy
	switch {
	case d.autonomy.text == string(Observe):
		d.Autonomy = Observe
	case d.autonomy.text == string(Full) && l.agent.Autonomy == Observe && !l.rulesOnly:
		l.warn(d.autonomy.at, "No effect", "The host's autonomy is \"observe\", and the stricter of the two wins.")
	}
}

func (l *loader) serviceNames() []string {
	var names []string
	for _, s := range l.agent.Services {
		names = append(names, s.Name)
	}
	return names
}

// checkDepends warns about what looks like a misspelt service of this host. Others may live elsewhere.
func (l *loader) checkDepends(d *serviceDraft) {
	for _, w := range d.depends {
		if l.agent.Service(w.text) != nil {
			continue
		}
		if hint := meant(w.text, l.serviceNames()); hint != "" {
			l.warn(w.at, "Unknown service", "There is no service %q on this host.%s", w.text, hint)
		}
	}
}

// checkCycles reports each circle of depends_on once, at the service of it that was declared first.
func (l *loader) checkCycles() {
	told := map[string]bool{}
	for _, d := range l.services {
		circle := l.circle(d.Service)
		if circle == nil || told[d.Name] {
			continue
		}
		for _, name := range circle {
			told[name] = true
		}
		at := d.Range
		if len(d.depends) > 0 {
			at = d.depends[slices.IndexFunc(d.depends, func(w word) bool { return w.text == circle[1] })].at
		}
		l.fail(at, "Circle of dependencies", "%s: each would wait for the other.", chain(circle))
	}
}

func chain(circle []string) string {
	return circle[0] + " depends on " + strings.Join(circle[1:], ", which depends on ")
}

// circle is a shortest way from the service back to itself; nil when there is none.
func (l *loader) circle(from *Service) []string {
	came := map[string]string{}
	queue := []*Service{from}
	for len(queue) > 0 {
		s := queue[0]
		queue = queue[1:]
		for _, name := range s.DependsOn {
			if name == from.Name {
				way := []string{name}
				for at := s.Name; at != from.Name; at = came[at] {
					way = append([]string{at}, way...)
				}
				return append([]string{from.Name}, way...)
			}
			next := l.agent.Service(name)
			if _, seen := came[name]; next != nil && !seen {
				came[name] = s.Name
				queue = append(queue, next)
			}
		}
	}
	return nil
}
