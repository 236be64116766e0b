package config

import (
	"time"

	"github.com/salveops/salve/pkg/signal"
)

// Describe is what is known of a signal of a service, or of the host if of is "": what the catalogue says, and what
// the block adds that declares it.
func (a *Agent) Describe(p signal.Path, of string) signal.Info {
	in, _ := signal.Lookup(p)
	for _, s := range a.Services {
		if in.Scope == signal.Service && s.Name == of || in.Scope == signal.Unit && s.Covers(of) {
			return s.Describe(p)
		}
	}
	switch p.Family {
	case "host.log":
		in.Span = lookBack(a.Logs, p)
	case signal.Context:
		if declared, ok := a.contexts()[p.Key][p.Field]; ok {
			return declared
		}
	case signal.Query:
		if declared, ok := a.queries()[p.Field]; ok {
			return declared
		}
	}
	return in
}

// Describe is Agent.Describe for a signal of this service.
func (s *Service) Describe(p signal.Path) signal.Info {
	in, _ := signal.Lookup(p)
	if every := s.period(p); every > 0 && !in.Event {
		in.Every = every
	}
	switch p.Family {
	case signal.Metric:
		if m := s.Metric(p.Field); m != nil {
			return m.Info()
		}
	case "log":
		in.Span = lookBack(s.Logs, p)
	case signal.SLO:
		for _, o := range s.SLOs {
			if p.Key == o.Name || p.Key == signal.AnyKey {
				in.Span = max(in.Span, o.span(p.Field))
				in.Definition = o.definition(s)
			}
		}
	}
	return in
}

// lookBack is over how much time a value of a log's signal is taken, by the slowest of the logs that are meant.
func lookBack(logs []*Log, p signal.Path) (span time.Duration) {
	for _, g := range logs {
		if p.Field == "rate" && (p.Key == g.Name || p.Key == signal.AnyKey) {
			span = max(span, g.Window)
		}
	}
	return span
}
