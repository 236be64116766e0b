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

// line brings commands into the log while this node leads: whatever waits becomes one entry, and while that one is on
// its way the next one grows. One goroutine runs it.
//
//	calls ──► queue ──► entry ──► Raft ──► results ──► calls
//	           16,384   1,024 commands, 256 KiB, one at a time
type line struct {
	node      Node
	id        string
	clock     clock.Clock
	metrics   *metrics
	elsewhere func() ErrNotLeader

	queue  chan *call
	size   atomic.Int64  // bytes that wait
	most   int64         // of them
	alone  chan func()   // runs between two entries
	closed chan struct{} // nothing is taken any more

	work   *clockwork
	format atomic.Uint32
	held   *call // the first of the next entry
}

func newLine(a *Arbiter) *line {
	return &line{
		node: a.o.Node, id: a.o.ID, clock: a.o.Clock, metrics: a.metrics, elsewhere: a.elsewhere, work: &a.work,
		most: maxWaitSize, queue: make(chan *call, maxWaiting), alone: make(chan func()), closed: make(chan struct{}),
	}
}

// run takes calls until ctx ends. What Raft has then may still be answered for a while.
func (l *line) run(ctx context.Context) {
	context.AfterFunc(ctx, func() { close(l.closed) })
	for l.wait(ctx) {
		if calls := l.take(); len(calls) > 0 {
			l.propose(ctx, calls)
		}
	}
}

// wait returns true once there is something to propose.
func (l *line) wait(ctx context.Context) bool {
	for {
		select {
		case f := <-l.alone: // before more is taken
			f()
			continue
		default:
		}
		if ctx.Err() != nil {
			return false
		}
		if l.held != nil {
			return true
		}
		select {
		case <-ctx.Done():
			return false
		case f := <-l.alone:
			f()
		case l.held = <-l.queue:
			l.size.Add(-int64(len(l.held.command)))
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
	if err := l.await(ctx, future); err != nil {
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

// propose brings one entry into the log, and hands out the results.
func (l *line) propose(ctx context.Context, calls []*call) {
	data, err := l.encode(calls)
	if err != nil {
		reject(calls, err)
		return
	}
	future := l.node.Propose(data)
	if err := l.await(ctx, future); err != nil {
		l.metrics.failed.Add(float64(len(calls)))
		reject(calls, err)
		return
	}
	l.land(future, calls)
}

// await waits for Raft's answer. On shutdown Raft leaves some unanswered: then the caller gives up after a while.
func (l *line) await(ctx context.Context, future raft.ApplyFuture) error {
	answered := make(chan error, 1)
	go func() { answered <- future.Error() }()
	var over <-chan time.Time
	for {
		select {
		case err := <-answered:
			switch {
			case err == nil:
				return nil
			case surelyNot(err):
				return l.untaken(err)
			}
			return fmt.Errorf("%w: %w", ErrUnknownOutcome, err)
		case <-ctx.Done():
			ctx, over = context.WithoutCancel(ctx), time.After(grace)
		case <-over:
			return ErrUnknownOutcome
		}
	}
}

// land answers the calls of one entry.
func (l *line) land(future raft.ApplyFuture, calls []*call) {
	results, err := resultsOf(future.Response(), len(calls))
	if err != nil {
		reject(calls, err)
		return
	}
	for i, c := range calls {
		l.metrics.answered(c, results[i])
		c.done <- outcome{result: results[i], index: future.Index()}
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
