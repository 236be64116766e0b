package state

import (
	"testing"

	"github.com/salveops/salve/proto/logpb"
)

const nextGeneration = "22222222222222222222222222222222"

// The same nonce is the same hello: its answer was lost, and the epoch is the one that was given.
func TestHelloAnswerLost(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	c := f.greet("a", "web")
	first, again := f.must(c).GetWelcome(), f.must(c).GetWelcome()
	if first.GetEpoch() != again.GetEpoch() || first.GetEpoch() == 0 {
		t.Errorf("epochs %d and %d for one hello", first.GetEpoch(), again.GetEpoch())
	}
	if next := f.hello("a", "web"); next.GetEpoch() <= first.GetEpoch() {
		// The agent did not learn the epoch, and says so with its last one: see TestJournalGoesBack.
		t.Errorf("epoch %d after %d", next.GetEpoch(), first.GetEpoch())
	}
}

// TestClone: another machine under the same ID is turned away, and the host is out until a person says
// which one is meant.
func TestClone(t *testing.T) {
	t.Parallel()
	for name, twin := range map[string]func(*logpb.Hello){
		"fingerprint": func(h *logpb.Hello) { h.Fingerprint = "another machine" },
		"both answer": func(h *logpb.Hello) { h.BootId, h.Twin = "boot-2", true },
	} {
		t.Run(name, func(t *testing.T) {
			f := newFleet(t)
			f.hello("a", "web")
			f.hello("b", "web")
			f.hello("c", "web")
			c := f.greet("a", "web")
			twin(c.GetHello())
			f.code("quarantined", f.apply(c))
			f.refused("quarantined", "a", "web")
			f.refused("cap", "b", "web")
			f.code("quarantined", f.apply(f.greet("a", "web")))
			f.must(&logpb.Command{What: &logpb.Command_AdoptHost{AdoptHost: &logpb.AdoptHost{Host: "a", By: "ann",
				Fingerprint: "print of a"}}})
			f.hello("a", "web")
			f.granted("b", "web")
			f.indices()
		})
	}
}

// A machine that was rebooted is not a second one.
func TestReboot(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	f.hello("a", "web")
	c := f.greet("a", "web")
	c.GetHello().BootId = "boot-2"
	f.must(c)
}

// TestRename: the name may change, the host is the same; and another host may take the old name.
func TestRename(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	for _, h := range []string{"a", "b", "c"} {
		f.hello(h, "web")
	}
	g := f.granted("a", "web")
	c := f.greet("a", "web")
	c.GetHello().Name = "z"
	f.epoch["a"] = f.must(c).GetWelcome().GetEpoch()
	d := f.greet("b", "web")
	d.GetHello().Name = "a"
	f.epoch["b"] = f.must(d).GetWelcome().GetEpoch()
	f.code("epoch", f.apply(f.settles("b", g, servingAgain)))
	f.n["b"] = 0
	f.refused("cap", "b", "web")
	f.settle("a", g, servingAgain)
}

// TestRemoveReaddLateGrant: a removed ID stays dead, with every session and permit of it.
func TestRemoveReaddLateGrant(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	for _, h := range []string{"a", "b", "c"} {
		f.hello(h, "web")
	}
	late := f.ask("a", "web")
	g := f.must(late).GetGrant()
	remove := &logpb.RemoveHost{Host: "a", By: "ann"}
	r := f.code("acting", f.apply(&logpb.Command{What: &logpb.Command_RemoveHost{RemoveHost: remove}}))
	if len(r.GetHolders()) != 1 {
		t.Errorf("the refusal names %v, want the open permit", r.GetHolders())
	}
	remove.Gone = true
	f.must(&logpb.Command{What: &logpb.Command_RemoveHost{RemoveHost: remove}})
	f.code("removed", f.apply(late))
	f.code("removed", f.apply(f.settles("a", g, servingAgain)))
	f.code("removed", f.apply(f.greet("a", "web")))
	if v := f.s.Service("web"); v.N != 2 || len(v.Acting) != 0 {
		t.Errorf("after the removal: %+v", v)
	}
	f.granted("b", "web")
	f.indices()
}

// TestJournalGoesBack: an agent whose epoch or event number is behind has an old journal: it gets an event
// stream of its own, and what it had open is unknown.
func TestJournalGoesBack(t *testing.T) {
	t.Parallel()
	for name, back := range map[string]func(*fleet, *logpb.Hello){
		"epoch": func(_ *fleet, h *logpb.Hello) { h.LastEpoch = 0 },
		"event": func(f *fleet, h *logpb.Hello) { f.s.hosts["a"].Mark, h.LastEvent = 7, 6 },
		"lost":  func(_ *fleet, h *logpb.Hello) { h.Stream, h.LastEvent = "a new journal", 0 },
	} {
		t.Run(name, func(t *testing.T) {
			f := newFleet(t)
			for _, h := range []string{"a", "b", "c"} {
				f.hello(h, "web")
			}
			g := f.granted("a", "web")
			c := f.greet("a", "web")
			back(f, c.GetHello())
			w := f.must(c).GetWelcome()
			if w.GetStream() == "stream of a" || w.GetMark() != 0 {
				t.Errorf("the agent goes on with stream %q after %d", w.GetStream(), w.GetMark())
			}
			if p := f.s.Permit(g.GetToken()); !p.GetUnknown() {
				t.Errorf("the open attempt is %v, want it unknown", p)
			}
			f.refused("cap", "b", "web")
		})
	}
}

// TestOneNodeDiskRolledBack: an agent that has seen more of the log than there is proves that the
// controller went back in time. A new generation begins, paused.
func TestOneNodeDiskRolledBack(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	f.hello("a", "web")
	f.hello("b", "web")
	old := f.s.Snapshot()
	g := f.granted("a", "web")
	seen := f.index
	f.s, _ = Restore(old) // the disk of the only node, as it was
	f.index = old.GetIndex()
	c := f.greet("a", "web")
	c.GetHello().Index = seen
	c.GetHello().Running = []*logpb.Running{{Token: g.GetToken(), Epoch: g.GetEpoch(), Remedy: "restart-app", Rule: "slow",
		Targets: []*logpb.Target{{Service: "web", Host: "a"}}}}
	generation := f.s.generation
	w := f.must(c).GetWelcome()
	if w.GetGeneration() == generation {
		t.Fatal("the generation is the old one")
	}
	f.epoch["a"] = w.GetEpoch()
	f.acting("web", "a")
	f.refused("awaited", "b", "web")
	f.hello("b", "web")
	f.refused("paused", "b", "web")
	if len(f.s.pauses) != 1 {
		t.Errorf("pauses: %v", f.s.pauses)
	}
	f.indices()
}

// TestRestoreReissuesToken: tokens of a restored controller are of another generation, whatever the count.
func TestRestoreReissuesToken(t *testing.T) {
	t.Parallel()
	f, old, g := restored(t)
	f.settle("a", g, servingAgain) // of the older generation, entered as acting by the hello
	f.must(f.resumes(scopeAll))
	again := f.granted("a", "web")
	if sameToken(g, again) {
		t.Errorf("the restored controller gave %v again", again)
	}
	if again.GetEpoch() == g.GetEpoch() {
		t.Errorf("epoch %d was given twice", g.GetEpoch())
	}
	_ = old
}

// TestOldSettleNewGeneration: a settlement of the older generation ends no permit of the newer one.
func TestOldSettleNewGeneration(t *testing.T) {
	t.Parallel()
	f, _, g := restored(t)
	f.settle("a", g, servingAgain)
	f.must(f.resumes(scopeAll))
	again := f.granted("a", "web")
	late := f.settles("a", g, servingAgain)
	late.GetSettle().Epoch = again.GetEpoch()
	late.GetSettle().Token.N = again.GetToken().GetN()
	f.code("settled", f.apply(late))
	f.acting("web", "a")
}

// restored is a fleet whose controller was restored from before it gave a permit that still runs.
func restored(t *testing.T) (*fleet, *logpb.Snapshot, *logpb.Grant) {
	f := newFleet(t)
	f.hello("a", "web")
	f.hello("b", "web")
	old := f.s.Snapshot()
	g := f.granted("a", "web")
	f.restore(old, nextGeneration)
	f.refused("awaited", "a", "web")
	f.code("awaited", f.apply(f.resumes(scopeAll)))
	c := f.greet("a", "web")
	c.GetHello().Generation = "11111111111111111111111111111111"
	c.GetHello().Running = []*logpb.Running{{Token: g.GetToken(), Epoch: g.GetEpoch(), Remedy: "restart-app", Rule: "slow",
		Targets: []*logpb.Target{{Service: "web", Host: "a"}}}}
	f.epoch["a"] = f.must(c).GetWelcome().GetEpoch()
	f.n["a"] = 0
	f.acting("web", "a")
	f.hello("b", "web")
	return f, old, g
}
