// Package load runs simulated agents against real controllers: sessions of the agents' line over gRPC, each
// with its hello, heartbeats and confirmed standing orders, and callers that ask for permits and settle them.
// They keep the protocol as agents do and hold the controller to it, but observe and heal nothing. The same
// driver makes another store's clients work, so that two stores are measured with one ruler.
package load

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/salveops/salve/pkg/transport"
)

// Options of a fleet.
type Options struct {
	// Addresses of the nodes that agents connect to.
	Addresses []string
	// Seed of the hosts' identities: fleets of one seed are the same hosts.
	Seed string
	// PerConn agents share one TCP connection; 0 or 1: each has its own, as real agents do.
	PerConn int
	// Ping is how often a session pings; 0: every 2 s, as agents do.
	Ping time.Duration
	// Size in bytes that requests and settlements are padded to, as they stand in the log. 0: as they are.
	Size int
	// Backoff between two tries to connect: at least and at most, doubled in between, less up to half by
	// chance. 0: 200 ms and 5 s.
	BackoffMin, BackoffMax time.Duration
}

func (o *Options) validate() error {
	if len(o.Addresses) == 0 {
		return errors.New("start load: no addresses")
	}
	for _, a := range o.Addresses {
		if _, _, err := net.SplitHostPort(a); err != nil {
			return fmt.Errorf("start load: address %q: %w", a, err)
		}
	}
	if o.PerConn < 0 || o.Ping < 0 || o.Size < 0 || o.BackoffMin < 0 || o.BackoffMax < o.BackoffMin {
		return errors.New("start load: a number is out of its range")
	}
	o.PerConn = max(o.PerConn, 1)
	if o.Ping == 0 {
		o.Ping = 2 * time.Second
	}
	if o.BackoffMin == 0 {
		o.BackoffMin = 200 * time.Millisecond
	}
	if o.BackoffMax == 0 {
		o.BackoffMax = max(o.BackoffMin, 5*time.Second)
	}
	return nil
}

// Stats count what happened to a fleet so far.
type Stats struct {
	Live       int64 // sessions that are open and welcome
	Welcomes   int64
	Busy       int64 // told to come again later
	Redirects  int64
	NoQuorum   int64
	Ended      int64 // welcome sessions that ended
	Pings      int64
	Pongs      int64
	Urged      int64 // pings that a pong asked for
	Standings  int64
	Grants     int64
	Settles    int64
	Refusals   int64
	LeftOvers  int64         // permits found at a welcome that nobody waited for, given back unused
	SlowestRTT time.Duration // of a heartbeat
}

// Fleet is a number of simulated agents.
type Fleet struct {
	o      Options
	lines  *lines
	cancel context.CancelFunc
	ctx    context.Context // ends with Close; agents are goroutines of the fleet
	all    sync.WaitGroup

	live, welcomes, busy, redirects, noQuorum, ended atomic.Int64
	pings, pongs, urged, standings, slowest          atomic.Int64
	grants, settles, refusals, leftOvers             atomic.Int64

	mu     sync.Mutex
	agents []*agent
	faults []string // of the other side, the first few
	refuse map[string]int
}

// Start makes a fleet without agents; Grow adds them.
func Start(o Options) (*Fleet, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	// Plain text: pkg/transport refuses addresses that are not on loopback.
	t, err := transport.New(transport.Options{})
	if err != nil {
		return nil, fmt.Errorf("start load: %w", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	return &Fleet{o: o, lines: newLines(t), ctx: ctx, cancel: cancel, refuse: map[string]int{}}, nil
}

// Grow adds agents until there are n; they connect at once, all together.
func (f *Fleet) Grow(n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := len(f.agents); i < n; i++ {
		a := newAgent(f, i)
		f.agents = append(f.agents, a)
		f.all.Go(func() { a.run(f.ctx) })
	}
}

// Close ends all sessions and waits until they are over.
func (f *Fleet) Close() {
	f.cancel()
	f.all.Wait()
	f.lines.close()
}

// Await returns when every agent was welcomed after since, with how long after it each was.
func (f *Fleet) Await(ctx context.Context, since time.Time) (Samples, error) {
	tick := time.NewTicker(20 * time.Millisecond) // the agents note the times themselves
	defer tick.Stop()
	for {
		took, missing := f.welcomed(since)
		if missing == 0 {
			return took, nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil, fmt.Errorf("%d of %d agents are not connected: %w; %v",
				missing, len(took)+missing, ctx.Err(), f.Faults())
		}
	}
}

// welcomed is how long after since the agents were welcomed, and how many are not.
func (f *Fleet) welcomed(since time.Time) (Samples, int) {
	f.mu.Lock()
	agents := f.agents
	f.mu.Unlock()
	took := make([]time.Duration, 0, len(agents))
	for _, a := range agents {
		if at, live := a.welcome(); live && at.After(since) {
			took = append(took, at.Sub(since))
		}
	}
	return NewSamples(took), len(agents) - len(took)
}

// Callers are the first n agents as callers; the fleet must have grown to that size.
func (f *Fleet) Callers(n int) []Caller {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := make([]Caller, n)
	for i := range all {
		all[i] = &permits{a: f.agents[i]}
	}
	return all
}

// Leader is the address of the node that most sessions are with, "" if there are none.
func (f *Fleet) Leader() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	count, leader := map[string]int{}, ""
	for _, a := range f.agents {
		if s := a.session(); s != nil {
			count[s.address]++
			if count[s.address] > count[leader] {
				leader = s.address
			}
		}
	}
	return leader
}

// Stats so far.
func (f *Fleet) Stats() Stats {
	return Stats{
		Live: f.live.Load(), Welcomes: f.welcomes.Load(), Busy: f.busy.Load(), Redirects: f.redirects.Load(),
		NoQuorum: f.noQuorum.Load(), Ended: f.ended.Load(), Pings: f.pings.Load(), Pongs: f.pongs.Load(),
		Urged: f.urged.Load(), Standings: f.standings.Load(), Grants: f.grants.Load(), Settles: f.settles.Load(),
		Refusals: f.refusals.Load(), LeftOvers: f.leftOvers.Load(), SlowestRTT: time.Duration(f.slowest.Load()),
	}
}

// Refusals counts refused requests by their code.
func (f *Fleet) Refusals() map[string]int {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := map[string]int{}
	for code, n := range f.refuse {
		all[code] = n
	}
	return all
}

func (f *Fleet) refused(code string) {
	f.refusals.Add(1)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.refuse[code]++
}

// maxFaults bounds what is kept of the other side's faults.
const maxFaults = 20

// Faults are breaches of the protocol by the other side, and agents that were turned away: there should be
// none. The first few are kept.
func (f *Fleet) Faults() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]string(nil), f.faults...)
}

func (f *Fleet) fault(format string, args ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.faults) < maxFaults {
		f.faults = append(f.faults, fmt.Sprintf(format, args...))
	}
}

// sawRTT keeps the slowest round trip.
func (f *Fleet) sawRTT(d time.Duration) {
	for {
		old := f.slowest.Load()
		if int64(d) <= old || f.slowest.CompareAndSwap(old, int64(d)) {
			return
		}
	}
}
