// Package controllertest runs a whole cluster in one process: controllers made of the product's own parts,
// hosts with model agents that speak with them over gRPC, a network that can be cut in every direction, disks
// that fail, and clocks that are wrong. It reads like the requirement:
//
//	c := controllertest.New(t, 3)
//	web := c.Host("web-1", "web")
//	c.Partition("a | b, c")
//	web.Ask("web")
//
// Whatever happens, a witness and an auditor assert that nothing happens that must not: see Cluster.Check.
package controllertest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
	"google.golang.org/protobuf/proto"

	"github.com/salveops/salve/controller/controllertest/audit"
	"github.com/salveops/salve/controller/controllertest/model"
	"github.com/salveops/salve/controller/controllertest/spec"
	"github.com/salveops/salve/controller/internal/arbiter"
	"github.com/salveops/salve/controller/internal/fsm"
	"github.com/salveops/salve/controller/internal/node/nodetest"
	"github.com/salveops/salve/controller/internal/state"
	sender "github.com/salveops/salve/pkg/notify"
	"github.com/salveops/salve/proto/logpb"
)

// patience is how long a test waits for what must come, in real time. The end of a page takes a quarter of a minute
// without an election, of which a busy machine makes many.
const patience = 2 * time.Minute

// Cluster is controllers, hosts, and what lies between them.
type Cluster struct {
	t     testing.TB
	log   hclog.Logger
	glass *hourglass
	net   *network
	dir   string
	ctx   context.Context

	aside sync.WaitGroup // what was said to a node, and nobody waits for

	nodes  []*Node
	wires  map[string]*wire
	retold []reader // of logs: those of crashed nodes, too

	mu      sync.Mutex // of all below, and of machines and agents
	witness *model.Witness
	audit   *audit.Auditor
	index   uint64 // entries up to here are audited
	hosts   []*Host
	mail    []sender.Message // that people got
	wrong   []string
	history *spec.History
	wants   int
	counts  map[string]int // what the log said how often

	appended int64 // when the newest audited entry, or one before it, came into a leader's log
	story    []string
}

// reader is a log, and the replica that has applied a part of it.
type reader struct {
	replica *fsm.FSM
	store   *nodetest.MemStore
}

// applied is the last entry that a replica has applied.
func applied(f *fsm.FSM) (index uint64) {
	f.View(func(s *state.State) { index = s.Index() })
	return index
}

// Names of nodes, in order.
var names = []string{"a", "b", "c", "d", "e"}

// New is a cluster of so many nodes, with a leader.
func New(t testing.TB, nodes int) *Cluster {
	t.Helper()
	c := &Cluster{t: t, glass: &hourglass{begun: time.Now()}, net: newNetwork(1), dir: t.TempDir(), ctx: t.Context(),
		wires: map[string]*wire{}, counts: map[string]int{}, witness: model.NewWitness()}
	c.log = hclogger(lines{t})
	c.audit = audit.New(c.witness)
	c.witness.Called = func(j *model.Job, m *model.Machine) {
		c.pull()
		c.note("%s is called", j)
		if !m.Forgot {
			c.audit.Step(j, m.ID)
		}
	}
	for _, name := range names[:nodes] {
		n := &Node{Name: name, c: c, Store: nodetest.NewMemStore(), snaps: nodetest.NewMemSnapshots(),
			clock:  &nodeClock{h: c.glass, name: name},
			config: &logpb.Config{Digest: []byte("the first")}}
		c.nodes = append(c.nodes, n)
	}
	for _, n := range c.nodes {
		if err := n.start(); err != nil {
			t.Fatal(err)
		}
		c.retold = append(c.retold, reader{n.fsm, n.Store})
	}
	t.Cleanup(c.end)
	c.Leader()
	return c
}

// end stops everything, and asks one last time whether all is well.
func (c *Cluster) end() {
	if wrong := c.problems(); len(wrong) > 0 {
		c.t.Errorf("WRONG: %s", wrong[0])
	}
	c.aside.Wait()
	for _, h := range c.hosts {
		h.retire()
	}
	for _, n := range c.nodes {
		if n.up {
			n.Store.Crash() // whoever still waits for a disk that stands still waits no more
			n.stop()
		}
	}
	if c.t.Failed() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.t.Logf("the last that happened:\n%s", strings.Join(c.story[max(0, len(c.story)-50):], "\n"))
	}
}

func (c *Cluster) members() []raft.Server {
	var out []raft.Server
	for _, n := range c.nodes {
		out = append(out, raft.Server{Suffrage: raft.Voter, ID: raft.ServerID(n.Name), Address: raft.ServerAddress(n.Name)})
	}
	return out
}

// plug gives a node a new wire, connected with all that there are.
func (c *Cluster) plug(name string) {
	w := newWire(c.net, name)
	for other, o := range c.wires {
		if other != name {
			w.Connect(raft.ServerAddress(other), o.InmemTransport)
			o.Connect(raft.ServerAddress(name), w.InmemTransport)
		}
	}
	c.wires[name] = w
}

// Node is the one of that name.
func (c *Cluster) Node(name string) *Node {
	c.t.Helper()
	for _, n := range c.nodes {
		if n.Name == name {
			return n
		}
	}
	c.t.Fatalf("there is no node %s", name)
	return nil
}

// Leader waits for a node that leads and takes commands, and knows that it does.
func (c *Cluster) Leader() *Node {
	c.t.Helper()
	var leader *Node
	c.Eventually("somebody leads", func() bool {
		for _, n := range c.nodes {
			if !n.up {
				continue
			}
			if leads, _ := n.arbiter.Leads(); !leads {
				continue
			}
			ctx, cancel := context.WithTimeout(c.ctx, time.Second)
			err := n.node.VerifyLeader(ctx)
			cancel()
			if err == nil {
				leader = n
				return true
			}
		}
		return false
	})
	return leader
}

// Crash ends a node as a power cut does: what it had not written is lost.
func (c *Cluster) Crash(name string) {
	n := c.Node(name)
	if !n.up {
		return
	}
	c.tell("%s crashes", name)
	c.mu.Lock() // whoever acts by what this node has still told him finds it in the log
	n.Store = n.Store.Crash()
	c.retold = append(c.retold, reader{n.fsm, n.Store})
	c.mu.Unlock()
	n.stop()
}

// Restart opens a node on what its disk has.
func (c *Cluster) Restart(name string) {
	c.t.Helper()
	n := c.Node(name)
	if n.up {
		return
	}
	c.tell("%s is up again", name)
	if err := n.start(); err != nil {
		c.t.Fatal(err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.retold = append(c.retold, reader{n.fsm, n.Store})
}

// Partition cuts both ways between groups of nodes and hosts: "a | b, c, web-1". Who is not named speaks with
// everybody.
func (c *Cluster) Partition(groups string) {
	c.tell("partition: %s", groups)
	of := map[string]int{}
	for i, group := range strings.Split(groups, "|") {
		for _, name := range strings.Split(group, ",") {
			of[strings.TrimSpace(name)] = i
		}
	}
	c.net.set(func(cut map[link]bool) {
		for x := range of {
			for y := range of {
				if of[x] != of[y] {
					cut[link{x, y}] = true
				}
			}
		}
	})
}

// Cut cuts one way only.
func (c *Cluster) Cut(from, to string) {
	c.tell("cut: %s → %s", from, to)
	c.net.set(func(cut map[link]bool) { cut[link{from, to}] = true })
}

// Heal opens every way.
func (c *Cluster) Heal() {
	c.tell("healed")
	c.net.set(func(cut map[link]bool) { clear(cut) })
	c.net.disturb(0, 0)
}

// SetClock sets the time of day of a node off by so much. Its other clock goes on.
func (c *Cluster) SetClock(name string, off time.Duration) {
	c.tell("the clock of %s is off by %v", name, off)
	c.Node(name).clock.set(off)
}

// Order brings a command into the log through whoever leads, and returns the answer. It tries again until it is
// known to be there: what people do by hand they do until they see it done.
func (c *Cluster) Order(cmd *logpb.Command) *logpb.Result {
	c.t.Helper()
	var r *logpb.Result
	c.Eventually("a command is committed", func() bool {
		var err error
		r, err = c.try(c.Leader(), cmd)
		return err == nil
	})
	return r
}

func (c *Cluster) within(d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(c.ctx, d)
}

// try proposes once.
func (c *Cluster) try(n *Node, cmd *logpb.Command) (*logpb.Result, error) {
	ctx, cancel := c.within(3 * time.Second)
	defer cancel()
	c.mu.Lock()
	seen := c.history.Call(c.nanos(), cmd)
	c.mu.Unlock()
	r, _, err := n.arbiter.Propose(ctx, cmd)
	c.mu.Lock()
	defer c.mu.Unlock()
	var other arbiter.ErrNotLeader
	switch {
	case err == nil:
		seen(c.nanos(), r)
	case errors.As(err, &other), errors.Is(err, arbiter.ErrBusy),
		errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, arbiter.ErrUnknownOutcome):
		seen(c.nanos(), spec.Never{})
	}
	return r, err
}

// nanos is real time as histories have it.
func (c *Cluster) nanos() int64 { return int64(time.Since(c.glass.begun)) }

// View reads the state of whoever leads.
func (c *Cluster) View(f func(*state.State)) {
	c.t.Helper()
	c.Leader().fsm.View(f)
}

// Eventually waits until something holds. What must never be is asserted all the while.
func (c *Cluster) Eventually(what string, holds func() bool) {
	c.t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		c.Check()
		select {
		case <-tick.C:
		case <-deadline:
			c.t.Fatalf("in vain: %s", what)
		}
	}
}

// Check fails the test if anything has happened that must not: more hosts acting than the cap, by what really
// runs; a token used twice; an answer that the rules of permits do not give; a replica that must stop.
func (c *Cluster) Check() {
	c.t.Helper()
	if wrong := c.problems(); len(wrong) > 0 {
		c.t.Fatalf("WRONG: %s", wrong[0])
	}
}

func (c *Cluster) problems() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pull()
	return append(slices.Clone(c.wrong), c.audit.Wrong()...)
}

// pull audits what was committed since. Every replica applies the same entries, so any that has them will do,
// those of crashed nodes, too.
func (c *Cluster) pull() {
	for _, r := range c.retold {
		c.pullFrom(r.store, applied(r.replica))
	}
}

// pullFrom audits entries of a log up to one that is committed. Where an entry is missing, another log has it.
func (c *Cluster) pullFrom(store *nodetest.MemStore, to uint64) {
	for c.index < to {
		l := new(raft.Log)
		if err := store.GetLog(c.index+1, l); err != nil {
			return
		}
		c.index++
		if l.Type == raft.LogCommand {
			c.apply(l)
		}
	}
}

// apply audits one entry.
func (c *Cluster) apply(l *raft.Log) {
	e := new(logpb.Entry)
	if err := proto.Unmarshal(l.Data, e); err != nil {
		c.wrong = append(c.wrong, fmt.Sprintf("entry %d cannot be read: %v", l.Index, err))
		return
	}
	c.appended = max(c.appended, int64(l.AppendedAt.Sub(c.glass.begun)))
	results := c.audit.Apply(l.Index, e)
	for i, cmd := range e.GetCommands() {
		if i < len(results) && cmd.GetConfirmStanding() == nil && cmd.GetTick() == nil {
			c.note("#%d %v → %v", l.Index, cmd, results[i])
		}
		if cmd.GetEdges() != nil || cmd.GetConfirmStanding() != nil { // no client hears an answer
			c.history.Call(c.appended, cmd)(c.nanos(), results[i])
		} else {
			c.counts[said(cmd, results[i])]++
			c.history.Landed(c.appended, c.nanos(), cmd)
		}
	}
}

// said is what a command asked for, and what became of it.
func said(cmd *logpb.Command, r *logpb.Result) string {
	what, _, _ := strings.Cut(cmd.String(), ":")
	if r.GetRefusal() != nil {
		what += " ✗ " + r.GetRefusal().GetCode()
	}
	return what
}

// acted is how many steps were called on all machines.
func (c *Cluster) acted() (n int) {
	for _, h := range c.hosts {
		n += h.Machine.Calls
	}
	return n
}

func (c *Cluster) complain(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wrong = append(c.wrong, fmt.Sprintf(format, args...))
}

// Disk is a copy of the disk of an only node, with what was audited by then.
type Disk struct {
	store *nodetest.MemStore
	snaps *nodetest.MemSnapshots
	audit audit.Copy
	index uint64
}

// CopyDisk copies the disk of an only node on which nothing is going on.
func (c *Cluster) CopyDisk() Disk {
	n := c.nodes[0]
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pull()
	return Disk{n.Store.Copy(), n.snaps.Copy(), c.audit.Copy(), c.index}
}

// RollBack crashes the only node and starts it on an older disk. Nobody is told.
func (c *Cluster) RollBack(d Disk) {
	c.t.Helper()
	n := c.nodes[0]
	c.Crash(n.Name)
	c.tell("its disk is an older one now: entry %d", d.index)
	c.mu.Lock()
	n.Store, n.snaps = d.store.Copy(), d.snaps.Copy()
	c.index, c.retold = d.index, nil
	c.audit.Restored(d.audit, true)
	c.mu.Unlock()
	c.Restart(n.Name)
}

// Backup is the whole state, as `salve raft snapshot` writes it.
func (c *Cluster) Backup() []byte {
	c.t.Helper()
	var b bytes.Buffer
	if err := c.Leader().node.Backup(&b); err != nil {
		c.t.Fatal(err)
	}
	return b.Bytes()
}

// Restore replaces the state of the whole cluster by a backup. It tries again until that is done.
func (c *Cluster) Restore(backup []byte) {
	c.t.Helper()
	c.Leader()
	c.mu.Lock() // nobody acts meanwhile
	defer c.mu.Unlock()
	c.note("restored from a backup")
	deadline := time.Now().Add(patience)
	for i := 0; ; i++ {
		n := c.nodes[i%len(c.nodes)]
		err := c.restore(n, backup)
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			c.t.Fatalf("restore: %v", err)
		}
		pause(20*time.Millisecond, nil)
	}
}

// restore tries it through one node. What was committed before is audited, and nothing of what nobody has heard.
func (c *Cluster) restore(n *Node, backup []byte) error {
	if leads, _ := n.arbiter.Leads(); !leads || !n.up {
		return errors.New("it does not lead")
	}
	ctx, cancel := c.within(patience / 4)
	defer cancel()
	if _, err := n.arbiter.Restore(ctx, bytes.NewReader(backup), "ann"); err != nil {
		return err
	}
	c.pullFrom(n.Store, applied(n.fsm)) // to the gap that a restore leaves in the log
	n.fsm.View(func(s *state.State) {
		c.index = s.Index()
		c.audit.Restored(audit.Copy{Snapshot: s.Snapshot()}, false)
	})
	c.retold = []reader{{n.fsm, n.Store}}
	for _, o := range c.nodes {
		if o != n && o.up {
			c.retold = append(c.retold, reader{o.fsm, o.Store})
		}
	}
	return nil
}

// tell adds to the story that a failure tells.
func (c *Cluster) tell(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.note(format, args...)
}

// note is tell with the lock held.
func (c *Cluster) note(format string, args ...any) {
	c.story = append(c.story, fmt.Sprintf("%9.3fs  ", (c.glass.now()-time.Hour).Seconds())+fmt.Sprintf(format, args...))
}

// lines is the test's log as a writer.
type lines struct{ t testing.TB }

func (l lines) Write(b []byte) (int, error) {
	l.t.Helper()
	l.t.Log(strings.TrimSpace(string(b)))
	return len(b), nil
}
