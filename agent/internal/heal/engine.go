package heal

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/salveops/salve/agent/internal/baseline"
	"github.com/salveops/salve/agent/internal/observe/source"
	"github.com/salveops/salve/agent/internal/systemd"
	"github.com/salveops/salve/pkg/care"
	"github.com/salveops/salve/pkg/clock"
	"github.com/salveops/salve/pkg/config"
	"github.com/salveops/salve/pkg/healing"
	"github.com/salveops/salve/pkg/incident"
	"github.com/salveops/salve/pkg/rule"
	"github.com/salveops/salve/pkg/series"
)

const (
	tickEvery = time.Second
	inboxSize = 256
	stopGrace = 60 * time.Second // how long a running action may take to its safe end when the agent stops
)

// ErrStopped is the answer to a question that came after the end.
var ErrStopped = errors.New("agent is stopping")

// Options are the engine's parts. All are required but those marked.
type Options struct {
	Config     *config.Agent
	Clock      clock.Clock
	Log        hclog.Logger
	Units      Units
	UnitEvents <-chan systemd.Event
	Samples    <-chan *source.Batch
	Act        Actor
	Journal    Journal
	Page       Pager
	Diagnose   Diagnoser
	Packages   Packages
	Observe    Observer
	// Changes remembers what was changed; nil: nobody does.
	Changes Changes
	// Hear, if set, is told of every event of systemd, and returns at once.
	Hear func(systemd.Event)
	// Record keeps what signals were; nil: nobody does.
	Record Recorder
	// Controller is the way to the controller; nil: this host is alone.
	Controller *Controller
	// Settled are the attempts that were open when the agent died, settled by evidence.
	Settled []incident.Attempt
	// Baseline is what an earlier process had learned and counted; empty: nothing.
	Baseline baseline.Contents
	// BudgetUnknown says since when attempts were lost with a corrupt journal; zero: none were.
	BudgetUnknown clock.Stamp
	// Leave says whether root lets the agent do the verbs to a unit; nil: it needs no leave.
	Leave func(unit string, verbs []string) Leave
	// Step, if set, is called with the name of every step before it begins; tests die there.
	Step func(step string)
}

func (o *Options) validate() error {
	for name, missing := range map[string]bool{
		"Config": o.Config == nil, "Clock": o.Clock == nil, "Log": o.Log == nil, "Units": o.Units == nil,
		"Act": o.Act == nil, "Journal": o.Journal == nil, "Page": o.Page == nil, "Diagnose": o.Diagnose == nil,
		"Packages": o.Packages == nil, "Observe": o.Observe == nil,
	} {
		if missing {
			return fmt.Errorf("heal: option %s is missing", name)
		}
	}
	return nil
}

// Engine heals one host. Only its own goroutine touches its fields after New, but for o, inbox and
// the wait group.
type Engine struct {
	o     Options
	log   hclog.Logger
	inbox chan func()
	done  chan struct{}  // closed when Run ended
	work  sync.WaitGroup // goroutines of attempts

	cfg      *config.Agent
	fleet    *command // nil: this host is alone
	store    *series.Store
	rules    *rule.Engine
	units    map[string]*care.Vitals
	revived  bool              // what an earlier process left has been taken over
	stopping bool              // no step begins any more
	stories  map[string]*story // open incidents by ID
	services map[string]*story // the open incident of each service; "" is the host
	past     healing.Past
	queue    healing.Queue       // alerts that wait for what another attempt has
	inForce  map[string]*inForce // attempts that may end before their time, by ID
	changes  care.Changes
	pauses   []incident.Pause
	watchers *watchers
	open     map[string]bool // services, and "" for the host: whether an incident is open; for the recorder
	stats    stats
	started  clock.Instant
	holder   holder   // the package transaction under way
	owed     []string // attempts whose end the journal did not take; written when it can be again
	paying   bool     // a goroutine is writing them
	next     time.Duration
}

// New prepares an engine and replays the journal; nothing runs before Run.
func New(o Options) (*Engine, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	if o.Step == nil {
		o.Step = func(string) {}
	}
	if o.Hear == nil {
		o.Hear = func(systemd.Event) {}
	}
	e := &Engine{
		o: o, log: o.Log.Named("heal"), inbox: make(chan func(), inboxSize), done: make(chan struct{}),
		store: series.New(), units: make(map[string]*care.Vitals), stories: make(map[string]*story),
		services: make(map[string]*story), inForce: make(map[string]*inForce), watchers: newWatchers(), stats: newStats(),
		started: o.Clock.Now(),
	}
	e.store.Teach(o.Baseline.Learned)
	e.fleet = newCommand(o.Controller)
	e.use(o.Config)
	if err := e.recover(); err != nil {
		return nil, err
	}
	return e, nil
}

// use makes cfg the configuration that holds. Alert state of unchanged rules stays.
func (e *Engine) use(cfg *config.Agent) {
	e.cfg = cfg
	spec := rule.Config{Rules: cfg.Rules, Services: cfg.Services, Remedies: cfg.Remedies, Logs: cfg.Logs,
		Store: e.store, Labels: cfg.Labels}
	if e.rules == nil {
		spec.Counts = e.o.Baseline.Counts
		e.rules = rule.New(spec)
		e.o.Baseline = baseline.Contents{} // the store and the rules have it now
	} else {
		e.rules.Reload(spec)
	}
	logs := make([]string, len(cfg.Logs))
	for i, g := range cfg.Logs {
		logs[i] = g.Name
	}
	e.rules.SetKeys("host.log", logs)
	for _, w := range e.inForce {
		w.until = nil
	}
	e.bindUnits()
}

// Run works until ctx ends, then lets actions in flight reach their safe end and starts nothing more.
func (e *Engine) Run(ctx context.Context) error {
	defer close(e.done)
	work, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	e.report()
	e.revive(work)
	ticker := time.NewTicker(tickEvery)
	defer ticker.Stop()
	wake := time.NewTimer(tickEvery)
	defer wake.Stop()
	for {
		select {
		case <-ctx.Done():
			e.drain(stop)
			return nil
		case f := <-e.inbox:
			f()
		case ev := <-e.o.UnitEvents:
			e.onUnit(work, ev)
		case batch := <-e.o.Samples:
			e.onSamples(work, batch)
		case <-ticker.C:
			e.tick(work)
		case <-wake.C:
			e.judgeDue(work)
		}
		e.arm(wake)
	}
}

// drain waits until no attempt acts any more. Those being verified are left to the next start: their
// result is in the journal.
func (e *Engine) drain(stop context.CancelFunc) {
	idle := make(chan struct{})
	e.stopping = true
	for _, s := range e.stories {
		if s.run != nil {
			close(s.run.left)
			e.halt(s.run, "the agent is stopping")
		}
	}
	go func() {
		e.work.Wait()
		close(idle)
	}()
	grace := time.NewTimer(stopGrace)
	defer grace.Stop()
	for {
		select {
		case <-idle:
			e.hearLast()
			return
		case <-grace.C:
			e.log.Warn("an action did not end in time; its intent stays open", "grace", stopGrace)
			stop()
			return
		case f := <-e.inbox:
			f()
		case <-e.o.UnitEvents: // the actions wait for systemd, which must not be held up
		case b := <-e.o.Samples:
			b.Release()
		}
	}
}

// hearLast does what the attempts that have ended gave to the engine's goroutine before they did.
func (e *Engine) hearLast() {
	for {
		select {
		case f := <-e.inbox:
			f()
		default:
			return
		}
	}
}

// post gives f to the engine's goroutine. After the end f is dropped.
func (e *Engine) post(f func()) {
	select {
	case e.inbox <- f:
	case <-e.done:
	}
}

// call runs f in the engine's goroutine and waits for it.
func (e *Engine) call(ctx context.Context, f func()) error {
	ran := make(chan struct{})
	select {
	case e.inbox <- func() { f(); close(ran) }:
	case <-e.done:
		return ErrStopped
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case <-ran:
		return nil
	case <-e.done:
		return ErrStopped
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Swap makes cfg the configuration that holds.
func (e *Engine) Swap(ctx context.Context, cfg *config.Agent) error {
	return e.call(ctx, func() {
		e.use(cfg)
		e.rethink()
	})
}

// Alive returns when the engine's goroutine has answered.
func (e *Engine) Alive(ctx context.Context) error { return e.call(ctx, func() {}) }

// Needs are the series that rules and remedies read, so that they must be sampled.
func (e *Engine) Needs(ctx context.Context) ([]rule.Need, error) {
	var needs []rule.Need
	err := e.call(ctx, func() { needs = e.rules.Needs() })
	return needs, err
}

// Baseline is a copy of what has been learned and counted, also after the end.
func (e *Engine) Baseline(ctx context.Context) (c baseline.Contents, err error) {
	copied := func() { c = baseline.Contents{Learned: e.store.Learned(), Counts: e.rules.Counts()} }
	err = e.call(ctx, copied)
	if errors.Is(err, ErrStopped) { // its goroutine has ended: nobody else touches them
		copied()
		return c, nil
	}
	return c, err
}

// arm sets the timer to the next moment at which a waiting decision is due.
func (e *Engine) arm(wake *time.Timer) {
	wait := tickEvery
	if e.next > 0 {
		wait = max(0, e.next-e.o.Clock.Now().Boot)
	}
	wake.Reset(min(wait, tickEvery))
}
