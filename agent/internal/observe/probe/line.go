package probe

import (
	"context"
	"io"
	"sync"
	"time"
)

// protocol is how one target is asked. Its methods may be called side by side, each on a connection of its own.
type protocol[C io.Closer] interface {
	// dial makes a connection on which a question can be asked.
	dial(ctx context.Context, deadline time.Time) (C, error)
	// sound reports whether a connection that lay idle can take another question.
	sound(C) bool
	// exchange asks one question over the connection, and says what becomes of it.
	exchange(ctx context.Context, c C, deadline time.Time) (answer, fate)
}

// fate is what becomes of a connection after a question.
type fate uint8

const (
	drop  fate = iota // it is closed
	keep              // it may take the next question
	stale             // it was lost before there was an answer, and not because the time was over
)

// line asks over a connection that it keeps between the questions. A connection that the other side gave up while it
// lay idle is no miss: the question is asked again on a fresh one.
type line[C io.Closer] struct {
	protocol protocol[C]
	timeout  time.Duration
	ctx      context.Context // ends with close
	cancel   context.CancelFunc

	mu   sync.Mutex
	idle *C // nil: none
}

func newLine[C io.Closer](p protocol[C], timeout time.Duration) *line[C] {
	l := &line[C]{protocol: p, timeout: timeout}
	l.ctx, l.cancel = context.WithCancel(context.Background())
	return l
}

func (l *line[C]) ask(fresh bool) answer {
	start := time.Now()
	deadline := start.Add(l.timeout)
	if !fresh {
		if c := l.take(); c != nil {
			if a, f := l.exchange(c, start, deadline); f != stale {
				return a
			}
		}
	}
	c, err := l.protocol.dial(l.ctx, deadline)
	if err != nil {
		return answer{err: err}
	}
	a, _ := l.exchange(&c, start, deadline)
	return a
}

func (l *line[C]) exchange(c *C, start, deadline time.Time) (answer, fate) {
	a, f := l.protocol.exchange(l.ctx, *c, deadline)
	if a.answered {
		a.latency = time.Since(start)
	}
	l.put(c, f)
	return a, f
}

// take gives the idle connection if there is one and it is sound.
func (l *line[C]) take() *C {
	l.mu.Lock()
	c := l.idle
	l.idle = nil
	l.mu.Unlock()
	if c != nil && !l.protocol.sound(*c) {
		l.put(c, drop)
		return nil
	}
	return c
}

// put keeps a connection for the next attempt, or closes it.
func (l *line[C]) put(c *C, f fate) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if f == keep && l.idle == nil && l.ctx.Err() == nil {
		l.idle = c
		return
	}
	_ = (*c).Close()
}

// close ends running attempts at once: what they wait for ends with the context.
func (l *line[C]) close() {
	l.cancel()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.idle != nil {
		_ = (*l.idle).Close()
		l.idle = nil
	}
}
