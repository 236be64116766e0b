// Package observe watches the host, its units, and the services on it, and hands what it sees over in
// batches of samples. Three goroutines do nearly everything: one samples host and units, one keeps
// the schedule of the probes, one waits for what the kernel announces by itself.
package observe

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/sync/errgroup"

	"github.com/salveops/salve/agent/internal/observe/host"
	"github.com/salveops/salve/agent/internal/observe/log"
	"github.com/salveops/salve/agent/internal/observe/notice"
	"github.com/salveops/salve/agent/internal/observe/otlp"
	"github.com/salveops/salve/agent/internal/observe/outside"
	"github.com/salveops/salve/agent/internal/observe/pool"
	"github.com/salveops/salve/agent/internal/observe/probe"
	"github.com/salveops/salve/agent/internal/observe/query"
	"github.com/salveops/salve/agent/internal/observe/schedule"
	"github.com/salveops/salve/agent/internal/observe/scrape"
	"github.com/salveops/salve/agent/internal/observe/source"
	"github.com/salveops/salve/agent/internal/observe/statsd"
	"github.com/salveops/salve/agent/internal/observe/unit"
	"github.com/salveops/salve/pkg/clock"
)

// The parts' types, under the names by which the rest of the agent knows them.
type (
	Batch         = source.Batch
	Sample        = source.Sample
	Handle        = source.Handle
	Stats         = source.Stats
	UnitTarget    = unit.Target
	UnitRun       = unit.Run
	ProbeTarget   = probe.Target
	ScrapeTarget  = scrape.Target
	Link          = scrape.Link
	StatsDTarget  = statsd.Target
	OTLPTarget    = otlp.Target
	Metric        = source.Metric
	PoolTarget    = pool.Target
	ContextTarget = outside.Target
	ContextField  = outside.Field
	QueryTarget   = query.Target
	LogTarget     = log.Target
	LogMatch      = log.Match
	UnitFigure    = unit.Figure
)

// Options are what an Observer needs.
type Options struct {
	Clock clock.Clock  // mandatory
	Log   hclog.Logger // mandatory
	// Deliver takes over a batch and releases it when its samples are in place. It is called from
	// several goroutines. It may wait, which holds up that source, but not for the Observer, and not
	// for ever: Run returns only after the last call has.
	Deliver func(*Batch) // mandatory
	// Keys, if set, is told the instances of host.disk, host.io and host.net, sorted, whenever they
	// change. What holds for Deliver holds for it.
	Keys func(family string, keys []string)
	// Exec runs the programs of exec probes. Without it those probes miss.
	Exec probe.ExecFunc
	// Figure asks the controller for the answer to one of its queries. It may be nil on a host that works alone.
	Figure query.Figure
	// Root is the folder that holds /proc and /sys; "" means "/".
	Root string
	// User: units belong to a user manager, so that the journal names them in another field.
	User bool
	// Grid is the moments at which sampling starts; nil: moments that differ from host to host.
	Grid *schedule.Grid
}

func (o Options) validate() error {
	switch {
	case o.Clock == nil:
		return errors.New("observe: Clock is missing")
	case o.Log == nil:
		return errors.New("observe: Log is missing")
	case o.Deliver == nil:
		return errors.New("observe: Deliver is missing")
	}
	return nil
}

// Observer runs all sources. Its methods may be called from any goroutine, before and during Run, and
// return without waiting for a source.
type Observer struct {
	opt     Options
	grid    schedule.Grid
	layout  unit.Layout
	book    *source.Book
	poller  *notice.Poller // nil: the kernel's announcements cannot be had
	units   *unit.Sampler  // belongs to the sampling goroutine
	disks   *host.Disks
	probes  *probe.Scheduler
	scrapes *scrape.Watcher
	statsds *statsd.Watcher
	otlps   *otlp.Watcher
	pools   *pool.Watcher
	outside *outside.Watcher
	queries *query.Watcher
	logs    *log.Watcher
	wake    chan struct{}

	mu      sync.Mutex
	pending []order
	host    *host.Sampler // nil before the first SetTargets; replaced by the sampling goroutine

	needs  *needs         // belongs to the sampling goroutine; nil before the first SetTargets
	stall  *pressureWatch // as needs
	due    time.Duration  // of the host's figures
	rushed time.Duration  // of the pressure figures, when they are read more often
}

// order is something to do in the sampling goroutine.
type order func(now time.Duration, b *Batch)

// New makes an observer without targets. It samples nothing before the first SetTargets.
func New(o Options) (*Observer, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	layout, err := unit.Detect(o.Root)
	if err != nil {
		return nil, fmt.Errorf("find control groups: %w", err)
	}
	ob := &Observer{opt: o, layout: layout, book: source.NewBook(), wake: make(chan struct{}, 1)}
	ob.grid = schedule.Grid{Phase: rand.N(schedule.Slot)}
	if o.Grid != nil {
		ob.grid = *o.Grid
	}
	if ob.poller, err = notice.New(); err != nil {
		o.Log.Warn("kernel events are not available, sampling has to do", "error", err)
	}
	ob.parts()
	return ob, nil
}

// parts makes the sources.
func (o *Observer) parts() {
	units := unit.Options{Layout: o.layout, Book: o.book, Grid: o.grid, Needed: o.unitNeeded, Events: o.events}
	if o.poller != nil {
		units.Watch = o.poller
	}
	o.units = unit.New(units)
	o.disks = host.NewDisks(o.hostOptions(), o.opt.Clock)
	all := source.Options{Clock: o.opt.Clock, Log: o.opt.Log, Book: o.book, Grid: o.grid, Deliver: o.opt.Deliver}
	o.probes = probe.New(probe.Options{Options: all.Named("probe"), Exec: o.opt.Exec})
	o.scrapes = scrape.New(all.Named("scrape"))
	o.statsds = statsd.New(all.Named("statsd"))
	o.otlps = otlp.New(all.Named("otlp"))
	o.pools = pool.New(all.Named("pool"))
	o.outside = outside.New(all.Named("context"))
	o.queries = query.New(all.Named("query"), o.opt.Figure)
	machine, _ := os.ReadFile(filepath.Join("/", o.opt.Root, "etc/machine-id")) // without one there is no journal
	o.logs = log.New(log.Options{
		Options: all.Named("log"),
		Folders: log.Folders(o.opt.Root, strings.TrimSpace(string(machine))), User: o.opt.User, Own: o.layout.Own(),
	})
}

func (o *Observer) hostOptions() host.Options {
	return host.Options{
		Root: o.opt.Root, Book: o.book, Keys: o.opt.Keys, Changed: o.changed,
	}
}

// changed writes the one line for a source that began to fail or works again.
func (o *Observer) changed(part string, err error) {
	if err != nil {
		o.opt.Log.Warn("source fails", "source", part, "error", err)
		return
	}
	o.opt.Log.Info("source works again", "source", part)
}

// Run samples until ctx ends.
func (o *Observer) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	if o.poller != nil {
		g.Go(func() error {
			if err := o.poller.Run(ctx); err != nil {
				o.opt.Log.Warn("kernel events are lost, sampling has to do", "error", err)
			}
			return nil
		})
	}
	g.Go(func() error {
		o.disks.Run(ctx, o.opt.Deliver)
		return nil
	})
	g.Go(func() error {
		o.probes.Run(ctx)
		return nil
	})
	g.Go(func() error {
		o.scrapes.Run(ctx)
		return nil
	})
	g.Go(func() error {
		o.statsds.Run(ctx)
		return nil
	})
	g.Go(func() error {
		o.otlps.Run(ctx)
		return nil
	})
	g.Go(func() error {
		o.pools.Run(ctx)
		return nil
	})
	g.Go(func() error {
		o.outside.Run(ctx)
		return nil
	})
	g.Go(func() error {
		o.queries.Run(ctx)
		return nil
	})
	g.Go(func() error {
		o.logs.Run(ctx)
		return nil
	})
	g.Go(func() error {
		o.sample(ctx)
		return nil
	})
	return g.Wait()
}

// sample is the sampling goroutine.
func (o *Observer) sample(ctx context.Context) {
	defer o.close()
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		now := o.opt.Clock.Now().Boot
		b := o.book.Batch()
		o.obey(now, b)
		next := o.tick(now, b)
		if len(b.Samples) > 0 {
			o.opt.Deliver(b)
		} else {
			b.Release()
		}
		timer.Reset(max(0, next-o.opt.Clock.Now().Boot))
		select {
		case <-ctx.Done():
			return
		case <-o.wake:
		case <-timer.C:
		}
	}
}

// tick samples what is due and returns when something is due again.
func (o *Observer) tick(now time.Duration, b *Batch) (next time.Duration) {
	if o.needs == nil { // no targets yet
		return now + time.Hour
	}
	if now >= o.due {
		o.host.Sample(now, b)
		o.due = o.grid.Next(now, host.Every, 0)
	} else if o.stall.rush && now >= o.rushed {
		o.host.Pressure(now, b)
	}
	next = o.due
	if o.stall.rush {
		if now >= o.rushed {
			o.rushed = o.grid.Next(now, rushEvery, 0)
		}
		next = min(next, o.rushed)
	}
	o.units.Sample(now, b)
	if at, ok := o.units.Next(); ok {
		next = min(next, at)
	}
	return next
}

func (o *Observer) close() {
	o.units.Close()
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.host != nil {
		o.host.Close()
	}
}

// order queues something for the sampling goroutine.
func (o *Observer) order(do order) {
	o.mu.Lock()
	o.pending = append(o.pending, do)
	o.mu.Unlock()
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// obey does what was queued.
func (o *Observer) obey(now time.Duration, b *Batch) {
	o.mu.Lock()
	orders := o.pending
	o.pending = nil
	o.mu.Unlock()
	for _, do := range orders {
		do(now, b)
	}
}

// UnitStarted says that a new life of a unit began. Its figures start anew with the next tick.
func (o *Observer) UnitStarted(name string, run UnitRun) {
	o.order(func(time.Duration, *Batch) { o.units.Started(name, run) })
}

// UnitGone says that a unit has no processes any more. Its figures are unknown at once.
func (o *Observer) UnitGone(name string) {
	o.order(func(now time.Duration, b *Batch) { o.units.Gone(name, now, b) })
}

// Kick makes the probes of a service ask at once and then every 50 ms until the first good answer, at
// most for the service's startup time. It is for the moment after a restart.
func (o *Observer) Kick(service string) { o.probes.Kick(service) }

// Afresh makes the probes of a service ask at once, and forget what they have asked: an action ended, and what they tell
// from now on speaks of what came after it.
func (o *Observer) Afresh(service string) { o.probes.Afresh(service) }

// LogMatches are the last lines of a unit that matched its logs, "" being the kernel's, for the evidence of an incident.
func (o *Observer) LogMatches(unit string) []LogMatch { return o.logs.Matches(unit) }

// Links are the newest exemplars of the pages of a unit's service, for the evidence of an incident.
func (o *Observer) Links(unit string) []Link { return scrape.Links(o.scrapes, unit) }

// events is called by the kernel watcher when it announced something of a unit.
func (o *Observer) events(name string) {
	o.order(func(now time.Duration, b *Batch) { o.units.Events(name, now, b) })
}

// Stats are the figures of all sources about themselves.
func (o *Observer) Stats() []Stats {
	o.mu.Lock()
	h := o.host
	o.mu.Unlock()
	stats := []Stats{o.disks.Stats(), o.units.Stats()}
	if h != nil {
		stats = append(h.Stats(), stats...)
	}
	stats = append(stats, o.probes.Stats()...)
	stats = append(stats, o.scrapes.Stats()...)
	stats = append(stats, o.statsds.Stats()...)
	stats = append(stats, o.otlps.Stats()...)
	stats = append(stats, o.pools.Stats()...)
	stats = append(stats, o.outside.Stats()...)
	stats = append(stats, o.queries.Stats()...)
	return append(stats, o.logs.Stats()...)
}
