package rule

import (
	"time"

	"github.com/salveops/salve/pkg/config"
	"github.com/salveops/salve/pkg/defaults"
	"github.com/salveops/salve/pkg/expr"
	"github.com/salveops/salve/pkg/signal"
)

// Detection is how long the service's own rules need at most to notice that it does not work: the time
// for which the alerts of those that depend on it are held back. 0 for a service without such rules.
func (e *Engine) Detection(service string) time.Duration { return e.detection[service] }

// detections looks at the rules that tell whether a service works at all, by its unit's state or by a
// probe. Rules that take minutes to notice that it is slow hold nobody back.
func (e *Engine) detections() map[string]time.Duration {
	out := make(map[string]time.Duration)
	for _, r := range e.cfg.Rules {
		for _, s := range e.cfg.Services {
			if lag, tells := lag(r, s); tells && r.About(s) {
				out[s.Name] = max(out[s.Name], r.For+lag)
			}
		}
	}
	return out
}

// lag is how old the news can be that the rule goes by; tells is false if it is not about whether the
// service works.
func lag(r *config.Rule, s *config.Service) (lag time.Duration, tells bool) {
	for _, ref := range r.When.Refs() {
		switch {
		case ref.Info.Event && ref.Info.Scope == signal.Unit:
			tells = true
		case ref.Path.Family == "probe" && ref.Path.Field == "ok":
			for _, p := range s.Probes {
				if (p.Name == ref.Path.Key || ref.Path.Key == signal.AnyKey) && p.Tells() {
					tells, lag = true, max(lag, probeLag(p))
				}
			}
		default:
			lag = max(lag, period(ref))
		}
	}
	return lag, tells
}

// probeLag is the time until the last of the misses that turn ok false: the period, then the others at
// the pace of confirmation, and the time-out of the last.
func probeLag(p *config.Probe) time.Duration {
	confirm := time.Duration(max(0, p.Misses-1)) * min(defaults.ProbeConfirm, p.Every)
	return p.Every + confirm + p.Timeout
}

func period(r expr.Ref) time.Duration {
	if r.Info.Event {
		return 0
	}
	return r.Every
}
