package state

import (
	"testing"

	"github.com/salveops/salve/proto/logpb"
)

const (
	unused       = logpb.Settlement_SETTLEMENT_UNUSED
	servingAgain = logpb.Settlement_SETTLEMENT_SERVING
	failed       = logpb.Settlement_SETTLEMENT_FAILED
	unknown      = logpb.Settlement_SETTLEMENT_UNKNOWN
	cleared      = logpb.Settlement_SETTLEMENT_CLEARED
)

func TestCap(t *testing.T) {
	t.Parallel()
	share := func(parts uint32) *logpb.Service {
		return &logpb.Service{Name: "web", MaxUnavailableShare: &parts}
	}
	for name, c := range map[string]struct {
		svc     *logpb.Service
		n, want int
	}{
		"the default is one":                  {nil, 5, 1},
		"the only host":                       {nil, 1, 1},
		"a number":                            {service("web", 2), 5, 2},
		"never":                               {service("web", 0), 5, 0},
		"never all of several":                {service("web", 9), 3, 2},
		"a number above one for the only one": {service("web", 3), 1, 3},
		"a share is rounded down":             {share(300_000), 9, 2},
		"a share gives at least one":          {share(10_000), 9, 1},
		"a share of nothing gives one":        {share(0), 9, 1},
		"the whole is not all":                {share(1_000_000), 4, 3},
	} {
		s := New()
		if c.svc != nil {
			s.derived.configure(&logpb.Config{Services: []*logpb.Service{c.svc}})
		}
		if got := s.capOf("web", c.n); got != c.want {
			t.Errorf("%s: the cap of %d hosts is %d, want %d", name, c.n, got, c.want)
		}
	}
}

// One host at a time, whoever asks first; the next one when the first is settled, and not before.
func TestOneAtATime(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	for _, h := range []string{"a", "b", "c"} {
		f.hello(h, "web")
	}
	g := f.granted("a", "web")
	if r := f.refused("cap", "b", "web"); len(r.GetHolders()) != 1 || r.GetHolders()[0] != "a" {
		t.Errorf("in the way stands %v, want a", r.GetHolders())
	}
	f.settle("a", g, servingAgain)
	f.granted("b", "web")
	f.acting("web", "b")
	f.indices()
}

// TestTwoDownCapOne: with two hosts down and a cap of one, one of the two may be started and no other.
func TestTwoDownCapOne(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	for _, h := range []string{"a", "b", "c"} {
		f.hello(h, "web")
	}
	f.edge("a", "web", logpb.Serving_SERVING_DOWN)
	f.edge("b", "web", logpb.Serving_SERVING_DOWN)
	f.refused("cap", "c", "web") // it still serves, and two are out
	g := f.granted("a", "web")
	if !g.GetAsDown() {
		t.Error("the grant does not say that it holds only while the host is down")
	}
	f.refused("cap", "b", "web") // one repair at a time
	f.settle("a", g, servingAgain, serving("web"))
	f.granted("b", "web")
}

// TestSickBesideDown: a sick host that serves is not out, and must not be taken away beside one that is.
func TestSickBesideDown(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	for _, h := range []string{"a", "b", "c"} {
		f.hello(h, "web")
	}
	f.edge("a", "web", logpb.Serving_SERVING_DOWN)
	f.refused("cap", "b", "web", claims(serving("web")))
	f.edge("a", "web", logpb.Serving_SERVING_YES)
	f.granted("b", "web", claims(serving("web")))
}

// What is not known to serve is out: lost, held by a person, quarantined, awaited.
func TestOutIsWhatIsNotKnownToServe(t *testing.T) {
	t.Parallel()
	for name, out := range map[string]func(*fleet){
		"lost":    func(f *fleet) { f.lose("a", true) },
		"held":    func(f *fleet) { f.edge("a", "web", logpb.Serving_SERVING_HELD) },
		"down":    func(f *fleet) { f.edge("a", "web", logpb.Serving_SERVING_DOWN) },
		"unknown": func(f *fleet) { f.s.derived.services["web"]["a"].Serving = logpb.Serving_SERVING_UNSPECIFIED },
		"quarantined": func(f *fleet) {
			c := f.greet("a", "web")
			c.GetHello().Fingerprint = "another"
			f.code("quarantined", f.apply(c))
		},
		"awaited": func(f *fleet) { f.s.hosts["a"].Awaited = true },
	} {
		f := newFleet(t)
		for _, h := range []string{"a", "b", "c"} {
			f.hello(h, "web")
		}
		out(f)
		if r := f.apply(f.ask("b", "web")).GetRefusal(); r.GetCode() != "cap" {
			t.Errorf("%s: the answer for a healthy host is %v, want a refusal by the cap", name, r)
		}
	}
}

// TestFailedRepairFreesNext: a repair that failed leaves the host down, and its next remedy may go.
func TestFailedRepairFreesNext(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	for _, h := range []string{"a", "b", "c"} {
		f.hello(h, "web")
	}
	g := f.granted("a", "web")
	f.settle("a", g, failed, down("web"))
	f.refused("cap", "b", "web") // a is still down
	f.granted("a", "web", func(r *logpb.Request) { r.Remedy, r.Digest = "rollback", []byte("other") })
}

// TestAllOrNoneTargets: a permit covers all that the remedy takes away, or is not given.
func TestAllOrNoneTargets(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	f.hello("a", "web", "db")
	f.hello("b", "web", "db")
	f.hello("c", "web")
	f.edge("b", "db", logpb.Serving_SERVING_DOWN)
	both := func(r *logpb.Request) { r.Targets = []*logpb.Target{{Service: "db", Host: "a"}} }
	f.refused("cap", "a", "web", both)
	f.acting("web") // nothing of it was taken
	f.edge("b", "db", logpb.Serving_SERVING_YES)
	f.granted("a", "web", both)
	f.acting("db", "a")
	f.refused("cap", "b", "db")
}

// A permit that takes away several hosts of a service takes as many as that.
func TestTargetsOfOneServiceAddUp(t *testing.T) {
	t.Parallel()
	f := newFleet(t, service("web", 2))
	for _, h := range []string{"a", "b", "c", "d"} {
		f.hello(h, "web")
	}
	also := func(hosts ...string) func(*logpb.Request) {
		return func(r *logpb.Request) {
			for _, h := range hosts {
				r.Targets = append(r.Targets, &logpb.Target{Service: "web", Host: h})
			}
		}
	}
	f.refused("cap", "a", "web", also("b", "c"))
	f.edge("d", "web", logpb.Serving_SERVING_DOWN)
	f.refused("cap", "a", "web", also("b")) // with d three would be out
	f.edge("c", "web", logpb.Serving_SERVING_DOWN)
	f.refused("cap", "d", "web", also("a")) // one of the two still serves
	f.edge("a", "web", logpb.Serving_SERVING_DOWN)
	f.granted("d", "web", also("a"))
	f.acting("web", "a", "d")
}

// A remedy of the host takes away every service of it, named or not; a host without services has nothing.
func TestHostRemedyTakesAll(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	f.hello("a", "web", "db")
	f.hello("b", "web")
	f.granted("a", "")
	f.acting("web", "a")
	f.acting("db", "a")
	f.hello("c")
	f.refused("target", "c", "")
}

// A shared resource is one at a time, whoever asks.
func TestSharedResource(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	f.hello("a", "web")
	f.hello("b", "db")
	cache := func(r *logpb.Request) { r.Targets = []*logpb.Target{{Resource: "cache-1"}} }
	g := f.granted("a", "web", cache)
	f.refused("target", "b", "db", cache)
	f.settle("a", g, servingAgain)
	f.granted("b", "db", cache)
}

func TestTargetsThatNobodyReported(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	f.hello("a", "web")
	f.hello("b", "web")
	f.refused("target", "a", "wbe")
	f.refused("target", "a", "web", func(r *logpb.Request) { r.Targets = []*logpb.Target{{Service: "web", Host: "nobody"}} })
	f.refused("target", "a", "web", func(r *logpb.Request) {
		for range maxTargets + 1 {
			r.Targets = append(r.Targets, &logpb.Target{Resource: string(rune('a' + len(r.Targets)))})
		}
	})
}

// The same request is the same permit while it is open, and settled after; an older one and another
// epoch's are refused.
func TestRequestIsOneOperation(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	f.hello("a", "web")
	f.hello("b", "web")
	first := f.ask("a", "web")
	g := f.must(first).GetGrant()
	if again := f.must(first).GetGrant(); !sameToken(g, again) {
		t.Errorf("the same request got %v and %v", g, again)
	}
	f.settle("a", g, servingAgain)
	f.code("settled", f.apply(first))
	f.granted("a", "web")
	f.code("n", f.apply(first))
	f.hello("a", "web")
	f.code("epoch", f.apply(first))
}

// TestPermitLeak: the holder vanishes, and its permit counts for ever; nothing but a settlement or a person
// frees it.
func TestPermitLeak(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	for _, h := range []string{"a", "b", "c"} {
		f.hello(h, "web")
	}
	g := f.granted("a", "web")
	f.lose("a", true)
	f.at += 365 * 24 * 3600 * second
	f.must(&logpb.Command{What: &logpb.Command_Tick{Tick: &logpb.Tick{}}})
	f.refused("cap", "b", "web")
	f.must(&logpb.Command{What: &logpb.Command_Revoke{Revoke: &logpb.Revoke{Token: g.GetToken(), By: "ann"}}})
	f.refused("cap", "b", "web")
	f.hello("a", "web") // another epoch
	f.refused("cap", "b", "web")
	f.acting("web", "a")
	f.must(&logpb.Command{What: &logpb.Command_ForceSettle{ForceSettle: &logpb.ForceSettle{Token: g.GetToken(), By: "ann",
		Reason: "looked at it"}}})
	f.acting("web")
	f.granted("b", "web")
	f.indices()
}

// The guard is checked before the permit is taken: a refusal leaves nothing behind.
func TestRefusalLeavesNothing(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	f.hello("a", "web")
	f.hello("b", "web")
	f.pause("service:web")
	before := f.s.counters.GetToken()
	f.refused("paused", "a", "web")
	f.acting("web")
	if f.s.counters.GetToken() != before {
		t.Error("a refusal used up a token")
	}
	f.indices()
}

// A settlement needs the token, the epoch of the grant, and the session that counts.
func TestSettleNeedsTokenAndEpoch(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	f.hello("a", "web")
	f.hello("b", "web")
	g := f.granted("a", "web")
	other := f.settles("a", g, servingAgain)
	other.GetSettle().Epoch++
	f.code("epoch", f.apply(other))
	stolen := f.settles("b", g, servingAgain)
	f.code("epoch", f.apply(stolen))
	f.acting("web", "a")
	f.hello("a", "web") // a new session settles what an older one began
	late := f.settles("a", g, servingAgain)
	late.GetSettle().SessionEpoch = g.GetEpoch()
	f.code("epoch", f.apply(late))
	f.settle("a", g, servingAgain)
	f.code("settled", f.apply(f.settles("a", g, servingAgain)))
}

// What nobody can tell about goes on counting until nothing of it runs and the host serves.
func TestUnknownCounts(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	for _, h := range []string{"a", "b", "c"} {
		f.hello(h, "web")
	}
	g := f.granted("a", "web")
	f.code("settlement", f.apply(f.settles("a", g, cleared))) // only after unknown
	f.settle("a", g, unknown, down("web"))
	f.settle("a", g, unknown) // said again
	f.code("settlement", f.apply(f.settles("a", g, servingAgain)))
	f.refused("cap", "b", "web")
	f.code("serving", f.apply(f.settles("a", g, cleared)))
	f.settle("a", g, cleared, serving("web"))
	f.granted("b", "web", func(r *logpb.Request) { r.Digest = []byte("other") })
}

// TestRevokeWhileActing: a revoked permit counts until it is settled, and its undo is not hindered.
func TestRevokeWhileActing(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	for _, h := range []string{"a", "b", "c"} {
		f.hello(h, "web")
	}
	g := f.granted("a", "web")
	before := f.s.standing
	f.must(&logpb.Command{What: &logpb.Command_Revoke{Revoke: &logpb.Revoke{Token: g.GetToken(), By: "ann", Reason: "no"}}})
	if f.s.standing == before {
		t.Error("a revocation is not pushed to the host")
	}
	f.acting("web", "a")
	f.settle("a", g, failed)
	f.acting("web")
}

// TestPauseWhileActing: a pause lets what runs be settled and taken back, and nothing new begin.
func TestPauseWhileActing(t *testing.T) {
	t.Parallel()
	f := newFleet(t, service("web", 2))
	for _, h := range []string{"a", "b", "c"} {
		f.hello(h, "web")
	}
	g := f.granted("a", "web")
	pause := f.pause(scopeAll)
	f.refused("paused", "b", "web")
	f.settle("a", g, failed)
	undo := f.granted("a", "web", func(r *logpb.Request) { r.Undo = true })
	f.settle("a", undo, servingAgain)
	f.must(f.resumes(pause))
	f.granted("b", "web", func(r *logpb.Request) { r.Digest = []byte("other") })
}

// TestBatchSharesCap: what arrives in one entry is judged one by one.
func TestBatchSharesCap(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	var batch []*logpb.Command
	for _, h := range []string{"a", "b", "c", "d"} {
		f.hello(h, "web")
	}
	for _, h := range []string{"a", "b", "c", "d"} {
		batch = append(batch, f.ask(h, "web"))
	}
	given := 0
	for _, r := range f.batch(batch...) {
		if r.GetGrant() != nil {
			given++
		}
	}
	if given != 1 {
		t.Errorf("%d of four requests in one entry were granted, want 1", given)
	}
}

// TestSplitBrain: whoever the requests come through, the table is one, and what an old leader granted is
// only what is in the log. Tokens rise over all of it.
func TestTokensRise(t *testing.T) {
	t.Parallel()
	f := newFleet(t, service("web", 3))
	last := uint64(0)
	for _, h := range []string{"a", "b", "c", "d", "e"} {
		f.hello(h, "web")
	}
	for range 3 {
		for _, h := range []string{"a", "b", "c"} {
			r := f.apply(f.ask(h, "web"))
			g := r.GetGrant()
			if g == nil {
				continue
			}
			if g.GetToken().GetN() <= last {
				t.Errorf("token %d after %d", g.GetToken().GetN(), last)
			}
			last = g.GetToken().GetN()
			f.settle(h, g, servingAgain)
		}
	}
}

// The fleet's cap is over all services, lost hosts that may act alone included.
func TestFleetMax(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	f.configure(&logpb.Config{FleetMax: 2})
	for _, h := range []string{"a", "b", "c", "d"} {
		f.hello(h, "service of "+h)
	}
	f.granted("a", "service of a")
	f.lose("b", true) // the only host of its service: it may act
	f.refused("fleet", "c", "service of c")
	f.lose("b", false)
	f.granted("c", "service of c")
	f.refused("fleet", "d", "service of d")
	if got := f.s.FleetMax(); got != 2 {
		t.Errorf("fleet_max is %d", got)
	}
}

// A lost host that may act alone counts as acting until it confirms that it knows of the second host.
func TestAlone(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	f.hello("a", "web")
	f.lose("a", true)
	f.acting("web", "a")
	f.hello("b", "web")
	f.hello("c", "web")
	f.edge("b", "web", logpb.Serving_SERVING_DOWN)
	f.refused("cap", "b", "web") // a may be restarting right now
	f.epoch["a"] = f.must(f.greet("a", "web")).GetWelcome().GetEpoch()
	f.acting("web", "a") // it was heard, but did not confirm: a new leader would not know it as lost
	f.refused("cap", "b", "web")
	f.confirm("a")
	f.lose("a", true)
	f.acting("web")
	f.granted("b", "web")
	f.indices()
}

// A host that no longer reports a service is still counted with what it is doing to it.
func TestForgottenServiceUnderRepair(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	for _, h := range []string{"a", "b", "c"} {
		f.hello(h, "web")
	}
	g := f.granted("a", "web")
	f.hello("a", "db")
	f.acting("web", "a")
	f.refused("cap", "b", "web")
	f.settle("a", g, failed)
	f.hello("a", "db")
	if v := f.s.Service("web"); v.N != 2 {
		t.Errorf("web has %d hosts, want 2", v.N)
	}
	f.granted("b", "web", func(r *logpb.Request) { r.Digest = []byte("other") })
}

// alone = "act" on a service of several hosts: each lost one counts as acting.
func TestAloneAct(t *testing.T) {
	t.Parallel()
	svc := service("web", 1)
	svc.AloneAct = true
	f := newFleet(t, svc)
	for _, h := range []string{"a", "b", "c"} {
		f.hello(h, "web")
	}
	f.lose("a", true)
	f.acting("web", "a")
	f.edge("b", "web", logpb.Serving_SERVING_DOWN)
	f.refused("cap", "b", "web")
}

// Late permits are told to people and free nothing.
func TestOverdue(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	f.hello("a", "web")
	f.hello("b", "web")
	g := f.granted("a", "web")
	f.at += startBy + runFor
	f.must(&logpb.Command{What: &logpb.Command_Tick{Tick: &logpb.Tick{}}})
	if p := f.s.Permit(g.GetToken()); !p.GetOverdue() {
		t.Errorf("the permit is %v, want it overdue", p)
	}
	f.acting("web", "a")
	f.refused("cap", "b", "web")
	f.settle("a", g, servingAgain)
}

func TestHugeTimesDoNotOverflow(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	f.hello("a", "web")
	f.hello("b", "web")
	g := f.granted("a", "web", func(r *logpb.Request) { r.StartBy, r.RunFor = 1<<63-1, 1<<63-1 })
	f.must(&logpb.Command{What: &logpb.Command_Tick{Tick: &logpb.Tick{}}})
	if f.s.Permit(g.GetToken()).GetOverdue() {
		t.Error("the sum of two long times came out as short")
	}
}
