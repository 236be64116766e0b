package state

import (
	"testing"

	"github.com/salveops/salve/proto/logpb"
)

func whole(r *logpb.Request) { r.WholeHost = true }

// A host that goes away as a whole takes all of its services away, whichever of them asks; and one that is the last to
// serve any of them stays, also where the cap is one of one.
func TestWholeHost(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	f.hello("a", "web", "db")
	f.hello("b", "web", "db")
	f.hello("c", "web")
	g := f.granted("a", "web", whole)
	f.acting("web", "a")
	f.acting("db", "a")
	f.refused("cap", "b", "db") // a is away for it, too
	f.settle("a", g, servingAgain)
	f.indices()

	f.edge("b", "db", logpb.Serving_SERVING_DOWN)
	f.refused("cap", "a", "web", whole) // nobody else serves db
	f.edge("b", "db", logpb.Serving_SERVING_YES)
	f.settle("a", f.granted("a", "web", whole), servingAgain)

	pause := f.pause("service:db")
	f.refused("paused", "a", "web", whole) // db would be away as well
	f.settle("a", f.granted("a", "web"), servingAgain)
	f.must(f.resumes(pause))

	f.hello("d", "lonely")
	f.settle("d", f.granted("d", "lonely"), servingAgain) // a restart of the only one is its owner's risk
	if r := f.refused("last", "d", "lonely", whole); r.GetText() != "d is the last host that serves lonely" {
		t.Errorf("the reason is %q", r.GetText())
	}
	f.edge("d", "lonely", logpb.Serving_SERVING_UNSPECIFIED)
	f.refused("last", "d", "lonely", whole) // it may serve
	f.edge("d", "lonely", logpb.Serving_SERVING_DOWN)
	f.granted("d", "lonely", whole)
}
