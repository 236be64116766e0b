package rule

import (
	"math"
	"slices"
	"time"

	"github.com/salveops/salve/pkg/clock"
	"github.com/salveops/salve/pkg/config"
	"github.com/salveops/salve/pkg/series"
	"github.com/salveops/salve/pkg/signal"
	"github.com/salveops/salve/pkg/slo"
)

// goal is an objective of a service with what was counted for it.
type goal struct {
	service string // its name
	slo     config.SLO
	count   Count
	resumes bool // the count is of an earlier process, and has not gone on yet

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
			definition := s.Describe(o.Signals()[0]).Definition
			same := func(was *goal) bool { return was.key() == g.key() && was.count.Definition == definition }
			if i := slices.IndexFunc(old, same); i >= 0 {
				g.count, g.resumes = old[i].count, old[i].resumes
			} else if kept := e.cfg.Counts[g.key()]; kept.Tracker != nil && kept.Definition == definition {
				g.count, g.resumes = kept, true
			} else {
				g.count = Count{Tracker: slo.New(o.Objective, o.Window), Definition: definition}
			}
			g.open(binder{e, Subject{Service: s}})
			e.goals = append(e.goals, g)
		}
	}
}

// Count is how far an objective has been counted.
type Count struct {
	Tracker    *slo.Tracker
	Definition uint64    // of what is counted: see signal.Info
	At         time.Time // of the last observation; zero before the first
}

// key is that of the first signal that the objective gives.
func (g *goal) key() series.Key {
	return series.Key{Signal: g.slo.Signals()[0].String(), Of: g.service}
}

// Counts are copies of what has been counted for each objective, by the first signal that it gives.
func (e *Engine) Counts() map[series.Key]Count {
	all := make(map[series.Key]Count, len(e.goals))
	for _, g := range e.goals {
		c := g.count
		c.Tracker = c.Tracker.Clone()
		all[g.key()] = c
	}
	return all
}

// open makes the series that the objective is told by, and those that it tells.
func (g *goal) open(b binder) {
	open := func(p signal.Path) *series.Series {
		info := b.Service.Describe(p)
		return b.e.cfg.Store.Lookup(b.e.need(b.key(p), series.Options{Dim: info.Dim, Every: info.Every, Span: info.Span,
			Definition: info.Definition}))
	}
	for _, p := range g.slo.Sources() {
		g.from = append(g.from, open(p))
	}
	for i, p := range g.slo.Signals() {
		g.told[i] = open(p)
	}
}

// step counts what is known now, and tells how the objective stands.
func (g *goal) step(now clock.Instant) {
	bad, weight := value(g.from[0], now.Boot), 1.0
	if g.slo.Probe != "" {
		bad = 1 - bad
	}
	if g.slo.Traffic != "" {
		if weight = value(g.from[1], now.Boot); weight == 0 {
			bad = 0 // nobody asked: so nothing was bad, and of nothing there is no share that could be known
		}
	}
	t := g.count.Tracker
	if g.resumes {
		t.Resume(now.Boot, now.Wall.Sub(g.count.At))
	}
	t.Observe(now.Boot, bad, weight)
	g.count.At, g.resumes = now.Wall, false
	spent := func() (float64, bool) {
		if t.Spent() {
			return 1, true
		}
		return 0, true
	}
	for i, figure := range [...]func() (float64, bool){t.Burn, t.SlowBurn, t.Budget, spent} {
		if v, known := figure(); known {
			g.told[i].Set(now.Boot, v)
		} else {
			g.told[i].Unknown(now.Boot)
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
