package sim

import (
	"fmt"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/salveops/salve/proto/logpb"
)

// raft is what a log looks like from outside: proposals wait until a majority has them; a leader that is lost
// takes some of them with it, and nobody learns what became of the others.
type raft struct {
	nodes   [3]*node
	leader  *node // nil: there is no majority
	pending []*proposal
	busy    bool // a commit is on its way
}

// proposal are commands that arrived together.
type proposal struct {
	node     *node
	commands []*logpb.Command
	reply    func([]*logpb.Result) // nil: nobody waits any more
}

// node is one controller. One that was deposed may not know that for a while.
type node struct {
	name     string
	leads    bool // so it thinks
	since    time.Duration
	sessions []*session
	heard    map[string]time.Duration // hosts → their last round trip
}

func (r *raft) start(w *World) {
	for i := range r.nodes {
		r.nodes[i] = &node{name: fmt.Sprintf("ctl-%d", i+1)}
	}
	r.leader = r.nodes[0]
	r.leader.lead(w)
}

func (n *node) lead(w *World) {
	n.leads, n.since, n.heard = true, w.now, map[string]time.Duration{}
}

// resign lets a node find out that it leads no more.
func (n *node) resign(w *World) {
	n.leads = false
	for _, s := range n.sessions {
		s.hangUp(w)
	}
	n.sessions = nil
}

// propose hands commands to the log. A deposed leader's never get there.
func (w *World) propose(n *node, reply func([]*logpb.Result), commands ...*logpb.Command) {
	if n != w.raft.leader {
		return
	}
	w.raft.pending = append(w.raft.pending, &proposal{n, commands, reply})
	w.commitSoon()
}

func (w *World) commitSoon() {
	if w.raft.busy || w.raft.leader == nil || len(w.raft.pending) == 0 {
		return
	}
	w.raft.busy = true
	d := w.between(time.Millisecond, 15*time.Millisecond)
	if w.chance(3) {
		d = w.between(0, 3*time.Second) // a slow disk
	}
	w.after(d, w.commit)
}

// commit makes one entry of what waits, or of a part of it.
func (w *World) commit() {
	w.raft.busy = false
	if w.raft.leader == nil || len(w.raft.pending) == 0 {
		return
	}
	n := len(w.raft.pending)
	if w.chance(30) {
		n = 1 + w.dice.IntN(n)
	}
	batch := w.raft.pending[:n:n]
	w.raft.pending = w.raft.pending[n:]
	var commands []*logpb.Command
	for _, p := range batch {
		commands = append(commands, p.commands...)
	}
	results := w.enter(commands...)
	for _, p := range batch {
		mine := results[:min(len(p.commands), len(results))]
		results = results[len(mine):]
		if p.reply != nil && p.node == w.raft.leader {
			p.reply(mine)
		}
	}
	w.push()
	w.commitSoon()
}

// enter appends an entry and applies it.
func (w *World) enter(commands ...*logpb.Command) []*logpb.Result {
	w.stamp()
	w.index++
	e := &logpb.Entry{Format: 1, At: int64(w.logTime), Node: "ctl", Commands: commands}
	results := w.Audit.Apply(w.index, proto.CloneOf(e))
	for i, c := range commands {
		w.count(c, results[i])
		if i < len(results) && c.GetTick() == nil && c.GetConfirmStanding() == nil {
			w.tell("#%d %v → %v", w.index, c, results[i])
		}
	}
	return results
}

// stamp moves log time on by what has passed. It never goes back, and it may run ahead of any clock.
func (w *World) stamp() {
	w.logTime = w.clock()
	w.stamped = w.now
	if w.calm {
		return
	}
	w.logTime += w.between(0, 50*time.Millisecond)
	if w.dice.IntN(2000) == 0 {
		w.logTime += 365 * 24 * time.Hour
		w.tell("the leader's clock goes a year ahead")
	}
}

// clock is what the leader would stamp an entry with.
func (w *World) clock() time.Duration { return w.logTime + w.now - w.stamped }

// elect gives the log to another leader, or to none.
func (w *World) elect() {
	old := w.raft.leader
	if old != nil {
		keep := w.dice.IntN(len(w.raft.pending) + 1)
		w.raft.pending = w.raft.pending[:keep]
		for _, p := range w.raft.pending {
			p.reply = nil
		}
		w.after(w.between(0, 5*time.Second), func() {
			if w.raft.leader != old {
				old.resign(w)
			}
		})
	}
	next := pick(w, w.raft.nodes[:])
	if w.chance(20) && !w.calm {
		next = nil
		w.after(w.between(time.Second, 20*time.Second), w.elect)
	}
	if next == old && next != nil { // it lost its office and got it back
		old.resign(w)
	}
	w.raft.leader = next
	if next == nil {
		w.tell("there is no majority")
		return
	}
	next.sessions = nil
	next.lead(w)
	w.tell("%s leads", next.name)
	w.commitSoon()
}

func (w *World) count(c *logpb.Command, r *logpb.Result) {
	what, _, _ := strings.Cut(c.String(), ":")
	if s := c.GetSettle(); s != nil {
		what += " " + s.GetSettlement().String()
	}
	if r.GetRefusal() != nil {
		what += " ✗ " + r.GetRefusal().GetCode()
	}
	w.counts[what]++
}
