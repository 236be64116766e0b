package agentapi

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/salveops/salve/proto/agentpb"
)

// Bounds of handshakes. After a failover every agent comes at once: what does not fit is told when to come again.
const (
	maxHandshakes = 200  // at a time: they become a few entries of the log
	maxQueue      = 1000 // that wait for their turn
	queueTime     = 5 * time.Second
	shortBusy     = time.Second
	longBusy      = 5 * time.Second
)

// gate lets handshakes in, those of hosts with open permits first: what they do is what others wait for.
type gate struct {
	mu      sync.Mutex
	inside  int
	urgent  []*ticket // they wait, oldest first
	waiting []*ticket
}

// ticket is a handshake that waits.
type ticket struct {
	answer chan bool // holds one: come in, or go away
}

// enter waits for a handshake's turn. False: too many are before it, or ctx has ended. Whoever came in leaves.
func (g *gate) enter(ctx context.Context, urgent bool) bool {
	t, ok := g.queue(urgent)
	if !ok || t == nil {
		return ok
	}
	timer := time.NewTimer(queueTime)
	defer timer.Stop()
	select {
	case in := <-t.answer:
		return in
	case <-timer.C:
	case <-ctx.Done():
	}
	if g.withdraw(t) {
		return false
	}
	return <-t.answer // decided in this moment
}

// queue takes a place: inside (no ticket), in the queue, or none.
func (g *gate) queue(urgent bool) (*ticket, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.inside < maxHandshakes {
		g.inside++
		return nil, true
	}
	if len(g.urgent)+len(g.waiting) >= maxQueue {
		last := len(g.waiting) - 1
		if !urgent || last < 0 {
			return nil, false
		}
		g.waiting[last].answer <- false // the newest of the others makes way
		g.waiting = g.waiting[:last]
	}
	t := &ticket{answer: make(chan bool, 1)}
	if urgent {
		g.urgent = append(g.urgent, t)
	} else {
		g.waiting = append(g.waiting, t)
	}
	return t, true
}

// withdraw takes a ticket out; false: it was answered.
func (g *gate) withdraw(t *ticket) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, q := range []*[]*ticket{&g.urgent, &g.waiting} {
		for i, o := range *q {
			if o == t {
				*q = append((*q)[:i], (*q)[i+1:]...)
				return true
			}
		}
	}
	return false
}

// leave ends a handshake and lets the next one in.
func (g *gate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, q := range []*[]*ticket{&g.urgent, &g.waiting} {
		if len(*q) > 0 {
			(*q)[0].answer <- true // its place goes on
			*q = (*q)[1:]
			return
		}
	}
	g.inside--
}

// busy asks to come again later.
func busy(after time.Duration) *agentpb.ConnectResponse {
	return &agentpb.ConnectResponse{What: &agentpb.ConnectResponse_Busy{Busy: &agentpb.Busy{RetryAfter: int64(after)}}}
}

// spread is a time between the two, so that those who were sent away do not come back at once.
func spread(short, long time.Duration) time.Duration { return short + rand.N(long-short) }
