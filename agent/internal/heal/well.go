package heal

import (
	"context"

	"github.com/salveops/salve/pkg/config"
	"github.com/salveops/salve/pkg/expr"
	"github.com/salveops/salve/pkg/rule"
	"github.com/salveops/salve/pkg/series"
	"github.com/salveops/salve/proto/logpb"
)

// Well says of each service whether it is known to be well: it serves, has no incident, none of its rules holds, and every
// rule and probe of it could tell. What nobody asks about is never known to be well, and what is not known is not well.
func (e *Engine) Well(ctx context.Context) (map[string]bool, error) {
	var out map[string]bool
	err := e.call(ctx, func() {
		out = make(map[string]bool, len(e.cfg.Services))
		if !e.revived { // no rule is judged yet
			return
		}
		resting := e.resting()
		for _, s := range e.cfg.Services {
			rests, asked := resting[s]
			asks, answered := e.answered(s)
			out[s.Name] = (asked || asks) && (rests || !asked) && answered && e.services[s.Name] == nil &&
				e.serving(s) == logpb.Serving_SERVING_YES
		}
	})
	return out, err
}

// resting says of each service that a rule is about whether none of them holds, and all are known not to.
func (e *Engine) resting() map[*config.Service]bool {
	out := map[*config.Service]bool{}
	for _, a := range e.rules.Every() {
		rests, seen := out[a.Service]
		out[a.Service] = (rests || !seen) && a.State == rule.Resting && a.Holds == expr.False
	}
	return out
}

// answered reports whether every probe that tells of the service is known to be answered, and whether there is one.
func (e *Engine) answered(s *config.Service) (asks, all bool) {
	all = true
	for _, p := range s.Probes {
		if !p.Tells() {
			continue
		}
		ok := e.store.Lookup(series.Key{Signal: "probe." + p.Name + ".ok", Of: s.Name})
		asks = true
		if ok == nil {
			return asks, false
		}
		v, _, known := ok.Last()
		all = all && known && v == 1
	}
	return asks, all
}
