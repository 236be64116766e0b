package controllertest

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/salveops/salve/controller/controllertest/spec"
	"github.com/salveops/salve/controller/internal/state"
	"github.com/salveops/salve/proto/logpb"
)

// setting is a number from outside.
func setting(t *testing.T, name string, otherwise int) int {
	if os.Getenv(name) == "" {
		return otherwise
	}
	n, err := strconv.Atoi(os.Getenv(name))
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

// TestClusterSchedules runs random schedules over real Raft and real gRPC. FAULT_SEED= is the first seed,
// FAULT_CLUSTERS= how many there are, and FAULT_CLUSTER_STEPS= how long each one is.
func TestClusterSchedules(t *testing.T) {
	t.Parallel()
	first, runs := setting(t, "FAULT_SEED", 1), setting(t, "FAULT_CLUSTERS", 2)
	steps := setting(t, "FAULT_CLUSTER_STEPS", 400)
	for seed := first; seed < first+runs; seed++ {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			c := crowd(t, 3)
			f := NewFate(c, uint64(seed))
			for range steps {
				f.Step(slices.Concat(wants, faults, backwards)...)
			}
			atRest(c, f)
			c.mu.Lock()
			defer c.mu.Unlock()
			t.Logf("seed %d: %d steps, %d entries, %d actions: %v", seed, steps, c.index, c.acted(), c.counts)
		})
	}
}

// crowd is a cluster with six hosts of one service.
func crowd(t *testing.T, nodes int) *Cluster {
	c := New(t, nodes)
	for i := range 6 {
		c.Host(fmt.Sprint("h", i+1), "web")
	}
	ready(c, c.hosts...)
	c.Order(web(3, 3))
	return c
}

// atRest ends every fault, has people do what only they can, and wants everything settled and everybody served.
func atRest(c *Cluster, f *Fate) {
	c.t.Helper()
	f.Heal()
	c.aside.Wait()
	c.Order(web(1, 1))
	deadline := time.Now().Add(patience)
	for !rests(c) {
		if time.Now().After(deadline) {
			c.View(func(s *state.State) { c.t.Logf("open: %v, pauses: %v, hosts: %v", s.Permits(), s.Pauses(), s.Hosts()) })
			c.t.Fatal("the cluster does not come to rest")
		}
		for _, h := range c.hosts {
			h.Recover("web")
		}
		c.Resume("all")
		c.Resume("service:web")
		for _, h := range c.hosts {
			c.Resume("host:" + h.Machine.ID)
		}
		c.Order(&logpb.Command{What: &logpb.Command_CloseBreaker{CloseBreaker: &logpb.CloseBreaker{Service: "web",
			Rule: "slow", By: "ann"}}})
		f.pass(100 * time.Millisecond)
	}
	for _, h := range c.hosts {
		h.Ask("web", With("the last of "+h.Machine.ID), Lasts(time.Second)).Becomes("serving")
		c.Eventually("it is settled", func() bool { return c.Permits() == 0 })
	}
}

// rests reports whether nothing is going on, and nothing is untold.
func rests(c *Cluster) bool {
	for _, h := range c.hosts {
		if !h.Live() || h.Busy() || len(h.Lost()) > 0 {
			return false
		}
	}
	still := true
	c.View(func(s *state.State) {
		still = len(s.Permits()) == 0 && len(s.Pauses()) == 0
		for _, h := range s.Hosts() {
			still = still && !h.GetLost() && s.Service("web").N == len(c.hosts) && len(s.Service("web").Out) == 0
		}
	})
	return still
}

// operations are so many that a history is whole.
const operations = 200

// TestClusterHistories: what agents and people saw over real Raft is what the table could have said.
func TestClusterHistories(t *testing.T) {
	t.Parallel()
	first, runs := setting(t, "FAULT_SEED", 1), setting(t, "FAULT_CLUSTERS", 5)
	for seed := first; seed < first+runs; seed++ {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			c := crowd(t, 3)
			f := NewFate(c, uint64(seed))
			var begin *spec.Table
			c.Eventually("nothing is in flight", func() bool {
				c.mu.Lock()
				defer c.mu.Unlock()
				c.pull()
				before := c.index
				begin = spec.Of(c.audit.Whole)
				c.history = spec.NewHistory()
				return before > 0
			})
			for range 200 {
				f.Step(append(slices.Concat(wants, wants, wants), faults...)...)
				c.mu.Lock()
				enough := c.history.Len() >= operations
				c.mu.Unlock()
				if enough {
					break
				}
			}
			f.Heal()
			c.aside.Wait()
			c.Check()
			c.mu.Lock()
			c.pull() // whatever has an answer is in the log
			history := c.history.Copy()
			c.history = nil
			c.mu.Unlock()
			looked := time.Now()
			switch history.Check(begin, 60*time.Second) {
			case porcupine.Illegal:
				for _, o := range history.Operations() {
					t.Logf("%v to %v: %v → %v", time.Duration(o.Call), time.Duration(o.Return), o.Input, o.Output)
				}
				t.Errorf("seed %d: no order of what was asked explains the answers", seed)
			case porcupine.Unknown:
				t.Errorf("seed %d: it cannot be told", seed)
			}
			t.Logf("seed %d: %d operations, %d unanswered, looked through in %v", seed, len(history.Operations()),
				history.Unanswered(), time.Since(looked).Round(time.Millisecond))
		})
	}
}
