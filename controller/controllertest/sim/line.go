package sim

import (
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/salveops/salve/controller/controllertest/model"
	"github.com/salveops/salve/proto/agentpb"
)

// way is a direction of a line.
type way int

const (
	up   way = iota // from the agent to the node
	down            // from the node to the agent
)

// session is one connection of an agent process with a node. Each end closes by itself, and what was sent
// before may still arrive.
type session struct {
	h     *host
	agent *model.Agent
	n     *node
	open  [2]bool // the end that receives in this direction
	pipe  [2]pipe
	begun time.Duration

	boot   string
	epoch  uint64 // 0: not established
	pushed uint64 // version of the standing orders sent last
	pongs  []time.Duration
}

// pipe carries one direction in order.
type pipe struct {
	waiting []parcel
	pumping bool
}

type parcel struct {
	at   time.Duration
	open func()
}

// carry brings something to the other end, some time later, or never.
func (s *session) carry(w *World, d way, what func()) {
	late := w.between(time.Millisecond, 10*time.Millisecond)
	switch {
	case w.calm:
	case w.dice.IntN(200) == 0:
		late = w.between(0, 30*time.Second)
	case w.chance(4):
		late = w.between(0, 3*time.Second)
	}
	deliver := func() {
		if s.open[d] {
			what()
		}
	}
	if !w.wild || w.calm {
		s.pipe[d].waiting = append(s.pipe[d].waiting, parcel{w.now + late, deliver})
		s.pump(w, d)
		return
	}
	if w.chance(3) {
		return // lost
	}
	w.after(late, deliver)
	if w.chance(5) {
		w.after(w.between(0, 10*time.Second), deliver)
	}
}

// pump delivers what is due. A way that is cut, and a process that stands still, hold it up.
func (s *session) pump(w *World, d way) {
	p := &s.pipe[d]
	if p.pumping || len(p.waiting) == 0 {
		return
	}
	p.pumping = true
	w.after(max(0, p.waiting[0].at-w.now), func() {
		p.pumping = false
		switch {
		case !s.open[d]:
			p.waiting = nil
			return
		case s.h.cut[d] == s.n || d == down && s.h.frozen:
			p.waiting[0].at = w.now + 300*time.Millisecond
		default:
			next := p.waiting[0].open
			p.waiting = p.waiting[1:]
			next()
		}
		s.pump(w, d)
	})
}

// hangUp closes the node's end. The agent hears of it, if the way is not cut.
func (s *session) hangUp(w *World) {
	s.open[up] = false
	s.carry(w, down, func() { s.h.drop(w, s) })
}

// connect opens a session with a node.
func (h *host) connect(w *World, n *node) {
	s := &session{h: h, agent: h.a, n: n, open: [2]bool{true, true}, begun: w.now, boot: h.m.BootID}
	h.s = s
	if n.leads {
		n.sessions = append(n.sessions, s)
	}
	h.a.Connect(func(r *agentpb.ConnectRequest) {
		r = proto.CloneOf(r)
		answer := w.called(command(r))
		s.carry(w, up, func() {
			if slices.Contains(n.sessions, s) {
				n.receive(w, s, r, answer)
			}
		})
	})
}

// say sends something to the agent. seen, if not nil, is told when it arrives.
func (s *session) say(w *World, r *agentpb.ConnectResponse, seen ...func()) {
	r = proto.CloneOf(r)
	s.carry(w, down, func() {
		if s.h.receive(w, s, r) {
			for _, f := range seen {
				f()
			}
		}
	})
}
