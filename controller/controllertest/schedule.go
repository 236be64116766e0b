package controllertest

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/salveops/salve/controller/controllertest/model"
	"github.com/salveops/salve/controller/controllertest/spec"
	"github.com/salveops/salve/controller/internal/node/nodetest"
	"github.com/salveops/salve/controller/internal/state"
	"github.com/salveops/salve/proto/logpb"
)

// Fate does to a cluster what happens to clusters, by the dice of a seed.
type Fate struct {
	c     *Cluster
	dice  *rand.Rand
	ended []func() // ends of faults that go on
	said  int      // by people

	backup []byte // of the controller
}

// NewFate is the one of a seed.
func NewFate(c *Cluster, seed uint64) *Fate {
	return &Fate{c: c, dice: rand.New(rand.NewPCG(seed, 2))}
}

// turn is something that fate may do.
type turn struct {
	weight int
	do     func(f *Fate)
}

// wants are what agents and people do by themselves; faults are what befalls them.
var (
	wants = []turn{
		{60, (*Fate).want},
		{12, func(f *Fate) {
			f.host().Set("web", pick(f, []model.Health{model.Well, model.Well, model.Sick, model.Down, model.Held}))
		}},
		{3, func(f *Fate) { f.order(f.pause()) }},
		{24, func(f *Fate) { f.order(f.resume()) }},
		{4, (*Fate).revoke},
		{6, (*Fate).force},
		{3, func(f *Fate) { f.order(web(uint32(1+f.dice.IntN(4)), f.dice.Uint64())) }},
		{6, (*Fate).list},
	}
	faults = []turn{
		{5, (*Fate).killAgent},
		{3, (*Fate).freeze},
		{2, func(f *Fate) { f.host().Reboot() }},
		{4, (*Fate).cutHost},
		{4, (*Fate).cutNodes},
		{3, (*Fate).crash},
		{2, (*Fate).disk},
		{2, func(f *Fate) {
			f.c.SetClock(f.node().Name, time.Duration(f.dice.Int64N(int64(2*365*24*time.Hour)))-365*24*time.Hour)
		}},
		{2, func(f *Fate) { f.c.net.disturb(time.Duration(f.dice.IntN(60))*time.Millisecond, f.dice.IntN(20)) }},
		{20, (*Fate).end},
	}
	// backwards is what histories are not written of: the model has no words for alerts, and counts nobody's events.
	backwards = []turn{
		{6, func(f *Fate) { f.host().Fires("slow", "web") }},
		{6, func(f *Fate) { f.host().Recover("web") }},
		{4, func(f *Fate) { f.host().Backup() }},
		{2, (*Fate).rollBack},
		{2, (*Fate).save},
		{1, (*Fate).restore},
	}
)

func pick[T any](f *Fate, from []T) T { return from[f.dice.IntN(len(from))] }

func (f *Fate) host() *Host { return pick(f, f.c.hosts) }

func (f *Fate) node() *Node { return pick(f, f.c.nodes) }

// Step lets one thing happen, and a moment pass.
func (f *Fate) Step(turns ...turn) {
	total := 0
	for _, t := range turns {
		total += t.weight
	}
	n := f.dice.IntN(total)
	for _, t := range turns {
		if n -= t.weight; n < 0 {
			t.do(f)
			break
		}
	}
	f.pass(time.Duration(f.dice.IntN(60)) * time.Millisecond)
}

// pass lets real time pass, and asserts meanwhile that nothing happens that must not.
func (f *Fate) pass(d time.Duration) {
	f.c.Check()
	<-time.After(d)
	f.c.Check()
}

// most is how many faults there are at a time: with all at once nothing happens at all.
const most = 3

// until notes how a fault ends.
func (f *Fate) until(end func()) {
	f.ended = append(f.ended, end)
	if len(f.ended) > most {
		f.end()
	}
}

// end ends one fault.
func (f *Fate) end() {
	if len(f.ended) > 0 {
		i := f.dice.IntN(len(f.ended))
		f.ended[i]()
		f.ended = slices.Delete(f.ended, i, i+1)
	}
}

// Heal ends every fault.
func (f *Fate) Heal() {
	for len(f.ended) > 0 {
		f.end()
	}
	f.c.Heal()
	for _, n := range f.c.nodes {
		f.c.Restart(n.Name)
	}
	for _, h := range f.c.hosts {
		h.Thaw()
		h.Start()
		h.Set("web", model.Well)
	}
}

func (f *Fate) want() {
	w := func(w *model.Want) {
		w.Takes = time.Duration(f.dice.Int64N(int64(3 * time.Second)))
		w.Lag = time.Duration(f.dice.Int64N(int64(time.Second)))
		w.Steps, w.Undo, w.Digest = 1+f.dice.IntN(2), f.dice.IntN(2) == 0, []byte{byte(f.dice.IntN(3))}
		if f.dice.IntN(6) == 0 {
			w.Leaves = pick(f, []model.Health{model.Sick, model.Down})
		}
	}
	f.host().TryAsk("web", w)
}

func (f *Fate) pause() *logpb.Command {
	scope := pick(f, []string{"all", "service:web", "host:" + f.host().Machine.ID})
	return &logpb.Command{What: &logpb.Command_Pause{Pause: &logpb.PauseCommand{Scope: scope, By: f.person(),
		Reason: "work"}}}
}

// person has a name of its own for each time that it says something: so histories tell one from the other.
func (f *Fate) person() string {
	f.said++
	return fmt.Sprint("ann ", f.said)
}

func (f *Fate) resume() *logpb.Command {
	scope := pick(f, []string{"all", "service:web", "host:" + f.host().Machine.ID})
	return &logpb.Command{What: &logpb.Command_Resume{Resume: &logpb.ResumeCommand{Pause: scope, By: f.person()}}}
}

// order says something to a node, and does not wait for what becomes of it.
func (f *Fate) order(cmd *logpb.Command) {
	if n := f.node(); n.up {
		f.c.aside.Go(func() { _, _ = f.c.try(n, cmd) })
	}
}

func (f *Fate) revoke() {
	var open []*logpb.Permit
	f.node().fsm.View(func(s *state.State) { open = slices.Clone(s.Permits()) })
	if len(open) > 0 {
		p := pick(f, open)
		f.order(&logpb.Command{What: &logpb.Command_Revoke{Revoke: &logpb.Revoke{Token: p.GetToken(), Epoch: p.GetEpoch(),
			By: f.person(), Reason: "no"}}})
	}
}

// force says of a permit that it is over, once its process is dead and nothing that it called runs any more.
func (f *Fate) force() {
	var open []*logpb.Permit
	f.node().fsm.View(func(s *state.State) { open = slices.Clone(s.Permits()) })
	for _, p := range open {
		i := slices.IndexFunc(f.c.hosts, func(h *Host) bool { return h.Machine.ID == p.GetHost() })
		if i >= 0 && f.c.hosts[i].Dead() {
			f.order(&logpb.Command{What: &logpb.Command_ForceSettle{ForceSettle: &logpb.ForceSettle{Token: p.GetToken(),
				Epoch: p.GetEpoch(), By: f.person(), Reason: "looked at it"}}})
			return
		}
	}
}

// list reads which permits are open, as the operators' API does: from a leader that has made sure of it.
func (f *Fate) list() {
	n := f.node()
	if !n.up {
		return
	}
	f.c.aside.Go(func() { f.c.list(n) })
}

func (f *Fate) killAgent() {
	h := f.host()
	h.Kill()
	f.until(h.Start)
}

// rollBack puts an older journal under an agent.
func (f *Fate) rollBack() {
	h := f.host()
	h.RollBack()
	f.until(h.Start)
}

// save makes a backup of the controller, from a node that may be behind.
func (f *Fate) save() {
	var b bytes.Buffer
	if n := f.node(); n.up && n.node.Backup(&b) == nil {
		f.backup = b.Bytes()
	}
}

// restore is what people do when nothing else is left, once the machines and the network are well.
func (f *Fate) restore() {
	if f.backup != nil {
		f.Heal()
		f.c.Restore(f.backup)
	}
}

func (f *Fate) freeze() {
	h := f.host()
	h.Freeze()
	f.until(h.Thaw)
}

// cutHost cuts a host off from a node, or one way of it.
func (f *Fate) cutHost() {
	h, n := f.host().Machine.ID, f.node().Name
	ways := []link{{h, n}, {n, h}}
	if f.dice.IntN(2) == 0 {
		ways = ways[f.dice.IntN(2):][:1]
	}
	f.cut(ways...)
}

// cutNodes cuts one node off from the others, or one way of it.
func (f *Fate) cutNodes() {
	n := f.node()
	one := f.dice.IntN(3)
	var ways []link
	for _, o := range f.c.nodes {
		if o != n && one != 0 {
			ways = append(ways, link{n.Name, o.Name})
		}
		if o != n && one != 1 {
			ways = append(ways, link{o.Name, n.Name})
		}
	}
	f.cut(ways...)
}

func (f *Fate) cut(ways ...link) {
	f.c.tell("cut: %v", ways)
	set := func(is bool) {
		f.c.net.set(func(cut map[link]bool) {
			for _, w := range ways {
				cut[w] = is
			}
		})
	}
	set(true)
	f.until(func() {
		f.c.tell("open again: %v", ways)
		set(false)
	})
}

func (f *Fate) crash() {
	n := f.node()
	f.c.Crash(n.Name)
	f.until(func() { f.c.Restart(n.Name) })
}

// disk makes the disk of a node full, slow, or stand still; one that is down would not come up before its end.
func (f *Fate) disk() {
	n := f.node()
	if !n.up {
		return
	}
	s := n.Store
	switch f.dice.IntN(3) {
	case 0:
		f.c.tell("the disk of %s is full", n.Name)
		s.Fail(nodetest.ErrFull)
		f.until(func() { s.Fail(nil) })
	case 1:
		f.c.tell("the disk of %s is slow", n.Name)
		s.Slow(time.Duration(f.dice.IntN(100)) * time.Millisecond)
		f.until(func() { s.Slow(0) })
	default:
		f.c.tell("the disk of %s stands still", n.Name)
		f.until(s.Stall())
	}
}

// web is a configuration with a cap for the service "web".
func web(most uint32, digest uint64) *logpb.Command {
	return &logpb.Command{What: &logpb.Command_Configure{Configure: &logpb.Configure{By: "a", Config: &logpb.Config{
		Digest: fmt.Append(nil, digest), Services: []*logpb.Service{{Name: "web", MaxUnavailable: &most, Autonomy: "full"}},
		Escalations: []*logpb.Escalation{{Name: "default", Steps: []*logpb.Step{{Notify: []string{"slack.ops"}}}}},
	}}}}
}

// list reads which permits are open and writes it into the history.
func (c *Cluster) list(n *Node) {
	c.mu.Lock()
	seen := c.history.Call(c.nanos(), spec.List{})
	c.mu.Unlock()
	var out any = spec.Never{}
	ctx, cancel := c.within(3 * time.Second)
	defer cancel()
	if leads, _ := n.arbiter.Leads(); leads && n.node.VerifyLeader(ctx) == nil { // it has passed the barrier of its term
		n.fsm.View(func(s *state.State) { out = spec.Tokens(s.Permits()) })
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	seen(c.nanos(), out)
}
