package arbiter

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"

	"github.com/salveops/salve/pkg/clock"
	"github.com/salveops/salve/proto/logpb"
)

// Bounds of the line.
const (
	maxWaiting  = 16384           // commands that wait to be taken
	maxWaitSize = 64 << 20        // bytes of them
	maxInFlight = 4               // entries that Raft has and has not answered
	grace       = 5 * time.Second // for Raft to answer what it has, once this node leads no more
)

// States of a call. Whoever moves it away from waiting owns it.
const (
	callWaiting int32 = iota
	callTaken         // it goes into an entry
	callGone          // nobody waits for it any more, and it was never proposed
)

// call is one command that somebody waits for.
type call struct {
	command []byte
	since   time.Time
	state   atomic.Int32
	done    chan outcome // holds one
}

// outcome is what became of a call.
type outcome struct {
	result *logpb.Result
	index  uint64
	err    error
}

func newCall(command []byte) *call {
	return &call{command: command, since: time.Now(), done: make(chan outcome, 1)}
}

// line brings commands into the log while this node leads: whatever waits becomes one entry, up to maxInFlight
// entries are on their way, and the answers go out in the order of the log. One goroutine runs it.
//
//	calls ──► queue ──► entry ──► Raft ──► results ──► calls
//	           16,384   1,024 commands, 256 KiB, 4 in flight
type line struct {
	node      Node
	id        string
	clock     clock.Clock
	metrics   *metrics
	elsewhere func() ErrNotLeader

	queue     chan *call
	size      atomic.Int64  // bytes that wait
	most      int64         // of them
	alone     chan func()   // runs while nothing else is proposed and nothing is in flight
	closed    chan struct{} // nothing is taken any more
	abandoned chan struct{} // nothing is answered any more

	work   *clockwork
	format atomic.Uint32
	held   *call // the first of the next entry
	slots  chan struct{}
	order  chan flight
}

// flight is one entry on its way.
type flight struct {
	future raft.ApplyFuture
	calls  []*call
}

func newLine(a *Arbiter) *line {
	return &line{
		node: a.o.Node, id: a.o.ID, clock: a.o.Clock, metrics: a.metrics, elsewhere: a.elsewhere, work: &a.work,
		most: maxWaitSize, queue: make(chan *call, maxWaiting), alone: make(chan func()), closed: make(chan struct{}),
		abandoned: make(chan struct{}), slots: make(chan struct{}, maxInFlight), order: make(chan flight, maxInFlight),
	}
}

// run takes calls until ctx ends. Answers to what Raft has still come for a while after.
func (l *line) run(ctx context.Context) {
	go l.answer()
	defer close(l.order)
	defer time.AfterFunc(grace, func() { close(l.abandoned) })
	defer close(l.closed)
	for l.wait(ctx) {
		select {
		case l.slots <- struct{}{}:
		case <-ctx.Done():
			return
		}
		if calls := l.take(); len(calls) > 0 {
			l.propose(calls)
		} else {
			<-l.slots
		}
	}
}

// wait returns true once there is something to propose.
func (l *line) wait(ctx context.Context) bool {
	for {
		select {
		case f := <-l.alone: // before more is taken
			l.apart(ctx, f)
			continue
		default:
		}
		if l.held != nil {
			return true
		}
		select {
		case <-ctx.Done():
			return false
		case f := <-l.alone:
			l.apart(ctx, f)
		case l.held = <-l.queue:
			l.size.Add(-int64(len(l.held.command)))
		}
	}
}

// apart runs f while nothing is in flight.
func (l *line) apart(ctx context.Context, f func()) {
	for taken := range maxInFlight {
		select {
		case l.slots <- struct{}{}:
			defer func() { <-l.slots }()
		case <-ctx.Done():
			return
		}
		if taken == maxInFlight-1 {
			f()
		}
	}
}

// direct proposes commands as one entry and waits for it. Only where nothing else is proposed: before run, or
// in a function that run runs alone.
func (l *line) direct(ctx context.Context, commands ...*logpb.Command) ([]*logpb.Result, error) {
	calls := make([]*call, len(commands))
	size := 0
	for i, c := range commands {
		b, err := seal(c)
		if err != nil {
			return nil, err
		}
		calls[i] = newCall(b)
		size += sizeInEntry(b)
	}
	if size > maxBatch || len(calls) > maxCommands {
		return nil, ErrTooLarge
	}
	data, err := l.encode(calls)
	if err != nil {
		return nil, err
	}
	future := l.node.Propose(data)
	if err := l.await(ctx.Done(), future); err != nil {
		return nil, err
	}
	return resultsOf(future.Response(), len(calls))
}

// enter puts a call into the queue. Errors: ErrBusy, ErrNotLeader.
func (l *line) enter(c *call) error {
	n := int64(len(c.command))
	if l.size.Add(n) > l.most {
		l.size.Add(-n)
		return ErrBusy
	}
	select {
	case l.queue <- c:
		return nil
	case <-l.closed:
		return l.elsewhere()
	default:
		l.size.Add(-n)
		return ErrBusy
	}
}

// take collects what waits, as much as one entry holds. It begins with the held call.
func (l *line) take() []*call {
	var calls []*call
	size := 0
	for len(calls) < maxCommands {
		c := l.held
		l.held = nil
		if c == nil {
			select {
			case c = <-l.queue:
				l.size.Add(-int64(len(c.command)))
			default:
				return calls
			}
		}
		n := sizeInEntry(c.command)
		if size+n > maxBatch {
			l.held = c
			return calls
		}
		if c.state.CompareAndSwap(callWaiting, callTaken) {
			calls, size = append(calls, c), size+n
		}
	}
	return calls
}

// encode stamps one entry.
func (l *line) encode(calls []*call) ([]byte, error) {
	commands := make([][]byte, len(calls))
	for i, c := range calls {
		commands[i] = c.command
	}
	l.metrics.batch.Observe(float64(len(calls)))
	return entry(l.format.Load(), l.work.stamp(l.clock.Now()), l.id, commands)
}

// propose hands one entry to Raft.
func (l *line) propose(calls []*call) {
	data, err := l.encode(calls)
	if err != nil {
		reject(calls, err)
		<-l.slots
		return
	}
	l.order <- flight{future: l.node.Propose(data), calls: calls}
}

// answer hands out results in the order of the log.
func (l *line) answer() {
	for f := range l.order {
		err := l.await(l.abandoned, f.future)
		if err != nil {
			l.metrics.failed.Add(float64(len(f.calls)))
			reject(f.calls, err)
		} else {
			l.land(f)
		}
		<-l.slots
	}
}

// await waits for Raft's answer. On shutdown Raft leaves some unanswered: then the caller gives up.
func (l *line) await(over <-chan struct{}, future raft.ApplyFuture) error {
	answered := make(chan error, 1)
	go func() { answered <- future.Error() }()
	select {
	case err := <-answered:
		switch {
		case err == nil:
			return nil
		case surelyNot(err):
			return l.untaken(err)
		}
		return fmt.Errorf("%w: %w", ErrUnknownOutcome, err)
	case <-over:
		return ErrUnknownOutcome
	}
}

// land answers the calls of one entry.
func (l *line) land(f flight) {
	results, err := resultsOf(f.future.Response(), len(f.calls))
	if err != nil {
		reject(f.calls, err)
		return
	}
	for i, c := range f.calls {
		l.metrics.answered(c, results[i])
		c.done <- outcome{result: results[i], index: f.future.Index()}
	}
}

// untaken is the error for what Raft did not take.
func (l *line) untaken(err error) error {
	if errors.Is(err, raft.ErrEnqueueTimeout) {
		return fmt.Errorf("%w: %w", ErrBusy, err)
	}
	return l.elsewhere()
}

// resultsOf are the state machine's answers to n commands.
func resultsOf(response any, n int) ([]*logpb.Result, error) {
	switch r := response.(type) {
	case []*logpb.Result:
		if len(r) == n {
			return r, nil
		}
		return nil, fmt.Errorf("%w: %d answers to %d commands", ErrStopped, len(r), n)
	case error:
		return nil, fmt.Errorf("%w: %w", ErrStopped, r)
	}
	return nil, fmt.Errorf("%w: an answer of type %T", ErrStopped, response)
}

func reject(calls []*call, err error) {
	for _, c := range calls {
		c.done <- outcome{err: err}
	}
}
