package load

import (
	"context"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/salveops/salve/proto/agentpb"
	"github.com/salveops/salve/proto/logpb"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// begin starts a fleet; quick back-off, many pings.
func begin(t *testing.T, o Options) *Fleet {
	t.Helper()
	o.Seed = t.Name()
	if o.Ping == 0 {
		o.Ping = 5 * time.Millisecond
	}
	o.BackoffMin, o.BackoffMax = time.Millisecond, 10*time.Millisecond
	f, err := Start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Close)
	return f
}

// connect waits until all agents are welcome.
func connect(t *testing.T, f *Fleet, n int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	since := time.Now()
	f.Grow(n)
	if took, err := f.Await(ctx, since); err != nil || len(took) != n {
		t.Fatalf("%d of %d connected: %v", len(took), n, err)
	}
}

// drivePermits drives callers for a moment, again and again until something came of it: on a busy machine nothing need
// happen in one.
func drivePermits(t *testing.T, f *Fleet, n int, enough func(*Figures) bool) *Figures {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	callers := f.Callers(n)
	for {
		fig, err := Drive(ctx, callers, Plan{Warm: 10 * time.Millisecond, For: 200 * time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		if enough(fig) {
			return fig
		}
	}
}

// granted reports whether a grant is in the figures.
func granted(fig *Figures) bool { return len(fig.Took(Grant)) > 0 }

// until waits for something that other goroutines bring about.
func until(t *testing.T, what string, cond func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	give := time.After(time.Minute)
	for !cond() {
		select {
		case <-tick.C:
		case <-give:
			t.Fatalf("never: %s", what)
		}
	}
}

func redirect(to string) *agentpb.ConnectResponse {
	return &agentpb.ConnectResponse{What: &agentpb.ConnectResponse_Redirect{Redirect: &agentpb.Redirect{Address: to}}}
}

// Three nodes, one of which leads: the fleet finds it, keeps the protocol, and its counts are the truth.
func TestPermitsThroughACluster(t *testing.T) {
	s := newStrict(t)
	s.size, s.urge = 200, 3
	leader := (&node{s: s}).serve()
	follower := (&node{s: s, away: redirect(leader)}).serve()
	alone := (&node{s: s, away: &agentpb.ConnectResponse{What: &agentpb.ConnectResponse_NoQuorum{NoQuorum: &agentpb.NoQuorum{}}}}).serve()

	f := begin(t, Options{Addresses: []string{follower, alone, leader}, Size: 200})
	connect(t, f, 12)
	if got := f.Leader(); got != leader {
		t.Errorf("the leader is %q, not %q", got, leader)
	}
	fig := drivePermits(t, f, 7, granted)
	until(t, "three urged pings", func() bool { return f.Stats().Urged == 3 })
	until(t, "standing orders are confirmed", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.confirms == 12
	})
	f.Close()
	s.check(f)

	st := f.Stats()
	if st.Grants != int64(s.grants) || st.Settles != int64(s.settles) || s.grants == 0 || s.grants != s.settles {
		t.Errorf("the fleet counts %d grants and %d settlements, the cluster %d and %d", st.Grants, st.Settles, s.grants, s.settles)
	}
	counted := len(fig.Took(Grant)) + len(fig.Took(Settle))
	if counted == 0 || counted > s.grants+s.settles || fig.Rate(Grant, Settle) != float64(counted)/0.2 {
		t.Errorf("%d operations are in the figures and %.0f a second, the cluster saw %d", counted, fig.Rate(Grant, Settle), s.grants+s.settles)
	}
	if st.Redirects == 0 || st.NoQuorum == 0 || st.Pongs == 0 || st.SlowestRTT == 0 || st.Welcomes != 12 || st.Live != 0 {
		t.Errorf("stats %+v", st)
	}
}

// Answers get lost with their streams: nothing stays open, nothing is counted twice.
func TestLostAnswers(t *testing.T) {
	s := newStrict(t)
	s.answer = func(n int) bool { return n%7 != 0 }
	f := begin(t, Options{Addresses: []string{(&node{s: s}).serve()}})
	connect(t, f, 4)
	drivePermits(t, f, 4, func(*Figures) bool { return f.Stats().LeftOvers > 0 })
	if n := s.openPermits(); n != 0 {
		t.Errorf("%d permits are open at the end", n)
	}
	f.Close()
	s.check(f)
	st := f.Stats()
	// A permit that was given back, and whose answer to that was lost too, is in neither count.
	if st.LeftOvers == 0 || st.Ended == 0 || s.grants != s.settles || int64(s.grants) < st.Grants+st.LeftOvers {
		t.Errorf("%d granted and %d settled by the cluster; the fleet: %+v", s.grants, s.settles, st)
	}
}

// The answer to a hello gets lost: the same nonce comes again, which the strict server checks.
func TestLostWelcomes(t *testing.T) {
	s := newStrict(t)
	s.welcome = func(n int) bool { return n%2 == 0 }
	f := begin(t, Options{Addresses: []string{(&node{s: s}).serve()}})
	connect(t, f, 5)
	f.Close()
	s.check(f)
	if s.hellos < 10 {
		t.Errorf("%d hellos for 5 agents whose every second answer is lost", s.hellos)
	}
}

// Refused requests are asked again with the next number, and do not count as grants.
func TestRefusals(t *testing.T) {
	s := newStrict(t)
	s.refuse = func(n int) *logpb.Refusal {
		if n%2 == 0 {
			return nil
		}
		return &logpb.Refusal{Code: "cap", Text: "no", RetryAfter: 1e6}
	}
	f := begin(t, Options{Addresses: []string{(&node{s: s}).serve()}})
	connect(t, f, 2)
	fig := drivePermits(t, f, 1, granted)
	f.Close()
	s.check(f)
	if got := f.Refusals()["cap"]; got == 0 || got != int(f.Stats().Refusals) || got != s.requests-s.grants {
		t.Errorf("%d refusals counted, %d made", got, s.requests-s.grants)
	}
	if fig.Took(Grant).Quantile(0) < 10*time.Millisecond {
		t.Errorf("a grant after a refusal took %v: the wait does not count", fig.Took(Grant).Quantile(0))
	}
}

// A busy leader is left alone for as long as it says, and asked again: not another node.
func TestBusy(t *testing.T) {
	s := newStrict(t)
	s.busy = func(n int) *agentpb.Busy {
		if n > 6 {
			return nil
		}
		return &agentpb.Busy{RetryAfter: int64(20 * time.Millisecond)}
	}
	f := begin(t, Options{Addresses: []string{(&node{s: s}).serve()}})
	start := time.Now()
	connect(t, f, 2)
	if took := time.Since(start); took < 60*time.Millisecond {
		t.Errorf("both connected after %v; three times 20 ms were asked for", took)
	}
	f.Close()
	s.check(f)
	if f.Stats().Busy != 6 {
		t.Errorf("%d times busy", f.Stats().Busy)
	}
}

// The leader goes away and another one takes over: everybody gets there, and a permit is granted.
func TestLeaderLost(t *testing.T) {
	s := newStrict(t)
	first, second := &node{s: s}, &node{s: s}
	a, b := first.serve(), second.serve()
	second.away = redirect(a)
	f := begin(t, Options{Addresses: []string{a, b}})
	connect(t, f, 6)
	caller := f.Callers(1)[0]
	if _, _, err := caller.Next(t.Context()); err != nil {
		t.Fatal(err)
	}

	since := time.Now()
	s.mu.Lock()
	first.away, second.away = redirect(b), nil
	for _, h := range s.hosts {
		h.end()
	}
	s.mu.Unlock()
	if _, err := f.Await(t.Context(), since); err != nil {
		t.Fatal(err)
	}
	if got := f.Leader(); got != b {
		t.Errorf("the leader is %q, not %q", got, b)
	}
	for _, want := range []Op{Settle, Grant} { // the permit of the lost session is settled in the new one
		if op, _, err := caller.Next(t.Context()); err != nil || op != want {
			t.Errorf("did %v, want %v: %v", op, want, err)
		}
	}
	if err := caller.Finish(t.Context()); err != nil {
		t.Error(err)
	}
	f.Close()
	s.check(f)
}

// Idle agents have a connection each; callers may share.
func TestConnections(t *testing.T) {
	for perConn, want := range map[int]int{1: 10, 5: 2} {
		s := newStrict(t)
		n := &node{s: s}
		f := begin(t, Options{Addresses: []string{n.serve()}, PerConn: perConn})
		connect(t, f, 10)
		n.spy.mu.Lock()
		got := n.spy.n
		n.spy.mu.Unlock()
		if got != want {
			t.Errorf("10 agents, %d a connection: %d connections, want %d", perConn, got, want)
		}
		f.Close()
		s.check(f)
	}
}

// A node that answers nobody keeps nobody waiting for ever.
func TestAwaitSaysWhoIsMissing(t *testing.T) {
	s := newStrict(t)
	n := &node{s: s}
	n.away = redirect("")
	f := begin(t, Options{Addresses: []string{n.serve()}})
	f.Grow(3)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := f.Await(ctx, time.Now()); err == nil || !strings.Contains(err.Error(), "3 of 3") {
		t.Errorf("error %v", err)
	}
}

func TestOptionsRefuse(t *testing.T) {
	for name, o := range map[string]Options{
		"no addresses":     {},
		"no port":          {Addresses: []string{"localhost"}},
		"negative":         {Addresses: []string{"127.0.0.1:1"}, Size: -1},
		"upside down wait": {Addresses: []string{"127.0.0.1:1"}, BackoffMin: 2, BackoffMax: 1},
	} {
		if _, err := Start(o); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
