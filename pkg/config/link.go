package config

import (
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"

	"github.com/salveops/salve/pkg/defaults"
	"github.com/salveops/salve/pkg/expr"
	"github.com/salveops/salve/pkg/signal"
)

// link turns drafts into the specification: names resolve, conditions compile, allow permits.
func (l *loader) link() {
	l.agent.Notifiers, l.agent.Escalations = l.people.notifiers, l.people.escalations
	l.agent.Windows, l.agent.Heartbeat = l.people.windows, l.people.heartbeat
	l.linkServices()
	l.addImplicit()
	l.linkThresholds()
	if l.diags.HasErrors() {
		return // every condition that uses what is wrong would be wrong as well
	}
	l.rules = slices.DeleteFunc(l.rules, l.absent)
	for _, d := range l.rules {
		l.linkRule(d)
	}
	l.report()
	for _, d := range l.eachRemedy() {
		l.compileRemedy(d)
	}
	if l.diags.HasErrors() {
		return
	}
	l.checkVerify()
	l.checkAllowed()
	l.checkPeople()
	l.checkUse()
	l.linkTests()
}

// linkThresholds compiles the thresholds in the order in which they were declared.
func (l *loader) linkThresholds() {
	for _, d := range l.thresholds {
		s := &expr.Scope{Labels: l.labels()}
		l.fill(s, nil)
		t, diags := expr.NewThreshold(d.name, d.def, d.cases, s)
		l.diags = append(l.diags, diags...)
		l.compiled[d.name] = t
	}
}

// labels of the host for the rule language; never nil, so that a label that is not set is told.
func (l *loader) labels() map[string]string {
	if l.agent.Labels == nil && !l.rulesOnly {
		return map[string]string{}
	}
	return l.agent.Labels
}

func (l *loader) linkRule(d *ruleDraft) {
	l.agent.Rules = append(l.agent.Rules, d.Rule)
	for _, s := range l.agent.Services {
		if d.About(s) {
			d.about = append(d.about, s)
		}
	}
	l.checkGlobs(d)
	d.When = l.compile(d.when, d.scope(l, expr.When))
	if d.clear != nil {
		d.Clear = l.compile(d.clear, d.scope(l, expr.Clear))
	}
	if d.When == nil {
		return
	}
	if construct, needed := d.When.NeedsClear(); needed && d.clear == nil {
		l.fail(d.When.Range(), "Missing clear", "The condition uses %s, whose end is no recovery: a plateau or the "+
			"hour would count as one. Say with clear when the rule has recovered.", construct)
	}
	if !d.forSet {
		d.For = defaults.ForPolled
		if d.When.EventOnly() {
			d.For = defaults.ForEvent
		}
	}
	l.checkSources(d)
	l.checkTry(d)
}

// scope is what the rule's conditions may refer to: what any of its services has. That each of them
// has it is checked afterwards, by name.
func (d *ruleDraft) scope(l *loader, use expr.Use) *expr.Scope {
	s := &expr.Scope{
		Service: len(d.Services) > 0, Unit: d.Unit != "", Labels: l.labels(), Thresholds: l.compiled, Use: use,
	}
	l.fill(s, d.about)
	return s
}

// fill names what the services declare and what the host has, and tells how often each signal is sampled.
func (l *loader) fill(s *expr.Scope, services []*Service) {
	s.Metrics = metrics(services)
	s.HostLogs, s.Contexts, s.Queries = logNames(l.agent.Logs), l.agent.contexts(), l.agent.queries()
	s.Span = func(p signal.Path) time.Duration {
		farthest := l.agent.Describe(p, "").Span
		for _, service := range services {
			farthest = max(farthest, service.Describe(p).Span)
		}
		return farthest
	}
	for _, service := range services {
		for _, p := range service.Probes {
			if !slices.Contains(s.Probes, p.Name) {
				s.Probes = append(s.Probes, p.Name)
			}
		}
		for _, p := range service.Pools {
			if !slices.Contains(s.Pools, p.Name) {
				s.Pools = append(s.Pools, p.Name)
			}
		}
		for _, name := range logNames(service.Logs) {
			if !slices.Contains(s.Logs, name) {
				s.Logs = append(s.Logs, name)
			}
		}
		for _, o := range service.SLOs {
			if !slices.Contains(s.SLOs, o.Name) {
				s.SLOs = append(s.SLOs, o.Name)
			}
		}
	}
	s.Every = func(p signal.Path) time.Duration {
		slowest := time.Duration(0)
		for _, service := range services {
			slowest = max(slowest, service.period(p))
		}
		return slowest
	}
}

// period is how often the service samples the signal; 0 when the service does not say.
func (s *Service) period(p signal.Path) time.Duration {
	family, _, _ := strings.Cut(p.Family, ".")
	switch family {
	case "unit":
		return s.Every
	case "probe":
		if probe := named(s.Probes, p.Key, func(p *Probe) string { return p.Name }); probe != nil {
			return probe.Every
		}
	case signal.Metric:
		if m := s.Metric(p.Field); m != nil {
			return m.Every
		}
	case "pool":
		if pool := named(s.Pools, p.Key, func(p *Pool) string { return p.Name }); pool != nil {
			return pool.Every
		}
	}
	return 0
}

func (l *loader) compileRemedy(d *remedyDraft) {
	scope := func(use expr.Use) *expr.Scope {
		s := &expr.Scope{Labels: l.labels(), Thresholds: l.compiled, Use: use}
		if d.Service != nil {
			s.Service = true
			l.fill(s, []*Service{d.Service})
		} else {
			s.Unit = true
			l.fill(s, nil)
		}
		return s
	}
	if d.precondition != nil {
		d.Precondition = l.compile(d.precondition, scope(expr.Precondition))
	}
	if d.verifyWhen != nil {
		d.Verify.When = l.compile(d.verifyWhen, scope(expr.Verify))
	}
	if d.until != nil {
		d.Until = l.compile(d.until, scope(expr.Verify))
		l.checkUntil(d)
	}
}

func (l *loader) compile(e hcl.Expression, s *expr.Scope) *expr.Program {
	p, diags := expr.Compile(e, s)
	l.diags = append(l.diags, diags...)
	return p
}

// eachRemedy lists all remedies: those of the services in order, then those of the host.
func (l *loader) eachRemedy() []*remedyDraft {
	var all []*remedyDraft
	for _, s := range l.services {
		all = append(all, s.remedies...)
	}
	return append(all, l.remedies...)
}
