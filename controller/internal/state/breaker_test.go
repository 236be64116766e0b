package state

import (
	"testing"

	"github.com/salveops/salve/proto/logpb"
)

func TestTripAt(t *testing.T) {
	t.Parallel()
	for n, want := range map[int]int{0: 0, 1: 0, 2: 2, 3: 3, 4: 3, 10: 3, 11: 4, 30: 9} {
		f := many(t, n, 1)
		if got := f.s.tripAt("web"); got != want {
			t.Errorf("a rule of %d hosts trips the breaker on %d, want %d", n, got, want)
		}
	}
}

// TestMassAction: one wrong signal on many hosts stops every remedy for it, and hands it to people.
func TestBreakerOpens(t *testing.T) {
	t.Parallel()
	f := many(t, 10, 3)
	f.fires(host(0), "web", "slow", 1)
	f.fires(host(1), "web", "slow", 1)
	f.settle(host(0), f.granted(host(0), "web"), unused)
	f.fires(host(2), "web", "slow", 1)
	f.refused("breaker", host(0), "web")
	f.granted(host(3), "web", func(r *logpb.Request) { r.Rule, r.Digest = "another", []byte("x") })
	f.granted(host(1), "web", func(r *logpb.Request) { r.StartDead, r.Digest = true, []byte("y") })
	f.granted(host(2), "web", func(r *logpb.Request) { r.Undo = true })
	f.indices()
}

// Alerts that began before the window do not count: they are not one event.
func TestBreakerCountsWithinTheWindow(t *testing.T) {
	t.Parallel()
	f := many(t, 10, 3)
	for i := range 10 {
		f.fires(host(i), "web", "slow", 1)
		f.at += breakerWindow
	}
	if len(f.s.Breakers()) != 0 {
		t.Errorf("breakers: %v", f.s.Breakers())
	}
}

func TestBreakerLetsOneHostThrough(t *testing.T) {
	t.Parallel()
	f := many(t, 10, 3)
	for i := range 3 {
		f.fires(host(i), "web", "slow", 1)
	}
	f.must(closes("web", "slow", host(1)))
	f.refused("breaker", host(0), "web")
	stopped := func() bool { return len(f.s.StandingOrders(host(1)).GetBreakers()) > 0 }
	g := f.granted(host(1), "web")
	if stopped() {
		t.Error("the host has leave, and hears that the breaker stops it")
	}
	f.settle(host(1), g, unused)
	f.settle(host(1), f.granted(host(1), "web"), servingAgain)
	f.refused("breaker", host(1), "web") // once
	if !stopped() {
		t.Error("it acted, and the breaker does not stop it")
	}
}

// An approval is used up by whatever became of the attempt.
func TestBreakerApprovalIsUsedUp(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*fleet, *logpb.Grant){
		"failed":  func(f *fleet, g *logpb.Grant) { f.settle(host(1), g, failed) },
		"unknown": func(f *fleet, g *logpb.Grant) { f.settle(host(1), g, unknown) },
		"forced": func(f *fleet, g *logpb.Grant) {
			f.must(&logpb.Command{What: &logpb.Command_ForceSettle{ForceSettle: &logpb.ForceSettle{Token: g.GetToken(), By: "ann"}}})
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := many(t, 10, 3)
			for i := range 3 {
				f.fires(host(i), "web", "slow", 1)
			}
			f.must(closes("web", "slow", host(1)))
			end(f, f.granted(host(1), "web"))
			if len(f.s.StandingOrders(host(1)).GetBreakers()) == 0 {
				t.Error("the breaker still lets it through")
			}
		})
	}
}

// It closes below half for a window; then every remedy begins with one host.
func TestBreakerCloses(t *testing.T) {
	t.Parallel()
	f := many(t, 10, 5)
	f.settle(host(9), f.granted(host(9), "web"), servingAgain) // the width is two now
	for i := range 4 {
		f.fires(host(i), "web", "slow", 1)
	}
	f.calms(host(0), 2, 1)
	f.calms(host(1), 2, 1)
	f.tick(breakerWindow)
	f.refused("breaker", host(5), "web") // two of four is not below half
	f.calms(host(2), 2, 1)
	f.tick(breakerWindow - second)
	f.refused("breaker", host(5), "web")
	f.tick(second)
	f.granted(host(5), "web")
	f.refused("width", host(6), "web")
}

// A person who closes it has seen what fires: that opens it no more, and what comes after does.
func TestBreakerClosedByPerson(t *testing.T) {
	t.Parallel()
	f := many(t, 10, 5)
	for i := range 3 {
		f.fires(host(i), "web", "slow", 1)
	}
	f.must(closes("web", "slow", ""))
	f.granted(host(0), "web")
	f.fires(host(3), "web", "slow", 1)
	if len(f.s.Breakers()) != 0 {
		t.Error("what a person has seen opened the breaker again")
	}
	f.restoreSame()
	f.fires(host(4), "web", "slow", 1)
	f.fires(host(5), "web", "slow", 1)
	if len(f.s.Breakers()) != 1 {
		t.Error("three new hosts did not open it")
	}
}

func closes(service, rule, host string) *logpb.Command {
	return &logpb.Command{What: &logpb.Command_CloseBreaker{CloseBreaker: &logpb.CloseBreaker{Service: service, Rule: rule,
		Host: host, By: "ann"}}}
}

func (f *fleet) tick(after int64) {
	f.t.Helper()
	f.at += after
	f.must(&logpb.Command{What: &logpb.Command_Tick{Tick: &logpb.Tick{}}})
}

// restoreSame goes on from a snapshot, as a restarted node does.
func (f *fleet) restoreSame() {
	f.t.Helper()
	s, err := Restore(f.s.Snapshot())
	if err != nil {
		f.t.Fatal(err)
	}
	f.s = s
}
