package sim

import (
	"fmt"
	"slices"
	"time"

	"github.com/salveops/salve/controller/controllertest/audit"
	"github.com/salveops/salve/controller/controllertest/model"
	"github.com/salveops/salve/pkg/permit"
)

// turn is something that fate may do.
type turn struct {
	weight int
	do     func(w *World, h *host)
}

// turns are drawn by their weights. The host is one that is not gone.
var turns = []turn{
	{120, want},
	{14, trouble},
	{14, recover_},
	{2, func(w *World, h *host) { w.set(h, pick(w, h.m.Services()), model.Held) }},
	{6, func(w *World, h *host) { crash(w, h) }},
	{3, reboot},
	{4, func(w *World, h *host) {
		if h.a != nil && !h.frozen {
			h.freeze(w, w.between(0, 40*time.Second))
		}
	}},
	{6, partition},
	{5, func(w *World, h *host) {
		if h.s != nil {
			h.drop(w, h.s)
		}
	}},
	{4, func(w *World, _ *host) { w.elect() }},
	{5, func(_ *World, h *host) { h.backup = append(h.backup, h.m.Disk.Copy()) }},
	{2, restoreDisk},
	{1, clone},
	{1, func(w *World, h *host) { h.m.Name = fmt.Sprintf("name-%d", w.dice.IntN(5)) }},
	{1, func(w *World, h *host) {
		h.m.Add(pick(w, services))
		if h.s != nil {
			h.drop(w, h.s) // services are told in a hello
		}
	}},
	{1, func(w *World, _ *host) {
		if len(w.present()) < 8 {
			w.enrol()
		}
	}},
	{3, func(w *World, _ *host) { w.save() }},
	{1, func(w *World, _ *host) { w.restore(w.chance(40)) }},
	{25, func(w *World, h *host) { w.person(h) }},
}

// fate lets something happen, and comes again.
func (w *World) fate() {
	if w.calm {
		return
	}
	total := 0
	for _, n := range w.weights {
		total += n
	}
	n := w.dice.IntN(total)
	for i, t := range w.turns {
		if n -= w.weights[i]; n < 0 {
			t.do(w, pick(w, w.present()))
			break
		}
	}
	w.after(w.between(0, 700*time.Millisecond), w.fate)
}

// weigh draws what this world has much of, and what never happens in it: what many kinds of faults together
// hide, few of them show.
func (w *World) weigh() {
	for i, t := range w.turns {
		n := t.weight
		if i > 0 {
			n *= pick(w, []int{0, 1, 1, 1, 5})
		}
		w.weights = append(w.weights, n)
	}
}

// present are the hosts that are not gone.
func (w *World) present() []*host {
	var out []*host
	for _, h := range w.hosts {
		if !h.gone {
			out = append(out, h)
		}
	}
	return out
}

var rules = []string{"slow", "down"}

// want lets an agent want to act.
func want(w *World, h *host) {
	if h.a == nil || h.frozen || h.a.Busy() > 2 {
		return
	}
	w.wants++
	x := model.Want{
		Service: pick(w, h.m.Services()), Rule: pick(w, rules), Remedy: "restart", Digest: []byte{byte(w.dice.IntN(3))},
		Steps: 1 + w.dice.IntN(3), Takes: w.between(0, 20*time.Second), Lag: w.between(0, 3*time.Second), Leaves: model.Well,
		Undo: w.chance(50),
	}
	x.Incident = h.m.Disk.Local(x.Service)
	switch w.dice.IntN(20) {
	case 0:
		x.Host, x.Service = true, ""
	case 1:
		other := pick(w, w.present())
		x.More = []permit.Target{{Service: pick(w, other.m.Services()), Host: other.m.ID}}
	case 2:
		x.More = []permit.Target{{Resource: "shared"}}
	case 3:
		x.By = "ann"
	case 4:
		x.StartDead = true
	}
	if w.chance(25) {
		x.Leaves = pick(w, []model.Health{model.Sick, model.Down})
	}
	id := fmt.Sprintf("%s-%d", h.m.ID, w.wants)
	if err := h.a.Want(id, x); err == nil {
		w.tell("%s wants %s for %s", h.m.ID, id, x.Service)
		h.tick(w)
	}
}

// set changes how a service is, with the alert that goes with it.
func (w *World) set(h *host, service string, is model.Health) {
	if !slices.Contains(h.m.Services(), service) {
		return
	}
	h.m.Set(service, is)
	w.tell("%s of %s is %d now", service, h.m.ID, is)
	if h.a == nil || h.frozen {
		return
	}
	if is == model.Well {
		h.a.Calm(service)
	} else {
		w.wants++
		h.a.Fire(pick(w, rules), service, fmt.Sprintf("local-%s-%d", h.m.ID, w.wants))
	}
}

func trouble(w *World, h *host) {
	is := pick(w, []model.Health{model.Sick, model.Sick, model.Down})
	w.set(h, pick(w, h.m.Services()), is)
	if w.chance(15) { // it has a common cause
		for _, o := range w.present() {
			w.set(o, "web", is)
		}
	}
}

func recover_(w *World, h *host) { w.set(h, pick(w, h.m.Services()), model.Well) }

// crash ends an agent process and begins another one, at once or later.
func crash(w *World, h *host) {
	h.die(w)
	w.after(w.between(0, 20*time.Second), func() { h.start(w) })
}

func reboot(w *World, h *host) {
	h.powerOff(w)
	w.after(w.between(time.Second, 60*time.Second), func() { h.powerOn(w) })
}

// partition cuts a host from a node, or one way of it.
func partition(w *World, h *host) {
	n := pick(w, w.raft.nodes[:])
	if w.raft.leader != nil && w.chance(70) {
		n = w.raft.leader
	}
	d := pick(w, []way{up, down})
	both := w.chance(50)
	h.cut[d] = n
	if both {
		h.cut = [2]*node{n, n}
	}
	w.tell("%s is cut from %s (way %d, both %t)", h.m.ID, n.name, d, both)
	w.after(w.between(0, 60*time.Second), func() { h.cut = [2]*node{} })
}

// restoreDisk puts an older copy of its journal under an agent.
func restoreDisk(w *World, h *host) {
	if len(h.backup) == 0 {
		return
	}
	h.die(w)
	h.m.Disk, h.m.Forgot = pick(w, h.backup).Copy(), true
	w.tell("the journal of %s is an older one now", h.m.ID)
	w.after(w.between(0, 10*time.Second), func() { h.start(w) })
}

// clone is a machine with the disk of another one, and so with its identity. What acts on it, if a person
// takes it for the host, begins after the other one is off.
func clone(w *World, h *host) {
	c := &host{clone: true, m: model.NewMachine(w.Witness, func() time.Duration { return w.now }, h.m.ID,
		h.m.Services()...)}
	c.m.Forgot = true
	c.m.Disk, c.m.BootID = h.m.Disk.Copy(), h.m.ID+" boot 1000"
	c.m.Fingerprint = fmt.Sprintf("print %d", w.dice.IntN(1000))
	for _, o := range w.hosts {
		if o != h && o.m.ID == h.m.ID && !o.gone {
			return // one is enough
		}
	}
	w.hosts = append(w.hosts, c)
	w.tell("%s has a clone", h.m.ID)
	c.start(w)
	w.after(w.between(0, 60*time.Second), func() {
		if c.gone || h.gone {
			return
		}
		gone := c
		if w.chance(30) {
			gone = h
		}
		gone.vanish(w)
		w.tell("one of the two %s is gone: the clone %t", h.m.ID, gone == c)
		h.clone, c.clone = false, false
	})
}

// save keeps a snapshot of the controller.
func (w *World) save() {
	w.old = append(w.old, w.Audit.Copy())
	if len(w.old) > 8 {
		w.old = w.old[1:]
	}
}

// restore lets the controller go on from an older snapshot: in a new generation, or without anybody's
// knowledge, as when the disk of an only node is rolled back.
func (w *World) restore(silently bool) {
	if len(w.old) == 0 {
		return
	}
	old := pick(w, w.old)
	if silently && old.GetGeneration() != w.state().Generation() {
		return // agents have left it and do not come back: nothing works until a person makes a new one
	}
	w.tell("the controller goes on from entry %d, silently: %t", old.GetIndex(), silently)
	w.raft.pending = nil
	for _, n := range w.raft.nodes {
		n.resign(w)
	}
	if silently {
		w.index = old.GetIndex()
		w.logTime, w.stamped = time.Duration(old.GetAt()), w.now
	}
	w.Audit.Restored(old, silently)
	if !silently {
		w.enter(newGeneration(w.generation()))
	}
	w.old = []audit.Copy{old}
	for _, h := range w.present() {
		if h.clone { // a log that does not know the fingerprint cannot tell the two apart: a person has to
			h.vanish(w)
		}
	}
	w.raft.leader = nil
	w.elect()
}
