package config

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/salveops/salve/pkg/expr"
	"github.com/salveops/salve/pkg/script"
	"github.com/salveops/salve/pkg/series"
	"github.com/salveops/salve/pkg/signal"
)

// linkTests resolves what tests name.
func (l *loader) linkTests() {
	for _, d := range l.tests {
		l.agent.Tests = append(l.agent.Tests, d.Test)
		d.Courses = l.linkCourses(d.series)
		for _, w := range d.changes {
			if w.text != "" && l.agent.Service(w.text) == nil {
				l.fail(w.at, "Unknown service", "There is no service %q.%s", w.text, meant(w.text, l.serviceNames()))
			}
		}
		for _, a := range d.after {
			l.testRemedy(a.remedy)
			a.Courses = l.linkCourses(a.series)
		}
		for _, a := range d.at {
			l.linkAt(a)
		}
	}
}

func (l *loader) linkAt(a atDraft) {
	for _, w := range a.alerts {
		rule, _, _ := strings.Cut(w.text, "{")
		if l.agent.Rule(rule) == nil {
			l.fail(w.at, "Unknown rule", "There is no rule %q.%s%s", rule, meant(rule, l.ruleNames()), l.lacking(rule))
		}
	}
	for _, w := range a.attempts {
		name, outcome, _ := strings.Cut(w.text, " ")
		l.testRemedy(word{name, w.at})
		if !slices.Contains(testOutcomes(), outcome) {
			l.fail(w.at, "Unknown outcome", "An attempt is a remedy and its outcome, such as \"restart verified\".%s",
				oneOf(outcome, testOutcomes()))
		}
	}
	for _, w := range a.would {
		l.testRemedy(w)
	}
	for _, p := range a.incidents {
		if p.key.text != TestHost && l.agent.Service(p.key.text) == nil {
			l.fail(p.key.at, "Unknown service", "There is no service %q; \"host\" stands for the host.%s", p.key.text,
				meant(p.key.text, append(l.serviceNames(), TestHost)))
		}
		if !slices.Contains(testStates(), p.value.text) {
			l.fail(p.value.at, "Unknown state", "An incident is not %q.%s", p.value.text, oneOf(p.value.text, testStates()))
		}
	}
}

func (l *loader) ruleNames() []string {
	var names []string
	for _, r := range l.agent.Rules {
		names = append(names, r.Name)
	}
	return names
}

func (l *loader) testRemedy(w word) {
	var known []string
	for _, r := range l.eachRemedy() {
		known = append(known, r.Name)
	}
	if !slices.Contains(known, w.text) {
		l.fail(w.at, "Unknown remedy", "There is no remedy %q.%s", w.text, meant(w.text, known))
	}
}

func (l *loader) linkCourses(drafts []courseDraft) []Course {
	var out []Course
	seen := map[series.Key]bool{}
	for _, d := range drafts {
		c, info, ok := l.linkSignal(d.name)
		if !ok {
			continue
		}
		if seen[c.Key] {
			l.fail(d.name.at, "Duplicate signal", "%s is in series already.", c.Key)
		}
		seen[c.Key] = true
		c.Every = d.every
		var err error
		if c.Script, err = script.Parse(d.values.text, info); err != nil {
			l.wrongCourse(d.values, err)
		}
		out = append(out, c)
	}
	return out
}

// wrongCourse reports an error in a script, at the very word where that can be told.
func (l *loader) wrongCourse(w word, err error) {
	at, hint := w.at, ""
	var e *script.Error
	if errors.As(err, &e) {
		hint = meant(e.Given, e.Known)
		if at.Start.Line == at.End.Line && at.End.Byte-at.Start.Byte == len(w.text)+2 { // no escapes, one line
			at.Start.Column += 1 + len([]rune(w.text[:e.Offset]))
			at.Start.Byte += 1 + e.Offset
			at.End.Column = at.Start.Column + e.Length
			at.End.Byte = at.Start.Byte + e.Length
		}
	}
	l.fail(at, "Wrong values", "%s.%s", err, hint)
}

// made are the signals that follow from others, by what they follow from.
var made = map[string]string{"active": "unit.state", "failed": "unit.state", "uptime": "unit.state"}

// linkSignal reads the name of a signal as listings write it: unit.cpu{checkout.service}.
func (l *loader) linkSignal(w word) (Course, signal.Info, bool) {
	name, of, owned := strings.Cut(strings.TrimSuffix(w.text, "}"), "{")
	if head, rest, keyed := strings.Cut(name, "["); keyed && !strings.HasPrefix(rest, `"`) {
		key, tail, _ := strings.Cut(rest, "]") // so that a name within quotes needs none itself
		name = fmt.Sprintf("%s[%q]%s", head, key, tail)
	}
	fail := func(summary, format string, args ...any) (Course, signal.Info, bool) {
		l.fail(w.at, summary, format, args...)
		return Course{}, signal.Info{}, false
	}
	p, err := signal.ParsePath(name)
	if err != nil {
		return fail("Wrong signal", "%s.", err)
	}
	info, ok := signal.Lookup(p)
	if !ok {
		hint := ""
		if near := signal.Suggest(name); near != "" {
			hint = fmt.Sprintf(" Did you mean %s?", near)
		}
		return fail("Unknown signal", "There is no signal %s.%s", name, hint)
	}
	source, follows := made[p.Field]
	switch {
	case p.Key == signal.AnyKey:
		return fail("Wrong signal", "%s: a test gives the course of one instance, not of all.", p)
	case p.Family == signal.Change || p.Family == signal.HostChange:
		return fail("Wrong signal", "%s follows from change blocks: write one with its time.", p)
	case p.Family == "unit" && follows:
		return fail("Wrong signal", "%s follows from %s{%s}: write that.", p, source, cmp.Or(of, "NAME.service"))
	case p.Family == signal.Context && !slices.Contains(l.agent.contextSignals(), p.String()):
		return fail("Missing source", "No context gives %s.%s", p, meant(p.String(), l.agent.contextSignals()))
	case p.Family == "host.log" && !slices.Contains(logNames(l.agent.Logs), p.Key):
		return fail("Missing source", "The host has no %s.%s", p, l.nearSource(p, nil))
	case p.Family == signal.Query && l.agent.query(p.Field) == nil:
		return fail("Missing source", "There is no query %q.%s", p.Field, meant(p.Field, slices.Sorted(maps.Keys(l.agent.queries()))))
	case info.Scope == signal.Host && owned:
		return fail("Wrong signal", "%s belongs to the host: leave {%s} out.", p, of)
	case info.Scope == signal.Unit && !owned:
		return fail("Wrong signal", "%s belongs to a unit: write %s{NAME.service}.", p, p)
	case info.Scope == signal.Service && l.agent.Service(of) == nil:
		return fail("Wrong signal", "%s belongs to a service: write %s{SERVICE}; there is no service %q.%s", p, p, of,
			meant(of, l.serviceNames()))
	case info.Scope == signal.Service && lacksSource(l.agent.Service(of), p):
		return fail("Missing source", "The service %q has no %s.%s", of, p, l.nearSource(p, l.agent.Service(of)))
	case p.Family == signal.SLO:
		return fail("Wrong signal", "%s follows from %s{%s}: write that.", p, l.agent.Service(of).SLO(p.Key).Sources()[0], of)
	}
	return Course{Key: series.Key{Signal: p.String(), Of: of}, Signal: p, Range: w.at}, l.agent.Describe(p, of), true
}

// nearSource is the end of a message about a signal whose source the service, or the host (nil), does not have.
func (l *loader) nearSource(p signal.Path, of *Service) string {
	s, services := &expr.Scope{}, []*Service{}
	if of != nil {
		services = append(services, of)
	}
	l.fill(s, services)
	known := map[string][]string{"probe": s.Probes, "pool": s.Pools, "log": s.Logs, signal.SLO: s.SLOs,
		"host.log": s.HostLogs, signal.Metric: slices.Sorted(maps.Keys(s.Metrics))}
	return meant(cmp.Or(p.Key, p.Field), known[p.Family])
}
