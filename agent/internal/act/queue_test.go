package act

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/salveops/salve/agent/internal/act/kind"
	"github.com/salveops/salve/pkg/config"
	"github.com/salveops/salve/pkg/incident"
	"github.com/salveops/salve/pkg/remedy"
)

// customer is one that took its locks, or awaits them.
type customer struct {
	locks []remedy.Lock
	works chan func() // gets what frees them
	leave context.CancelFunc
	free  func()
}

// TestQueue lets many try, await, give up and free locks in any order. After each step it is as the queue says: one works if
// and only if none that came before it wants the same. So no two are on one thing, nobody is overtaken or forgotten.
func TestQueue(t *testing.T) {
	one := rapid.SampledFrom([]remedy.Lock{"balancer x", "pool a", "unit a.service", "unit a*.service", "unit b.service"})
	rapid.Check(t, func(rt *rapid.T) {
		steps := rapid.SliceOfN(rapid.IntRange(0, 4), 1, 40).Draw(rt, "steps")
		wants := rapid.SliceOfN(rapid.SliceOfN(one, 1, 3), len(steps), len(steps)).Draw(rt, "locks")
		var failed string
		synctest.Test(t, func(t *testing.T) {
			var q queue
			var came []*customer
			blocked := func(n int, locks []remedy.Lock) bool {
				return slices.ContainsFunc(came[:n], func(c *customer) bool { return remedy.Meet(locks, c.locks) != "" })
			}
			for i, what := range steps {
				a := &incident.Attempt{Remedy: "r", Incident: "0123456789"}
				c := &customer{locks: remedy.Locks(wants[i]...), works: make(chan func(), 1), leave: func() {}}
				switch n := i % max(1, len(came)); {
				case what == 0:
					free, err := q.try(a, c.locks)
					var no *kind.Refusal
					if is := errors.As(err, &no) && no.Temporary && strings.HasSuffix(no.Reason, ": r of incident 01234567"); is != blocked(len(came), c.locks) {
						failed = "try: " + err.Error()
					}
					if err == nil {
						c.free, came = free, append(came, c)
					}
				case what <= 2:
					ctx, leave := context.WithCancel(t.Context())
					c.leave, came = leave, append(came, c)
					go func() {
						if free, err := q.await(ctx, a, c.locks); err == nil {
							c.works <- free
						}
					}()
				case len(came) > 0: // one gives up, or frees what it has
					gone := came[n]
					came = slices.Delete(came, n, n+1)
					if gone.leave(); gone.free != nil {
						gone.free()
					}
				}
				synctest.Wait()
				for n, c := range came {
					if c.free == nil && len(c.works) > 0 {
						c.free = <-c.works
					}
					if (c.free == nil) != blocked(n, c.locks) {
						failed = "one works out of turn, or not in its turn"
					}
				}
			}
			for _, c := range slices.Backward(came) { // the last first: nobody's turn comes
				if c.leave(); c.free != nil {
					c.free()
				}
				synctest.Wait()
			}
			if len(q.claims) > 0 {
				failed = "some are left in the queue"
			}
		})
		if failed != "" {
			rt.Fatalf("%s: %v %q", failed, steps, wants)
		}
	})
}

// An attempt of an agent that knew no locks is taken back on its target.
func TestLocksOfOldAttempts(t *testing.T) {
	a := &incident.Attempt{Kind: "set_property", Target: "a.service"}
	if got := locksOf(a); !slices.Equal(got, []remedy.Lock{"unit a.service"}) {
		t.Errorf("locks %q", got)
	}
	var q queue
	free, _ := q.try(a, locksOf(a))
	ctx, cancel := context.WithTimeout(t.Context(), time.Nanosecond)
	defer cancel()
	if _, err := q.await(ctx, a, locksOf(a)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	free()
}

// A pool is locked where it is, under whatever name a service knows it.
func TestLocksOfPools(t *testing.T) {
	pool := func(service, name, at string) []remedy.Lock {
		own := &config.Service{Name: service, Pools: []*config.Pool{{Name: name, PgBouncer: at, Database: "shop"}}}
		return locksFor(&kind.Step{Target: name, Request: kind.Request{Remedy: &config.Remedy{Kind: remedy.ResetPool, Service: own,
			Args: &remedy.PoolArgs{Pool: name}}}})
	}
	mine := pool("a", "db", "127.0.0.1:6432")
	if lock := remedy.Meet(mine, pool("b", "db", "127.0.0.1:6433")); lock != "" {
		t.Errorf("two pools of one name are one: %s", lock)
	}
	if remedy.Meet(mine, pool("b", "main", "127.0.0.1:6432")) == "" {
		t.Error("one pool with two names is two")
	}
}
