package rule

import (
	"github.com/salveops/salve/pkg/config"
	"github.com/salveops/salve/pkg/incident"
)

// gates are the objectives of the service that ask for something once their error budget is spent.
func (e *Engine) gates(s *config.Service) []*goal {
	var out []*goal
	for _, g := range e.goals {
		if s != nil && g.service == s.Name && g.slo.Spent != (config.Gate{}) {
			out = append(out, g)
		}
	}
	return out
}

// Restrains names the objective because of which nothing may be done alone for the service, since its error budget is
// spent; "" if there is none.
func (e *Engine) Restrains(s *config.Service) (objective string) {
	for _, g := range e.gates(s) {
		if g.slo.Spent.Autonomy == config.Observe && g.count.Tracker.Spent() {
			return g.slo.Name
		}
	}
	return ""
}

// Severity is that of the rule, or a graver one that an objective of the service asks for since its error budget is
// spent; because names that objective, and is "" if there is none.
func (a *Alert) Severity() (s config.Severity, because string) {
	s = a.Rule.Severity
	for _, g := range a.gates {
		if incident.Graver(string(g.slo.Spent.Severity), string(s)) && g.count.Tracker.Spent() {
			s, because = g.slo.Spent.Severity, g.slo.Name
		}
	}
	return s, because
}
