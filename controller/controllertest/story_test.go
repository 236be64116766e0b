package controllertest

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/salveops/salve/controller/controllertest/model"
	"github.com/salveops/salve/controller/internal/node/nodetest"
	"github.com/salveops/salve/controller/internal/state"
	"github.com/salveops/salve/pkg/permit"
	"github.com/salveops/salve/proto/logpb"
)

// deposed cuts the leader off from the others, with some hosts, and waits for the next leader.
func deposed(c *Cluster, with ...string) (old, next *Node) {
	old = c.Leader()
	mine, others := append(with, old.Name), []string{}
	for _, n := range c.nodes {
		if n != old {
			others = append(others, n.Name)
		}
	}
	for _, h := range c.hosts {
		if !slices.Contains(with, h.Machine.ID) {
			others = append(others, h.Machine.ID)
		}
	}
	c.Partition(strings.Join(mine, ",") + " | " + strings.Join(others, ","))
	c.Eventually("somebody else leads", func() bool {
		for _, n := range c.nodes {
			if n != old && n.up {
				if leads, _ := n.arbiter.Leads(); leads {
					next = n
				}
			}
		}
		return next != nil
	})
	return old, next
}

// TestSplitBrain: the side without a majority gives nothing, and what it was asked is refused or never
// answered; the other side goes on, and when both are one again the table is one, too.
func TestSplitBrain(t *testing.T) {
	t.Parallel()
	c, h1, h2, _ := three(t)
	old := c.Leader()
	others := slices.DeleteFunc([]string{"a", "b", "c", "h2", "h3"}, func(name string) bool { return name == old.Name })
	c.Partition(old.Name + ", h1 | " + strings.Join(others, ","))
	asked, ok := h1.TryAsk("web") // its leader may still believe that it leads
	h2.Ask("web").Acts()
	if fate := asked.Fate(); ok && (fate == "granted" || fate == "acting") {
		t.Errorf("%s, which leads nobody, gave a permit: %s", old.Name, fate)
	}
	c.Heal()
	h1.Ask("web").Refused("cap")
	if got := c.Counted("web"); !slices.Equal(got, []string{"h2"}) {
		t.Errorf("acting are %v", got)
	}
}

// TestMinorityFrozen: an agent beside a minority goes on with what needs nobody, and journals what it sees; when
// it finds a leader again, nothing of that is lost and nothing old is replayed.
func TestMinorityFrozen(t *testing.T) {
	t.Parallel()
	c, h1, _, _ := three(t)
	deposed(c, "h1")
	c.Eventually("h1 knows that nobody answers", func() bool { return !h1.Live() })
	h1.Set("web", model.Sick)
	h1.Fires("slow", "web")
	c.Heal()
	c.Eventually("the alert is in an incident", func() (known bool) {
		c.View(func(s *state.State) { known = len(s.Incidents()) > 0 && s.Incidents()[0].GetService() == "web" })
		return known
	})
	if n := c.Permits(); n != 0 {
		t.Errorf("%d permits are open, and nobody asked since", n)
	}
	h1.Ask("web", Lasts(time.Second)).Acts()
}

// TestLateResumeFromOldLeader: a resume that was said to a leader who was none ends no pause, neither then nor
// when he is heard again.
func TestLateResumeFromOldLeader(t *testing.T) {
	t.Parallel()
	c, h1, h2, _ := three(t)
	pause := c.Pause()
	old, _ := deposed(c, "h1")
	resume := &logpb.Command{What: &logpb.Command_Resume{Resume: &logpb.ResumeCommand{Pause: pause, By: "bob"}}}
	if _, err := c.try(old, resume); err == nil {
		t.Fatal("a leader without a majority took a command")
	}
	h2.Ask("web").Refused("paused")
	c.Heal()
	c.Eventually("h1 is back", h1.Live)
	h1.Ask("web").Refused("paused")
	c.Resume(pause)
	c.Eventually("h1 has heard of the end of the pause", func() bool { return !h1.Paused() })
	h1.Ask("web").Acts()
}

// TestOneWayLink: a link that carries one way only is a lost host, whichever way that is, and counts as out.
func TestOneWayLink(t *testing.T) {
	t.Parallel()
	for name, cut := range map[string]func(c *Cluster){
		"only to the host": func(c *Cluster) {
			for _, n := range c.nodes {
				c.Cut("h1", n.Name)
			}
		},
		"only from the host": func(c *Cluster) {
			for _, n := range c.nodes {
				c.Cut(n.Name, "h1")
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, h1, h2, _ := three(t)
			cut(c)
			c.Eventually("h1 is lost", func() bool { return c.Lost("h1") })
			h2.Ask("web").Refused("cap")
			c.Heal()
			c.Eventually("h1 is back", func() bool { return h1.Live() && !c.Lost("h1") })
			h2.Ask("web").Acts()
		})
	}
}

// TestLeaderWithOtherConfig: what the cluster decides by is in the log. A leader whose own file says something
// else changes nothing by leading.
func TestLeaderWithOtherConfig(t *testing.T) {
	t.Parallel()
	c, h1, h2, _ := three(t)
	c.Order(web(2, 2))
	digest := func() (d string) {
		c.View(func(s *state.State) { d = string(s.Config().GetDigest()) })
		return d
	}
	before := digest()
	for range 3 {
		old, _ := deposed(c)
		c.Heal()
		c.Eventually("the old leader follows", func() bool { return !old.node.IsLeader() })
	}
	if after := digest(); after != before {
		t.Errorf("the configuration %q holds after elections, and %q did before", after, before)
	}
	h1.Ask("web").Acts()
	h2.Ask("web", With("another")).Acts()
}

// TestQuorumLostPagesOnce: every node that finds no leader tells people, all under one name, which the next
// leader adopts and ends.
func TestQuorumLostPagesOnce(t *testing.T) {
	t.Parallel()
	c := New(t, 3)
	c.Order(web(1, 1))
	c.Eventually("every node has heard of a leader", func() bool {
		return !slices.ContainsFunc(c.nodes, func(n *Node) bool { return n.looked.Load() < 2 })
	})
	c.Partition("a | b | c")
	told := func(kind string) (names []string) {
		c.mu.Lock()
		defer c.mu.Unlock()
		for _, m := range c.mail {
			if name, _, _ := strings.Cut(m.Key, "/"); string(m.Kind) == kind && strings.HasPrefix(name, "quorum-") {
				names = append(names, name)
			}
		}
		return names
	}
	c.Eventually("every node tells people", func() bool { return len(told("trigger")) >= 3 })
	if got := told("trigger"); len(slices.Compact(slices.Sorted(slices.Values(got)))) != 1 {
		t.Errorf("one outage has the names %v", got)
	}
	c.Heal()
	c.Eventually("people hear of its end", func() bool { return len(told("resolve")) > 0 })
	got := slices.Concat(told("trigger"), told("resolve"))
	if len(slices.Compact(slices.Sorted(slices.Values(got)))) != 1 {
		t.Errorf("it began and ended under the names %v", got)
	}
}

// TestPermitLeak: a holder who vanishes in the middle keeps its permit, whatever time passes, until a person
// says that nothing of it runs.
func TestPermitLeak(t *testing.T) {
	t.Parallel()
	c, h1, h2, _ := three(t)
	h1.Ask("web").Acts()
	h1.Kill()
	c.Eventually("h1 is lost", func() bool { return c.Lost("h1") })
	c.SetClock("a", 365*24*time.Hour)
	c.SetClock("b", 365*24*time.Hour)
	c.SetClock("c", 365*24*time.Hour)
	h2.Ask("web").Refused("cap")
	h1.Finish() // the machine is looked at, and nothing runs there
	var p *logpb.Permit
	c.View(func(s *state.State) { p = s.Permits()[0] })
	c.Order(&logpb.Command{What: &logpb.Command_ForceSettle{ForceSettle: &logpb.ForceSettle{Token: p.GetToken(),
		Epoch: p.GetEpoch(), By: "ann", Reason: "looked at it"}}})
	h1.Start()
	c.Eventually("h1 is back", func() bool { return h1.Live() && !c.Lost("h1") })
	h2.Ask("web", With("another")).Acts()
}

// TestDoubleRun: the answer to a request is lost, and the agent asks again in another session: it acts once, and
// the grant that nobody heard of goes back.
func TestDoubleRun(t *testing.T) {
	t.Parallel()
	c, h1, _, _ := three(t)
	for _, n := range c.nodes {
		c.Cut(n.Name, "h1")
	}
	lost := h1.Ask("web")
	c.Eventually("the log has given a permit", func() bool { return c.Permits() == 1 })
	lost.Becomes("refused: cut") // it waited for too long
	c.Heal()
	c.Eventually("the grant that nobody waits for is back", func() bool { return c.Permits() == 0 })
	h1.Ask("web", Lasts(time.Second)).Becomes("serving")
	if steps := h1.Steps(); steps != 1 {
		t.Errorf("it acted %d times", steps)
	}
}

// TestDiesInTheMiddle: the agent dies while its action runs. The next process finds the intent, sees the action
// through, and settles it by what it finds.
func TestDiesInTheMiddle(t *testing.T) {
	t.Parallel()
	c, h1, h2, _ := three(t)
	h1.Ask("web").Acts()
	h1.Kill()
	h1.Start()
	c.Eventually("another process has a session", h1.Live)
	h2.Ask("web").Refused("cap") // the action still runs
	h1.Finish()
	c.Eventually("it is settled", func() bool { return c.Permits() == 0 })
	h2.Ask("web").Acts()
	if steps := h1.Steps(); steps != 1 {
		t.Errorf("it acted %d times", steps)
	}
}

// TestAgentFrozenBetweenCheckAndAct: the agent stands still after its last check for as long as it likes; its
// permit counts all the while, so what it does then is one of those that were counted.
func TestAgentFrozenBetweenCheckAndAct(t *testing.T) {
	t.Parallel()
	c, h1, h2, _ := three(t)
	h1.FreezeBeforeActing()
	h1.Ask("web")
	c.Eventually("it stands still", h1.Frozen)
	c.Eventually("it is lost", func() bool { return c.Lost("h1") })
	pause := c.Pause()
	h2.Ask("web").Refused("paused")
	c.Resume(pause)
	h2.Ask("web").Refused("cap")
	h1.Thaw() // and now it acts, a pause and a loss later
	c.Eventually("it acts", func() bool { return h1.Steps() == 1 })
	h1.Finish()
	c.Eventually("it is settled", func() bool { return c.Permits() == 0 })
	h2.Ask("web").Acts()
}

// TestRestoreReissuesToken: a controller that was restored from before a permit was given counts what the agent
// says that it runs, is paused, and gives no token again.
func TestRestoreReissuesToken(t *testing.T) {
	t.Parallel()
	c, h1, h2, h3 := three(t)
	backup := c.Backup()
	h1.Ask("web").Acts()
	c.Restore(backup)
	for _, h := range []*Host{h1, h2, h3} {
		c.Eventually("everybody has said hello again", func() bool { return h.Live() && !c.Awaited(h.Machine.ID) })
	}
	c.Eventually("what runs counts", func() bool { return slices.Equal(c.Counted("web"), []string{"h1"}) })
	h2.Ask("web").Refused("paused")
	if r := c.Resume("all"); r.GetRefusal() != nil {
		t.Fatalf("everybody is there, and it cannot be resumed: %v", r)
	}
	h2.Ask("web").Refused("cap")
	h1.Finish()
	c.Eventually("it is settled", func() bool { return c.Permits() == 0 })
	h1.Ask("web").Acts() // the witness and the auditor compare its token with the one from before
}

// TestOneNodeDiskRolledBack: the disk of an only node is an older copy, and nobody knows. The first agent that
// shows that it has seen more begins a generation, in which everything is paused.
func TestOneNodeDiskRolledBack(t *testing.T) {
	t.Parallel()
	c := New(t, 1)
	h1, h2 := c.Host("h1", "web"), c.Host("h2", "web")
	ready(c, h1, h2)
	old := c.CopyDisk()
	h1.Ask("web").Acts()
	before := c.Generation()
	c.RollBack(old)
	c.Eventually("a new generation begins", func() bool { return c.Generation() != before })
	c.Eventually("what runs counts", func() bool { return slices.Equal(c.Counted("web"), []string{"h1"}) })
	c.Eventually("h2 has said hello in it", func() bool { return h2.Live() && !c.Awaited("h2") })
	h2.Ask("web").Refused("paused")
}

// TestDisks: a leader whose disk is full hands over or waits, and loses nothing; a disk that stalls holds up
// only what needs it.
func TestDisks(t *testing.T) {
	t.Parallel()
	c, h1, h2, _ := three(t)
	full := c.Leader()
	full.Store.Fail(nodetest.ErrFull)
	h1.Ask("web").Acts()
	full.Store.Fail(nil)
	var asked *Attempt
	c.Eventually("h2 asks while the disk stands still", func() (ok bool) {
		c.Eventually("h2 has a session", h2.Live)
		resume := c.Leader().Store.Stall()
		defer resume()
		asked, ok = h2.TryAsk("web")
		return ok
	})
	asked.Refused("cap")
}

// TestGrantThatComesLate: a permit whose time to begin was over before it came is given back, and the host asks again.
func TestGrantThatComesLate(t *testing.T) {
	t.Parallel()
	c, h1, _, _ := three(t)
	resume := c.Leader().Store.Stall()
	defer resume()
	asked := h1.Ask("web")
	begun := c.glass.now()
	c.Eventually("its time to begin is over", func() bool { return c.glass.now()-begun > permit.StartBy })
	resume()
	asked.Acts()
	if steps := h1.Steps(); steps != 1 {
		t.Errorf("it acted %d times", steps)
	}
}
