// Package notify is the controller's courier. On the leader it brings the messages that the log says are due to
// people: it commits that it is about to send, sends, and commits how that went, so that each arrives at least once and
// duplicates share a key. On every node it pages by itself when there is no quorum that could commit anything.
package notify

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/salveops/salve/controller/internal/state"
	"github.com/salveops/salve/pkg/clock"
	pkgnotify "github.com/salveops/salve/pkg/notify"
	"github.com/salveops/salve/proto/logpb"
)

// Arbiter proposes; only the leader's does.
type Arbiter interface {
	Propose(ctx context.Context, c *logpb.Command) (*logpb.Result, uint64, error)
	// Leads reports whether this node leads and takes commands; the channel is closed when that changes.
	Leads() (bool, <-chan struct{})
	// CutOff reports that this leader hears fewer than half of the hosts.
	CutOff() bool
}

// Replica is this node's copy of the state.
type Replica interface {
	View(f func(*state.State))
	Changed() <-chan struct{}
}

// Quorum is what a node knows of the cluster.
type Quorum struct {
	Leader bool          // it leads, or hears who does
	Term   uint64        // of Raft
	Silent time.Duration // for how long it has heard no leader, 0 if it leads
}

// Options of New. Only Log, Metrics and Forward may be missing.
type Options struct {
	Arbiter Arbiter
	Replica Replica
	Clock   clock.Clock
	Quorum  func() Quorum
	ID      string // Raft ID of this node
	Data    string // folder for what this node alone remembers
	Log     hclog.Logger
	Metrics prometheus.Registerer
	// Forward hands what this node paged to the leader at that address. nil: it waits until this node leads.
	Forward func(ctx context.Context, address string, page *logpb.QuorumPage) error
}

func (o *Options) validate() error {
	switch {
	case o.Arbiter == nil:
		return errors.New("option Arbiter is missing")
	case o.Replica == nil:
		return errors.New("option Replica is missing")
	case o.Clock == nil:
		return errors.New("option Clock is missing")
	case o.Quorum == nil:
		return errors.New("option Quorum is missing")
	case o.ID == "":
		return errors.New("option ID is missing")
	case o.Data == "":
		return errors.New("option Data is missing")
	}
	return nil
}

// Places is whom this node can tell: what its own file says, for it may hold secrets of its own.
type Places struct {
	Senders   map[string]pkgnotify.Sender // by notifier ID
	Pagers    []string                    // those to tell that there is no quorum
	Heartbeat pkgnotify.Heartbeat         // URL "": none
}

// Courier brings messages. Every method may be called from any goroutine.
type Courier struct {
	o       Options
	log     hclog.Logger
	metrics *metrics
	slots   chan struct{}

	mu      sync.Mutex
	places  Places
	swapped chan struct{} // closed when places change
	busy    map[string]int
	flying  map[thread]bool
	again   map[thread]time.Time
}

// New makes a courier; it sends nothing before Run.
func New(o Options) (*Courier, error) {
	if err := o.validate(); err != nil {
		return nil, fmt.Errorf("start courier: %w", err)
	}
	if o.Log == nil {
		o.Log = hclog.NewNullLogger()
	}
	c := &Courier{
		o: o, log: o.Log.Named("notify"), slots: make(chan struct{}, maxFlights), swapped: make(chan struct{}),
		busy: map[string]int{}, flying: map[thread]bool{}, again: map[thread]time.Time{},
	}
	var err error
	if c.metrics, err = newMetrics(o.Metrics); err != nil {
		return nil, fmt.Errorf("start courier: %w", err)
	}
	return c, nil
}

// Swap replaces the places after a reload.
func (c *Courier) Swap(p Places) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.places = p
	close(c.swapped)
	c.swapped = make(chan struct{})
}

// at is the places of this moment, and a channel that is closed when they change.
func (c *Courier) at() (Places, <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.places, c.swapped
}

// Run brings messages until ctx ends, and then waits for those that are on their way.
func (c *Courier) Run(ctx context.Context) error {
	alarms, err := c.alarms()
	if err != nil {
		return fmt.Errorf("run courier: %w", err)
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	for _, a := range alarms {
		wg.Go(func() { a.run(ctx) })
	}
	for {
		leads, changed := c.o.Arbiter.Leads()
		if leads {
			c.lead(ctx, changed)
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil
		}
	}
}

// lead is the courier's work while this node leads.
func (c *Courier) lead(ctx context.Context, over <-chan struct{}) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-over:
			cancel()
		case <-ctx.Done():
		}
	}()
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() { c.beat(ctx) })
	wg.Go(func() { c.repeat(ctx) })
	c.bring(ctx, &wg)
}

// errCutOff keeps heartbeats away while this leader hears too few hosts to look after them.
var errCutOff = errors.New("this controller hears fewer than half of the hosts")

// beat pings the outside dead man's switch.
func (c *Courier) beat(ctx context.Context) {
	for ctx.Err() == nil {
		places, swapped := c.at()
		one, cancel := context.WithCancel(ctx)
		done := make(chan struct{})
		go func() {
			defer close(done)
			if places.Heartbeat.URL == "" {
				return
			}
			_ = places.Heartbeat.Run(one, func() error {
				if c.o.Arbiter.CutOff() {
					return errCutOff
				}
				return nil
			})
		}()
		select {
		case <-swapped:
		case <-ctx.Done():
		}
		cancel()
		<-done
	}
}
