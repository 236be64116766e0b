// Package query asks Prometheus servers, or the controller, for the figures of query blocks. Each query has a goroutine of
// its own.
package query

import (
	"context"
	"time"

	"github.com/salveops/salve/agent/internal/observe/source"
	"github.com/salveops/salve/pkg/clock"
	"github.com/salveops/salve/pkg/promql"
	"github.com/salveops/salve/pkg/signal"
)

// Target is one query.
type Target struct {
	Name   string
	Every  time.Duration
	Server promql.Query  // without a URL the controller is asked for its query of that name
	Host   string        // as people know it, for a query of a server that has a Label
	Window time.Duration // how far an answer may look back; that of the controller is compared with it
}

// Watcher asks all queries.
type Watcher = source.Group[Target]

// New makes a watcher without queries. c may be nil on a host that works alone.
func New(o source.Options, c Figure) *Watcher {
	return source.NewGroup(func(t Target) source.Member[Target] { return newAsker(o, c, t) })
}

// figure is what was told.
type figure struct {
	value    float64
	known    bool
	at       time.Duration // Boot time; nothing in it is older than that and the window
	again    bool          // it was told before
	warnings []string
}

// origin is who is asked.
type origin interface {
	// ask is called at the moment now.
	ask(ctx context.Context, now clock.Instant) (figure, error)
	close()
}

// asker is one target with whom it asks.
type asker struct {
	opt    source.Options
	target Target
	origin origin
	meter  source.Meter
	handle *source.Handle
	warned bool
}

func newAsker(o source.Options, c Figure, t Target) *asker {
	name := signal.Path{Family: signal.Query, Field: t.Name}.String()
	a := &asker{opt: o, target: t, meter: source.Meter{Name: name}, handle: o.Book.Handle(name, "")}
	if a.origin = newServer(t); t.Server.URL == "" {
		a.origin = &relay{controller: c, target: t}
	}
	return a
}

// Watches implements source.Member.
func (a *asker) Watches(t Target) bool { return a.target == t }

// Stats implements source.Member.
func (a *asker) Stats() source.Stats { return a.meter.Stats() }

// Run asks at each moment of the query's schedule.
func (a *asker) Run(ctx context.Context) {
	defer a.origin.close()
	a.opt.Each(ctx, a.meter.Name, a.target.Every, a.once)
	a.opt.Unknown([]*source.Handle{a.handle})
}

// once asks once and delivers the figure, unless it was delivered before: the same answer is no second sample.
func (a *asker) once(ctx context.Context) {
	start := time.Now()
	f, err := a.origin.ask(ctx, a.opt.Clock.Now())
	if ctx.Err() != nil {
		return
	}
	now := a.opt.Clock.Now().Boot
	if a.meter.Record(now, time.Since(start), err) {
		a.tell(err)
	}
	a.warn(f.warnings)
	if err != nil {
		f = figure{at: now}
	}
	if f.again {
		return
	}
	b := a.opt.Book.Batch()
	b.Maybe(a.handle, f.at, f.value, f.known)
	a.opt.Deliver(b)
}

// warn counts reservations, and tells the first of them when they begin.
func (a *asker) warn(warnings []string) {
	a.meter.Warn(len(warnings))
	if len(warnings) > 0 && !a.warned {
		a.opt.Log.Warn("answer with reservations", "query", a.target.Name, "warning", warnings[0])
	}
	a.warned = len(warnings) > 0
}

func (a *asker) tell(err error) {
	if err != nil {
		a.opt.Log.Warn("query cannot be answered", "query", a.target.Name, "error", err)
		return
	}
	a.opt.Log.Info("query can be answered again", "query", a.target.Name)
}
