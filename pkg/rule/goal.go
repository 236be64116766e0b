package rule

import (
	"math"
	"slices"
	"time"

	"github.com/hashicorp/hcl/v2"

	"github.com/salveops/salve/pkg/config"
	"github.com/salveops/salve/pkg/series"
	"github.com/salveops/salve/pkg/signal"
	"github.com/salveops/salve/pkg/slo"
)

// goal is an objective of a service with what was counted for it.
type goal struct {
	service string
	slo     config.SLO
	tracker *slo.Tracker

	from []*series.Series  // as config.SLO.Sources lists them
	told [4]*series.Series // as config.SLO.Signals does
}

// openGoals makes the objectives that the configuration asks for. One that is as it was keeps its count.
func (e *Engine) openGoals() {
	old := e.goals
	e.goals = nil
	for _, s := range e.cfg.Services {
		for _, o := range s.SLOs {
			g := &goal{service: s.Name, slo: *o}
			if i := slices.IndexFunc(old, g.same); i >= 0 {
				g.tracker = old[i].tracker
			} else {
				g.tracker = slo.New(o.Objective, o.Window)
			}
			g.open(binder{e, Subject{Service: s}})
			e.goals = append(e.goals, g)
		}
	}
}

// same reports whether both count the same, wherever they stand and whatever follows from it.
func (g *goal) same(o *goal) bool {
	a, b := g.slo, o.slo
	a.Spent, b.Spent, a.Range, b.Range = config.Gate{}, config.Gate{}, hcl.Range{}, hcl.Range{}
	return g.service == o.service && a == b
}

// open makes the series that the objective is told by, and those that it tells.
func (g *goal) open(b binder) {
	open := func(p signal.Path) *series.Series {
		info := b.Service.Describe(p)
		return b.e.cfg.Store.Lookup(b.e.need(b.key(p), series.Options{Dim: info.Dim, Every: info.Every, Span: info.Span}))
	}
	for _, p := range g.slo.Sources() {
		g.from = append(g.from, open(p))
	}
	for i, p := range g.slo.Signals() {
		g.told[i] = open(p)
	}
}

// step counts what is known now, and tells how the objective stands.
func (g *goal) step(now time.Duration) {
	bad, weight := value(g.from[0], now), 1.0
	if g.slo.Probe != "" {
		bad = 1 - bad
	}
	if g.slo.Traffic != "" {
		if weight = value(g.from[1], now); weight == 0 {
			bad = 0 // nobody asked: so nothing was bad, and of nothing there is no share that could be known
		}
	}
	g.tracker.Observe(now, bad, weight)
	t := g.tracker
	spent := func() (float64, bool) {
		if t.Spent() {
			return 1, true
		}
		return 0, true
	}
	for i, figure := range [...]func() (float64, bool){t.Burn, t.SlowBurn, t.Budget, spent} {
		if v, known := figure(); known {
			g.told[i].Set(now, v)
		} else {
			g.told[i].Unknown(now)
		}
	}
}

// goalOf is the objective that tells the series, nil if none does.
func (e *Engine) goalOf(s *series.Series) *goal {
	for _, g := range e.goals {
		if slices.Contains(g.told[:], s) {
			return g
		}
	}
	return nil
}

// value is what is known of the series now, NaN if nothing is.
func value(s *series.Series, now time.Duration) float64 {
	if v, known := s.Value(now); known {
		return v
	}
	return math.NaN()
}
