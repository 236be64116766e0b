package sim

import (
	"fmt"
	"slices"
	"time"

	"github.com/salveops/salve/controller/controllertest/model"
	"github.com/salveops/salve/pkg/permit"
	"github.com/salveops/salve/proto/agentpb"
)

// host is a machine with what lives on it, and its lines to the nodes.
type host struct {
	m      *model.Machine
	a      *model.Agent // nil: dead
	s      *session     // nil: none
	cut    [2]*node     // the node to or from which nothing goes
	frozen bool
	off    bool // without power
	banned bool // a person has to do something first
	gone   bool // for ever
	clone  bool // another machine has its identity, and had it first
	backup []*model.Disk
	next   time.Duration // not to be connected before
}

var services = []string{"web", "db", "cache"}

// enrol adds a machine with an identity of its own.
func (w *World) enrol(runs ...string) {
	w.names++
	if len(runs) == 0 {
		for _, s := range services {
			if w.chance(60) {
				runs = append(runs, s)
			}
		}
		if len(runs) == 0 || w.chance(20) {
			runs = append(runs, fmt.Sprintf("only-%d", w.names)) // nobody else has it
		}
	}
	h := &host{m: model.NewMachine(w.Witness, func() time.Duration { return w.now }, fmt.Sprintf("h%02d", w.names),
		runs...)}
	w.hosts = append(w.hosts, h)
	w.tell("%s is enrolled with %v", h.m.ID, runs)
	h.start(w)
}

// start begins an agent process.
func (h *host) start(w *World) {
	if h.a != nil || h.off || h.gone {
		return
	}
	a := model.Start(h.m, w.generation)
	a.Stall = func() bool { return w.chance(3) && !w.calm }
	h.a, h.frozen = a, false
	w.tell("an agent starts on %s", h.m.ID)
	h.live(w, a)
}

// live lets a process do what is due, again and again.
func (h *host) live(w *World, a *model.Agent) {
	if h.a != a {
		return
	}
	if !h.frozen {
		h.tick(w)
	}
	w.after(w.between(200*time.Millisecond, 800*time.Millisecond), func() { h.live(w, a) })
}

// tick does what is due now.
func (h *host) tick(w *World) {
	if h.a == nil || h.frozen {
		return
	}
	v := h.a.Tick()
	h.steps(w)
	switch {
	case h.a.Frozen():
		w.tell("the agent of %s is stopped between its check and the act", h.m.ID)
		h.freeze(w, w.between(0, 40*time.Second))
	case v != model.Stay:
		h.judge(w, v)
	case h.s == nil && w.now >= h.next && !h.banned:
		h.dial(w)
	case h.s != nil && w.now-h.s.begun > permit.LostAfter && (!h.a.Live() || h.a.Silent() > permit.LostAfter):
		h.drop(w, h.s)
	}
}

// steps lets the machine go on when its next job begins or ends.
func (h *host) steps(w *World) {
	if d, any := h.m.Next(); any {
		w.after(d, func() {
			h.m.Advance()
			if d, any := h.m.Next(); any && d > 0 {
				h.steps(w)
			}
		})
	}
}

// dial tries a node: most often the one that leads.
func (h *host) dial(w *World) {
	n := pick(w, w.raft.nodes[:])
	if w.raft.leader != nil && w.chance(70) {
		n = w.raft.leader
	}
	h.next = w.now + w.between(200*time.Millisecond, 3*time.Second)
	if n.leads && h.cut[up] != n {
		h.connect(w, n)
	}
}

// receive hands a message to the process that it was sent to, and reports whether that could take it.
func (h *host) receive(w *World, s *session, r *agentpb.ConnectResponse) bool {
	if h.a != s.agent || h.s != s || h.a == nil {
		return false
	}
	if h.frozen { // of a network without order
		w.after(time.Second, func() { h.receive(w, s, r) })
		return false
	}
	h.judge(w, h.a.Receive(r))
	a := h.a
	w.after(w.between(time.Millisecond, 30*time.Millisecond), func() {
		if h.a == a {
			h.tick(w)
		}
	})
	return true
}

func (h *host) judge(w *World, v model.Verdict) {
	switch v {
	case model.Banned:
		h.banned = true
		w.tell("%s is turned away", h.m.ID)
		fallthrough
	case model.Anew, model.Leave:
		if h.s != nil {
			h.drop(w, h.s)
		}
	}
}

// drop closes the agent's end of its session.
func (h *host) drop(w *World, s *session) {
	s.open[down] = false
	if h.s != s {
		return
	}
	h.s = nil
	h.next = w.now + w.between(0, 2*time.Second)
	h.a.Cut()
	s.carry(w, up, func() { s.n.forget(s) })
}

func (n *node) forget(s *session) {
	n.sessions = slices.DeleteFunc(n.sessions, func(o *session) bool { return o == s })
}

// die ends the process. What it called goes on.
func (h *host) die(w *World) {
	if h.a == nil {
		return
	}
	w.tell("the agent of %s dies", h.m.ID)
	if s := h.s; s != nil {
		h.s = nil
		s.open[down] = false
		s.carry(w, up, func() { s.n.forget(s) })
	}
	h.a, h.frozen = nil, false
}

// freeze stops the process for a while; its machine goes on.
func (h *host) freeze(w *World, d time.Duration) {
	a := h.a
	h.frozen = true
	w.tell("the agent of %s stands still for %v", h.m.ID, d.Round(time.Millisecond))
	w.after(d, func() {
		if h.a == a && h.frozen {
			h.thaw(w)
		}
	})
}

func (h *host) thaw(w *World) {
	h.frozen = false
	h.a.Thaw()
	h.steps(w)
}

// powerOff ends everything that runs on the machine.
func (h *host) powerOff(w *World) {
	h.die(w)
	h.off = true
	h.m.Off()
	w.tell("%s is off", h.m.ID)
}

func (h *host) powerOn(w *World) {
	if !h.off || h.gone {
		return
	}
	h.off = false
	h.m.Boot()
	w.tell("%s is on again", h.m.ID)
	h.start(w)
}

// vanish takes the machine away for ever.
func (h *host) vanish(w *World) {
	h.powerOff(w)
	h.gone = true
}
