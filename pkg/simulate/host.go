// Package simulate runs a test of rules on a host that does not exist: invented signals go in, and what the agent
// would say and do comes out. Series, rules, decisions, verification and incidents are the very code of the agent
// (packages series, rule, healing, care, incident). What is invented is the host: its units, and what becomes of its
// signals once a remedy ran. Time goes in steps of a second. It is pure, and the same test always has the same result.
package simulate

import (
	"maps"
	"slices"
	"time"

	"github.com/salveops/salve/pkg/care"
	"github.com/salveops/salve/pkg/clock"
	"github.com/salveops/salve/pkg/config"
	"github.com/salveops/salve/pkg/defaults"
	"github.com/salveops/salve/pkg/healing"
	"github.com/salveops/salve/pkg/incident"
	"github.com/salveops/salve/pkg/rule"
	"github.com/salveops/salve/pkg/series"
	"github.com/salveops/salve/pkg/signal"
)

const (
	step = time.Second
	// uptime of the host when the test begins: more than any unit's time to start.
	uptime = 48 * time.Hour
	bootID = "test"
)

// host is the machine of one test, with an agent on it.
type host struct {
	all    *config.Agent // everything
	cfg    *config.Agent // the rules and services that take part
	test   *config.Test
	given  []config.Course // see given
	now    clock.Instant
	store  *series.Store
	rules  *rule.Engine
	feeds  []*feed
	units  map[string]*unit
	sorted []*unit // by name
	past   healing.Past
	queue  healing.Queue

	changes care.Changes

	stories map[string]*story // the open incident of each service; "" is the host
	newest  map[string]*incident.Incident
	told    []*incident.Incident // all that there were, in the order in which they began
	runs    map[string]int       // how often each remedy ran
	alerts  uint64
	lines   []Line
}

// Line is one sentence of what happened.
type Line struct {
	At      time.Duration // since the beginning of the test
	Type    incident.EventType
	Service string // "" is the host
	Text    string
}

// newHost makes the machine at the moment before the test begins. known are signals that need not be given.
func newHost(all *config.Agent, t *config.Test, known []string) *host {
	from := given(all, t)
	h := &host{
		all: all, cfg: part(all, from, known), test: t, given: from, store: series.New(), units: make(map[string]*unit),
		stories: make(map[string]*story), newest: make(map[string]*incident.Incident), runs: make(map[string]int),
		now: clock.Instant{Boot: uptime - step, Wall: t.Start.Add(-step)},
	}
	labels := maps.Clone(all.Labels)
	if labels == nil {
		labels = make(map[string]string)
	}
	maps.Copy(labels, t.Labels)
	h.rules = rule.New(rule.Config{Rules: h.cfg.Rules, Services: h.cfg.Services, Remedies: h.cfg.Remedies,
		Logs: h.cfg.Logs, Store: h.store, Labels: labels})
	h.populate()
	h.changes.Follow(h.store, h.rules.Needs())
	return h
}

// part is the configuration of the services and rules that take part in the test.
func part(all *config.Agent, given []config.Course, known []string) *config.Agent {
	c := *all
	if c.PerHour == 0 { // rules without their agent.hcl
		c.PerHour = defaults.PerHour
	}
	c.Services = slices.DeleteFunc(slices.Clone(all.Services), func(s *config.Service) bool { return !concerns(given, s) })
	c.Rules = slices.DeleteFunc(slices.Clone(all.Rules),
		func(r *config.Rule) bool { return !concerned(given, r, c.Services, known) })
	return &c
}

// courses are all signals of which the test says something.
func courses(t *config.Test) []config.Course {
	out := slices.Clone(t.Courses)
	for _, a := range t.After {
		out = append(out, a.Courses...)
	}
	return out
}

// given are the signals of which the test says something, and those that follow from them.
func given(all *config.Agent, t *config.Test) []config.Course {
	out := courses(t)
	has := func(of string, p signal.Path) bool {
		return slices.ContainsFunc(out, func(c config.Course) bool { return c.Key.Of == of && c.Signal == p })
	}
	for _, s := range all.Services {
		for _, o := range s.SLOs {
			if slices.ContainsFunc(o.Sources(), func(p signal.Path) bool { return !has(s.Name, p) }) {
				continue
			}
			for _, p := range o.Signals() {
				out = append(out, config.Course{Key: series.Key{Signal: p.String(), Of: s.Name}, Signal: p})
			}
		}
	}
	return out
}

// concerns reports whether a signal of the service or of one of its units is given.
func concerns(given []config.Course, s *config.Service) bool {
	return slices.ContainsFunc(given, func(c config.Course) bool {
		if c.Signal.Family == "unit" || c.Key.Of != s.Name {
			return c.Key.Of != "" && s.Covers(c.Key.Of)
		}
		return true
	})
}

// concerned reports whether the test gives all that the rule goes by: of another rule it could only be said that it
// knows nothing.
func concerned(given []config.Course, r *config.Rule, services []*config.Service, known []string) bool {
	return (len(r.Services) == 0 || slices.ContainsFunc(services, r.About)) && len(missing(given, r, known)) == 0
}

// missing are the signals that the rule goes by, that are not known anyway, and that the test does not give.
func missing(given []config.Course, r *config.Rule, known []string) []string {
	var out []string
	for _, ref := range r.When.Refs() {
		gives := func(c config.Course) bool {
			return ref.Path == c.Signal || ref.Path.Key == signal.AnyKey && ref.Path.Family == c.Signal.Family &&
				ref.Path.Field == c.Signal.Field
		}
		if !slices.Contains(known, ref.Path.String()) && !slices.ContainsFunc(given, gives) {
			out = append(out, ref.Path.String())
		}
	}
	return out
}

// stamp is now as records keep it.
func (h *host) stamp() clock.Stamp { return h.at(h.now) }

func (h *host) at(i clock.Instant) clock.Stamp {
	return clock.Stamp{Boot: i.Boot, BootID: bootID, Wall: i.Wall}
}

// since is the time since the beginning of the test.
func (h *host) since() time.Duration { return h.now.Boot - uptime }

// note adds to the story.
func (h *host) note(s *story, typ incident.EventType, text string) {
	s.Append(incident.Event{At: h.stamp(), Type: typ, Text: text})
	h.lines = append(h.lines, Line{At: h.since(), Type: typ, Service: s.Service, Text: text})
}

// change lets happen what the test changes in this second.
func (h *host) change() {
	for _, c := range h.test.Changes {
		if c.At == h.since() {
			h.changes.Note(c.Service, c.Kind, h.now.Boot)
		}
	}
	h.changes.Tell(h.now.Boot)
}

// tick lets a second pass.
func (h *host) tick() {
	h.now = h.now.Add(step)
	h.feed()
	h.change()
	h.rules.Tick(h.now, h.onAlert)
	for _, s := range h.open() {
		if text := care.Raise(s.Incident, s.firing()); text != "" {
			h.note(s, incident.EvAlert, text)
		}
	}
	h.work()
	h.judgeDue()
}
