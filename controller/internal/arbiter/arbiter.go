// Package arbiter is the leader's loop, and the only one that proposes to Raft: it stamps log time, puts what
// arrives together into one entry, and does by itself what only a leader can: it says who is lost, opens
// recurring windows, moves log time on when something is due, and has every replica's state compared.
package arbiter

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/salveops/salve/controller/internal/state"
	"github.com/salveops/salve/pkg/clock"
	"github.com/salveops/salve/proto/logpb"
)

// Node is Raft.
type Node interface {
	// Propose hands an entry to Raft. It may block for a moment; the answer is in the future.
	Propose(entry []byte) raft.ApplyFuture
	// LeaderCh gives true when this node begins to lead and false when it ends; a loss that was won back at once
	// may be left out.
	LeaderCh() <-chan bool
	IsLeader() bool
	// Leader is the Raft ID and address of who leads, "" if nobody is known to.
	Leader() (id, address string)
	// Barrier returns once the state machine has every entry of earlier leaders.
	Barrier(ctx context.Context) error
	// Restore replaces the whole state by a backup.
	Restore(ctx context.Context, backup io.Reader) error
}

// Replica is this node's copy of the state.
type Replica interface {
	// View reads the state; f keeps nothing of it.
	View(f func(*state.State))
	// Changed is closed when the next entry is applied.
	Changed() <-chan struct{}
	// Check is the newest hash of the state, which other replicas have, too; nil: none yet.
	Check() *logpb.Check
}

// Options of New. Node, Replica, Clock, ID and Data are mandatory.
type Options struct {
	Node    Node
	Replica Replica
	Clock   clock.Clock
	ID      string // Raft ID of this node
	Data    string // folder for what this node alone remembers
	Log     hclog.Logger
	Metrics prometheus.Registerer // nil: nobody asks
	// Address is where agents and people reach a node, by its Raft ID; "": not known. nil: none is.
	Address func(id string) string
	// Forward hands this node's configuration to the leader at that address; see Adopt. nil: it waits until this
	// node leads.
	Forward func(ctx context.Context, address string, c *logpb.Config, first bool) (kept bool, err error)
	// PeerFormat is the newest log format that every peer knows, 0: not known. nil: none is.
	PeerFormat func() uint32
}

// maxID bounds the Raft ID of a node.
const maxID = 64

func (o *Options) validate() error {
	switch {
	case o.Node == nil:
		return errors.New("option Node is missing")
	case o.Replica == nil:
		return errors.New("option Replica is missing")
	case o.Clock == nil:
		return errors.New("option Clock is missing")
	case o.ID == "" || len(o.ID) > maxID:
		return fmt.Errorf("option ID has to have 1 to %d bytes", maxID)
	case o.Data == "":
		return errors.New("option Data is missing")
	}
	return nil
}

// Arbiter proposes. Every method may be called from any goroutine.
type Arbiter struct {
	o       Options
	log     hclog.Logger
	metrics *metrics
	work    clockwork
	hearing hearing
	file    ownFile
	cutOff  atomic.Bool

	mu      sync.Mutex
	line    *line         // of this node's leadership, once it may be used; nil: it does not lead
	changed chan struct{} // closed when line changes
}

// New makes an arbiter; it proposes nothing before Run.
func New(o Options) (*Arbiter, error) {
	if err := o.validate(); err != nil {
		return nil, fmt.Errorf("start arbiter: %w", err)
	}
	if o.Log == nil {
		o.Log = hclog.NewNullLogger()
	}
	a := &Arbiter{o: o, log: o.Log.Named("arbiter"), changed: make(chan struct{})}
	var err error
	if a.metrics, err = newMetrics(o.Metrics); err != nil {
		return nil, fmt.Errorf("start arbiter: %w", err)
	}
	if err := a.file.open(o.Data); err != nil {
		return nil, fmt.Errorf("start arbiter: %w", err)
	}
	return a, nil
}

// Leads reports whether this node leads and takes commands; the channel is closed when that changes.
func (a *Arbiter) Leads() (bool, <-chan struct{}) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.line != nil, a.changed
}

// CutOff reports that more than half of the hosts fell silent at once while this node leads: it blames itself.
func (a *Arbiter) CutOff() bool { return a.cutOff.Load() }

// Ready waits until this node has taken its office: then it knows all that was in the log before. Errors: ErrNotLeader,
// and the error of ctx.
func (a *Arbiter) Ready(ctx context.Context) error {
	_, err := a.office(ctx)
	return err
}

// Propose brings a command into the log and returns the state machine's answer and the index of its entry,
// once it is applied. A leader that has not taken its office yet is waited for. Errors: ErrNotLeader,
// ErrTooLarge, ErrBusy and the error of ctx (nothing was proposed), ErrUnknownOutcome, ErrStopped.
func (a *Arbiter) Propose(ctx context.Context, c *logpb.Command) (*logpb.Result, uint64, error) {
	b, err := seal(c)
	if err != nil {
		return nil, 0, err
	}
	l, err := a.office(ctx)
	if err != nil {
		return nil, 0, err
	}
	call := newCall(b)
	if err := l.enter(call); err != nil {
		return nil, 0, err
	}
	o := l.outcome(ctx, call)
	return o.result, o.index, o.err
}

// outcome waits for a call's answer.
func (l *line) outcome(ctx context.Context, c *call) outcome {
	select {
	case o := <-c.done:
		return o
	case <-ctx.Done():
		if c.state.CompareAndSwap(callWaiting, callGone) {
			return outcome{err: ctx.Err()}
		}
		select {
		case o := <-c.done:
			return o
		default:
			return outcome{err: fmt.Errorf("%w: %w", ErrUnknownOutcome, ctx.Err())}
		}
	case <-l.closed:
		if c.state.CompareAndSwap(callWaiting, callGone) {
			return outcome{err: l.elsewhere()}
		}
	}
	select { // it is on its way, and comes to its end soon
	case o := <-c.done:
		return o
	case <-ctx.Done():
		return outcome{err: fmt.Errorf("%w: %w", ErrUnknownOutcome, ctx.Err())}
	}
}

// office is the line of this node's leadership. Between an election and its end of preparations it waits.
func (a *Arbiter) office(ctx context.Context) (*line, error) {
	for {
		a.mu.Lock()
		l, changed := a.line, a.changed
		a.mu.Unlock()
		if l != nil {
			return l, nil
		}
		if !a.o.Node.IsLeader() {
			return nil, a.elsewhere()
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(officeWait): // leadership may end without a word
		}
	}
}

// officeWait is how often a caller looks whether this node still leads.
const officeWait = 100 * time.Millisecond

// elsewhere says who leads, if it is not this node.
func (a *Arbiter) elsewhere() ErrNotLeader {
	id, _ := a.o.Node.Leader()
	if id == "" || id == a.o.ID { // it leads no more, and has not heard who does
		return ErrNotLeader{}
	}
	e := ErrNotLeader{ID: id}
	if a.o.Address != nil {
		e.Address = a.o.Address(id)
	}
	return e
}

// open lets commands in, or with nil keeps them out.
func (a *Arbiter) open(l *line) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.line = l
	close(a.changed)
	a.changed = make(chan struct{})
}
