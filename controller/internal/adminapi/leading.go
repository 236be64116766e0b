package adminapi

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// verifyWithin bounds one proof of leadership. A leader that most of its peers have not confirmed for so
// long leads no more.
const verifyWithin = 5 * time.Second

// leading proves that this node leads at a moment after the question came, so that a read from its state
// is linearizable. In a new term everything committed before has to be applied first. Questions that come
// while a proof is under way share the next one: it has begun after all of them.
type leading struct {
	node Node

	mu      sync.Mutex
	next    *proof
	running bool
	term    uint64 // whose barrier has been passed
}

// proof is one question to the peers that several reads wait for.
type proof struct {
	done chan struct{}
	err  error
}

// prove ends when this node is known to lead, or says who does.
func (l *leading) prove(ctx context.Context) error {
	l.mu.Lock()
	if l.next == nil {
		l.next = &proof{done: make(chan struct{})}
	}
	p := l.next
	if !l.running {
		l.running = true
		go l.run()
	}
	l.mu.Unlock()
	select {
	case <-p.done:
		return p.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// run proves until nobody waits.
func (l *leading) run() {
	for {
		l.mu.Lock()
		p := l.next
		l.next = nil
		if p == nil {
			l.running = false
			l.mu.Unlock()
			return
		}
		l.mu.Unlock()
		p.err = l.once()
		close(p.done)
	}
}

// once proves the leadership of one term from the barrier to the peers' word.
func (l *leading) once() error {
	ctx, cancel := context.WithTimeout(context.Background(), verifyWithin)
	defer cancel()
	for ctx.Err() == nil {
		st := l.node.Standing()
		if st.Role != roleLeader {
			return notLeader(st)
		}
		if st.Term != l.term {
			if err := l.node.Barrier(ctx); err != nil {
				return l.lost(fmt.Errorf("apply what is committed: %w", err))
			}
		}
		if err := l.node.VerifyLeader(ctx); err != nil {
			return l.lost(fmt.Errorf("verify leadership: %w", err))
		}
		if l.node.Standing().Term == st.Term {
			l.term = st.Term
			return nil
		}
	}
	return noQuorum("this node could not prove that it leads within %s", verifyWithin)
}

// lost is a failed proof: for whoever asks it is the same as if this node did not lead.
func (l *leading) lost(err error) error {
	if st := l.node.Standing(); st.Role != roleLeader {
		return notLeader(st)
	}
	return noQuorum("this node cannot prove that it leads: %v", err)
}
