// Package pool watches connection pools. It asks PgBouncer's console, over one connection that is
// kept, how its pools are used.
package pool

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/hashicorp/go-hclog"

	"github.com/salveops/salve/agent/internal/observe/schedule"
	"github.com/salveops/salve/agent/internal/observe/source"
	"github.com/salveops/salve/pkg/clock"
	"github.com/salveops/salve/pkg/signal"
)

// Target is one pool of one service.
type Target struct {
	Service      string
	Name         string
	PgBouncer    string // path of its socket, or host:port
	Database     string
	User         string        // of the console; "" means "salve"
	PasswordFile string        // "" means no password; read at each connect
	Every        time.Duration // 0 means 1 s
}

func (t Target) normal() Target {
	if t.Every <= 0 {
		t.Every = time.Second
	}
	if t.User == "" {
		t.User = "salve"
	}
	return t
}

const (
	// timeout bounds connecting and each question.
	timeout = 2 * time.Second
	// longestRetry bounds the pause between attempts to connect.
	longestRetry = 30 * time.Second
)

// Options are what a Watcher needs.
type Options struct {
	Clock   clock.Clock
	Log     hclog.Logger
	Book    *source.Book
	Grid    schedule.Grid
	Deliver func(*source.Batch) // called from several goroutines, one for each pool
}

// Watcher watches all pools, each in a goroutine of its own. SetTargets and Stats may be called from
// any goroutine.
type Watcher struct {
	opt Options

	mu      sync.Mutex
	ctx     context.Context // nil before Run
	pools   []*pool         // in the order of the targets
	working sync.WaitGroup
}

// New makes a watcher without pools.
func New(o Options) *Watcher { return &Watcher{opt: o} }

// Run watches until ctx ends.
func (w *Watcher) Run(ctx context.Context) {
	w.mu.Lock()
	w.ctx = ctx
	for _, p := range w.pools {
		w.start(p)
	}
	w.mu.Unlock()
	<-ctx.Done()
	w.working.Wait()
}

// SetTargets replaces the pools. Those that stay as they are keep their connection.
func (w *Watcher) SetTargets(targets []Target) {
	w.mu.Lock()
	defer w.mu.Unlock()
	before := w.pools
	w.pools = nil
	for _, t := range targets {
		t = t.normal()
		if i := slices.IndexFunc(before, func(p *pool) bool { return p.target == t }); i >= 0 {
			w.pools = append(w.pools, before[i])
			before = slices.Delete(before, i, i+1)
			continue
		}
		p := newPool(w.opt, t)
		w.pools = append(w.pools, p)
		if w.ctx != nil {
			w.start(p)
		}
	}
	for _, p := range before {
		if p.cancel != nil {
			p.cancel()
		}
	}
}

func (w *Watcher) start(p *pool) {
	if w.ctx.Err() != nil { // Run may have returned already
		return
	}
	ctx, cancel := context.WithCancel(w.ctx)
	p.cancel = cancel
	w.working.Go(func() { p.run(ctx) })
}

// Stats are the figures of each pool's source about itself.
func (w *Watcher) Stats() []source.Stats {
	w.mu.Lock()
	defer w.mu.Unlock()
	stats := make([]source.Stats, len(w.pools))
	for i, p := range w.pools {
		stats[i] = p.meter.Stats()
	}
	return stats
}

// pool is one target with its connection.
type pool struct {
	opt     Options
	target  Target
	console *console
	meter   source.Meter
	retry   *backoff.ExponentialBackOff
	cancel  context.CancelFunc // nil before it runs

	active, idle, waiting, ratio, wait *source.Handle
}

func newPool(o Options, t Target) *pool {
	handle := func(field string) *source.Handle {
		return o.Book.Handle(signal.Path{Family: "pool", Key: t.Name, Field: field}.String(), t.Service)
	}
	p := &pool{
		opt: o, target: t, console: &console{target: t},
		active: handle("active"), idle: handle("idle"), waiting: handle("waiting"),
		ratio: handle("used_ratio"), wait: handle("max_wait"),
	}
	p.meter.Name = "pool." + t.Name + "{" + t.Service + "}"
	p.retry = backoff.NewExponentialBackOff()
	p.retry.InitialInterval, p.retry.MaxInterval = t.Every, max(t.Every, longestRetry)
	return p
}

// run asks at each moment of the pool's schedule, and after a failure with growing pauses.
func (p *pool) run(ctx context.Context) {
	defer p.console.close()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			p.unknown()
			return
		case <-timer.C:
		}
		timer.Reset(p.once(ctx))
	}
}

// once asks once, delivers the figures, and returns the pause until the next time.
func (p *pool) once(ctx context.Context) time.Duration {
	start := time.Now()
	f, l, err := p.console.ask(ctx)
	if ctx.Err() != nil {
		return 0
	}
	if p.meter.Record(p.opt.Clock.Now().Boot, time.Since(start), err) {
		p.tell(err)
	}
	if err != nil {
		p.unknown()
		return p.retry.NextBackOff()
	}
	p.retry.Reset()
	now := p.opt.Clock.Now().Boot
	b := p.opt.Book.Batch()
	b.Set(p.active, now, f.active)
	b.Set(p.idle, now, f.idle)
	b.Set(p.waiting, now, f.waiting)
	ratio, known := l.share(f)
	b.Maybe(p.ratio, now, ratio, known)
	b.Set(p.wait, now, f.maxWait)
	p.opt.Deliver(b)
	return p.opt.Grid.Next(now, p.target.Every, 0) - now
}

func (p *pool) tell(err error) {
	if err != nil {
		p.opt.Log.Warn("pool does not answer", "service", p.target.Service, "pool", p.target.Name, "error", err)
		return
	}
	p.opt.Log.Info("pool answers again", "service", p.target.Service, "pool", p.target.Name)
}

func (p *pool) unknown() {
	now, b := p.opt.Clock.Now().Boot, p.opt.Book.Batch()
	for _, h := range []*source.Handle{p.active, p.idle, p.waiting, p.ratio, p.wait} {
		b.Unknown(h, now)
	}
	p.opt.Deliver(b)
}
