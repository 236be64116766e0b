package state

import (
	"testing"

	"github.com/salveops/salve/proto/logpb"
)

// The log went back and then grew past what the agent had seen of it: what the agent runs tells, for the log
// neither knows its token nor has given so many.
func TestRollbackShownByWhatRuns(t *testing.T) {
	t.Parallel()
	for name, next := range map[string]func(*fleet){
		"the token was not given":    func(*fleet) {},
		"another host has its token": func(f *fleet) { f.granted("b", "web") },
		"another host had its token": func(f *fleet) { f.settle("b", f.granted("b", "web"), servingAgain) },
	} {
		t.Run(name, func(t *testing.T) {
			f := newFleet(t)
			f.hello("a", "web")
			f.hello("b", "web")
			old := f.s.Snapshot()
			c := f.greet("a", "web")
			g := f.granted("a", "web")
			f.s, _ = Restore(old)
			f.n["b"] = 0
			next(f)
			for range 5 {
				f.lose("b", f.index%2 == 0)
			}
			f.lose("b", false)
			c.GetHello().Index = old.GetIndex()
			c.GetHello().Running = []*logpb.Running{{Token: g.GetToken(), Epoch: g.GetEpoch(), Remedy: "restart-app",
				Rule: "slow", Targets: []*logpb.Target{{Service: "web", Host: "a"}}}}
			before := f.s.generation
			if w := f.must(c).GetWelcome(); w.GetGeneration() == before {
				t.Error("the generation is the old one")
			}
			f.refused("awaited", "b", "web")
		})
	}
}

// What a host runs that has not said hello in this generation, only a person can tell.
func TestAwaitedHostIsRemovedByPersonOnly(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	f.hello("a", "web")
	f.hello("b", "web")
	f.restore(f.s.Snapshot(), nextGeneration)
	remove := &logpb.RemoveHost{Host: "a", By: "ann"}
	f.code("acting", f.apply(&logpb.Command{What: &logpb.Command_RemoveHost{RemoveHost: remove}}))
	remove.Gone = true
	f.must(&logpb.Command{What: &logpb.Command_RemoveHost{RemoveHost: remove}})
}

// A host that may act alone keeps the right after it was struck off, if it never hears of that: only a person
// can say that it will not.
func TestHostThatMayActAloneIsRemovedByPersonOnly(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	f.hello("a", "web")
	f.hello("b", "db")
	f.hello("c", "db")
	remove := func(host string, gone bool) *logpb.Command {
		return &logpb.Command{What: &logpb.Command_RemoveHost{RemoveHost: &logpb.RemoveHost{Host: host, By: "ann", Gone: gone}}}
	}
	f.code("acting", f.apply(remove("a", false)))
	f.must(remove("a", true))
	f.must(remove("b", false))
}
