package act

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/salveops/salve/agent/internal/act/kind"
	"github.com/salveops/salve/pkg/incident"
	"github.com/salveops/salve/pkg/remedy"
)

// queue is who works on what, and who waits for it, in the order in which they came. One has its turn when none before it
// wants any of the same things. So it gets all of its locks at once or none, who has them waits for nothing, and nobody is
// overtaken: there is no circle, and no waiting for ever. The zero value is empty.
type queue struct {
	mu     sync.Mutex
	claims []*claim
	over   chan struct{} // closed when who waits then has no turn any more; nil: never
	once   sync.Once
}

// ErrStopping says that something did not begin, because it had to wait for its turn while the agent stops.
var ErrStopping = errors.New("the agent is stopping")

// claim is one that works or waits.
type claim struct {
	locks []remedy.Lock
	who   string        // in words
	turn  chan struct{} // closed when it may work
	works bool          // it may
}

// try takes the locks if that can be done now; a *kind.Refusal says who has them, or came before.
func (q *queue) try(a *incident.Attempt, locks []remedy.Lock) (free func(), err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if c, lock := q.before(len(q.claims), locks); c != nil {
		return nil, kind.Postpone("another remedy is at work on %s: %s", lock, c.who)
	}
	return q.join(a, locks), nil
}

// await takes the locks when it is its turn, which is at once if nobody is before it.
func (q *queue) await(ctx context.Context, a *incident.Attempt, locks []remedy.Lock) (free func(), err error) {
	q.mu.Lock()
	free = q.join(a, locks)
	c := q.claims[len(q.claims)-1]
	works := c.works
	q.mu.Unlock()
	if works {
		return free, nil
	}
	select {
	case <-c.turn:
		return free, nil
	case <-ctx.Done():
		err = ctx.Err()
	case <-q.over:
		err = ErrStopping
	}
	free()
	return nil, fmt.Errorf("wait for %s: %w", a.Target, err)
}

// close ends all waiting.
func (q *queue) close() {
	q.once.Do(func() { close(q.over) })
}

// join makes a claim the last one. The caller holds mu.
func (q *queue) join(a *incident.Attempt, locks []remedy.Lock) (free func()) {
	c := &claim{locks: locks, who: fmt.Sprintf("%s of incident %.8s", a.Remedy, a.Incident), turn: make(chan struct{})}
	q.claims = append(q.claims, c)
	q.advance()
	return func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		q.claims = slices.DeleteFunc(q.claims, func(o *claim) bool { return o == c })
		q.advance()
	}
}

// advance lets those work whose turn has come. The caller holds mu.
func (q *queue) advance() {
	for i, c := range q.claims {
		if first, _ := q.before(i, c.locks); first == nil && !c.works {
			c.works = true
			close(c.turn)
		}
	}
}

// before is the first of the first n claims that wants one of the locks, and which; nil: none does.
func (q *queue) before(n int, locks []remedy.Lock) (*claim, remedy.Lock) {
	for _, c := range q.claims[:n] {
		if lock := remedy.Meet(locks, c.locks); lock != "" {
			return c, lock
		}
	}
	return nil, ""
}

// locksOf are those of an attempt; of one that was made before there were any, that of its target.
func locksOf(a *incident.Attempt) []remedy.Lock {
	if len(a.Locks) > 0 {
		return a.Locks
	}
	spec, _ := remedy.Lookup(a.Kind)
	return remedy.Locks(remedy.LockOn(spec.Target, a.Target))
}
