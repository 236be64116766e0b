package session

import (
	"context"
	"errors"
	"io"
	"sync"

	"github.com/salveops/salve/proto/agentpb"
)

// queueSize is how many messages may wait to be sent. More means that the node does not read.
const queueSize = 64

// conn is a line with a reader and a writer of its own, so that neither direction holds the other up.
type conn struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
	line   Line
	in     chan *agentpb.ConnectResponse
	out    chan *agentpb.ConnectRequest
	work   sync.WaitGroup
}

func open(ctx context.Context, line Line) *conn {
	c := &conn{line: line, in: make(chan *agentpb.ConnectResponse), out: make(chan *agentpb.ConnectRequest, queueSize)}
	c.ctx, c.cancel = context.WithCancelCause(ctx)
	c.work.Go(c.read)
	c.work.Go(c.write)
	return c
}

func (c *conn) read() {
	for {
		m, err := c.line.Recv()
		if errors.Is(err, io.EOF) {
			err = errEnded
		}
		if err != nil {
			c.cancel(err)
			return
		}
		select {
		case c.in <- m:
		case <-c.ctx.Done():
			return
		}
	}
}

func (c *conn) write() {
	for {
		select {
		case m := <-c.out:
			if err := c.line.Send(m); err != nil {
				// The reader has the reason, if the node gave one.
				return
			}
		case <-c.ctx.Done():
			return
		}
	}
}

// send queues a message. It does not wait: a queue that is full ends the session.
func (c *conn) send(m *agentpb.ConnectRequest) error {
	select {
	case c.out <- m:
		return nil
	default:
		return errStuck
	}
}

// err is why the line ended, once it has.
func (c *conn) err() error { return context.Cause(c.ctx) }

// close ends the line and waits for its goroutines.
func (c *conn) close() {
	c.cancel(errAnew)
	c.line.Close()
	c.work.Wait()
}
