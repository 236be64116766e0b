package controllertest

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"google.golang.org/protobuf/proto"

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
	tidy(c)
	deadline := time.Now().Add(patience)
	for still := unrest(c); still != ""; still = unrest(c) {
		if time.Now().After(deadline) {
			c.t.Fatalf("the cluster does not come to rest: %s", still)
		}
		for _, h := range c.hosts {
			h.Recover("web")
		}
		tidy(c)
		f.pass(100 * time.Millisecond)
	}
	for _, h := range c.hosts {
		h.Ask("web", With("the last of "+h.Machine.ID), Lasts(time.Second)).Becomes("serving")
		c.Eventually("it is settled", func() bool { return c.Permits() == 0 })
	}
}

// tidy is what people do: they end pauses, forgive what failed twice, and close breakers.
func tidy(c *Cluster) {
	c.t.Helper()
	var resume []string
	var breakers []*logpb.Breaker // of lost hosts, too
	c.View(func(s *state.State) {
		for _, p := range s.Pauses() {
			resume = append(resume, p.GetId())
		}
		if slices.ContainsFunc(s.Widths("web"), func(w *logpb.Width) bool { return len(w.GetFailed()) >= 2 }) {
			resume = append(resume, "service:web")
		}
		for _, b := range s.Breakers() {
			if b.GetOpen() {
				breakers = append(breakers, proto.CloneOf(b))
			}
		}
	})
	for _, what := range resume {
		c.Resume(what)
	}
	for _, b := range breakers {
		c.Order(&logpb.Command{What: &logpb.Command_CloseBreaker{CloseBreaker: &logpb.CloseBreaker{
			Service: b.GetService(), Rule: b.GetRule(), By: "ann"}}})
	}
}

// unrest says what is still going on or untold, "" if nothing is.
func unrest(c *Cluster) (what string) {
	for _, h := range c.hosts {
		if lost := h.Lost(); !h.Live() || h.Busy() || len(lost) > 0 {
			return fmt.Sprintf("%s: live %t, %s, alerts in no incident: %v", h.Machine.ID, h.Live(), h.Doing(), lost)
		}
	}
	c.View(func(s *state.State) {
		web := s.Service("web")
		switch {
		case len(s.Permits())+len(s.Pauses()) > 0:
			what = fmt.Sprintf("open: %v, pauses: %v", s.Permits(), s.Pauses())
		case slices.ContainsFunc(s.Breakers(), (*logpb.Breaker).GetOpen):
			what = fmt.Sprintf("open breakers: %v", s.Breakers())
		case slices.ContainsFunc(s.Hosts(), (*logpb.Host).GetLost):
			what = fmt.Sprintf("hosts: %v", s.Hosts())
		case web.N != len(c.hosts) || len(web.Out) > 0:
			what = fmt.Sprintf("%d hosts serve, these do not: %v", web.N, web.Out)
		}
	})
	return what
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
			switch history.Check(begin, 5*time.Minute) {
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
