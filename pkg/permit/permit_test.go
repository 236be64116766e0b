package permit

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/salveops/salve/proto/logpb"
)

const (
	yes  = logpb.Serving_SERVING_YES
	down = logpb.Serving_SERVING_DOWN
)

// session is an agent in a session with a table, without a network between them.
func session(t *testing.T) (*agent, *table) {
	t.Helper()
	a, s := newAgent(), newTable()
	connected(t, a, s)
	return a, s
}

func connected(t *testing.T, a *agent, s *table) {
	t.Helper()
	if err := a.welcomed(s.hello(a.greet())); err != nil {
		t.Fatal(err)
	}
}

// granted asks and is granted.
func (a *agent) granted(t *testing.T, s *table, serving logpb.Serving) string {
	t.Helper()
	id := a.ask(serving)
	q := a.next()
	g, r := s.request(q)
	if r != nil {
		t.Fatalf("refused: %v", r)
	}
	if got := a.Granted(q.GetN(), g); got != id {
		t.Fatalf("the grant is for %q, want %q", got, id)
	}
	return id
}

// settles sends every settlement that is due, and returns what was sent as "token settlement".
func (a *agent) settles(s *table) string {
	var out []string
	for _, c := range a.Settles(a.now, []Claim{{"web", yes}}) {
		out = append(out, TokenOf(c.GetToken()).String()+" "+
			strings.ToLower(strings.TrimPrefix(c.GetSettlement().String(), "SETTLEMENT_")))
		a.Settled(a.now, TokenOf(c.GetToken()), s.settle(c))
	}
	return strings.Join(out, ", ")
}

func code(err error) string {
	var v *Void
	if errors.As(err, &v) {
		return v.Code
	}
	return fmt.Sprint(err)
}

// The whole way: asked, granted, begun, acted once, settled once it is over.
func TestOneAttempt(t *testing.T) {
	a, s := session(t)
	id := a.granted(t, s, yes)
	if err := a.begins(id, a.facts(yes)); err != nil {
		t.Fatal(err)
	}
	if err := a.acts(id, a.facts(yes)); err != nil {
		t.Fatal(err)
	}
	if got := a.settles(s); got != "" || len(s.permits) != 1 {
		t.Errorf("before its end: settles %q, open %d", got, len(s.permits))
	}
	a.ends(id, Serving)
	if got := a.settles(s); got != "1@g1 serving" || len(s.permits) != 0 || a.Open() != 0 {
		t.Errorf("at its end: settles %q, open %d there and %d here", got, len(s.permits), a.Open())
	}
	if got := a.settles(s); got != "" {
		t.Errorf("settled again: %q", got)
	}
}

// Whatever makes a permit void, before the intent and between intent and action: nothing acts, and it goes
// back as unused.
func TestVoid(t *testing.T) {
	for _, c := range []struct {
		name, want string
		serving    logpb.Serving // when it asks
		change     func(*agent, *table, *Facts)
	}{
		{"late start", "late", yes, func(a *agent, _ *table, f *Facts) { f.Now += StartBy }},
		{"paused", "stopped", yes, func(_ *agent, _ *table, f *Facts) { f.Stop = "everything is paused by eve" }},
		{"claimed down but serves", "serving", down, func(_ *agent, _ *table, f *Facts) { f.Claims = []Claim{{"web", yes}} }},
		{"revoked", "revoked", yes, func(a *agent, s *table, _ *Facts) { a.Order("g1", 9, []*logpb.Token{{Generation: "g1", N: 1}}) }},
	} {
		for _, at := range []string{"before the intent", "before the action"} {
			t.Run(c.name+" "+at, func(t *testing.T) {
				a, s := session(t)
				id := a.granted(t, s, c.serving)
				f := a.facts(c.serving)
				if at == "before the action" {
					if err := a.begins(id, f); err != nil {
						t.Fatal(err)
					}
				}
				c.change(a, s, &f)
				again := a.begins
				if at == "before the action" {
					again = a.acts
				}
				err := again(id, f)
				if code(err) != c.want {
					t.Errorf("%v, want it to be void as %s", err, c.want)
				}
				if got := a.settles(s); got != "1@g1 unused" || len(s.permits) > 0 {
					t.Errorf("settles %q", got)
				}
				if err := a.acts(id, a.facts(c.serving)); code(err) != "used" {
					t.Errorf("then it acts: %v", err)
				}
			})
		}
	}
}

// Standing orders may overtake the grant that they revoke.
func TestRevokedBeforeItArrives(t *testing.T) {
	a, s := session(t)
	id := a.ask(yes)
	q := a.next()
	g, _ := s.request(q)
	a.Order("g1", 9, []*logpb.Token{g.GetToken()})
	a.Granted(q.GetN(), g)
	if err := a.begins(id, a.facts(yes)); code(err) != "revoked" {
		t.Errorf("%v, want it to be void as revoked", err)
	}
}

// Still down, or sick beside being down elsewhere: the permit that was given for it is good.
func TestAsDownAndStillDown(t *testing.T) {
	a, s := session(t)
	id := a.granted(t, s, down)
	if err := errors.Join(a.begins(id, a.facts(down)), a.acts(id, a.facts(down))); err != nil {
		t.Error(err)
	}
}

// grant-nobody-waits-for: who asked has gone, before the request went out, before the answer, or after it.
func TestGrantNobodyWaitsFor(t *testing.T) {
	t.Run("not sent", func(t *testing.T) {
		a, _ := session(t)
		a.Withdraw(a.ask(yes), "gone")
		if q := a.next(); q != nil {
			t.Errorf("sends %v", q)
		}
	})
	t.Run("on its way", func(t *testing.T) {
		a, s := session(t)
		id := a.ask(yes)
		q := a.next()
		a.Withdraw(id, "gone")
		g, _ := s.request(q)
		if got := a.Granted(q.GetN(), g); got != "" {
			t.Errorf("%s gets it", got)
		}
		if got := a.settles(s); got != "1@g1 unused" {
			t.Errorf("settles %q", got)
		}
		if got := a.Granted(q.GetN(), g); got != "" || a.settles(s) != "" {
			t.Errorf("said again: %q, %q", got, a.settles(s))
		}
	})
	t.Run("granted", func(t *testing.T) {
		a, s := session(t)
		id := a.granted(t, s, yes)
		a.Withdraw(id, "gone")
		if got := a.settles(s); got != "1@g1 unused" {
			t.Errorf("settles %q", got)
		}
	})
	t.Run("the process died", func(t *testing.T) {
		a, s := session(t)
		a.granted(t, s, yes)
		a.start()
		connected(t, a, s)
		if got := a.settles(s); got != "1@g1 unused" {
			t.Errorf("settles %q", got)
		}
	})
	t.Run("the answer was lost", func(t *testing.T) {
		a, s := session(t)
		id := a.ask(yes)
		s.request(a.next())
		if got := a.Cut(); !slices.Equal(got, []string{id}) {
			t.Errorf("%q hear that there is no answer, want %s", got, id)
		}
		connected(t, a, s)
		if got := a.settles(s); got != "1@g1 unused" {
			t.Errorf("settles %q", got)
		}
	})
}

// A token acts in the epoch that asked: what waited for its turn when the session ended is void.
func TestEpochPasses(t *testing.T) {
	a, s := session(t)
	id := a.granted(t, s, yes)
	connected(t, a, s)
	if err := a.begins(id, a.facts(yes)); code(err) != "used" {
		t.Errorf("begins: %v", err)
	}
	if got := a.settles(s); got != "1@g1 unused" {
		t.Errorf("settles %q", got)
	}
}

// An intent that was on its way to the disk when the session ended is told as running, and must not act; one
// that acts goes on, and is settled in the next session.
func TestRunningAcrossSessions(t *testing.T) {
	for _, acting := range []bool{false, true} {
		a, s := session(t)
		id := a.granted(t, s, yes)
		if err := a.begins(id, a.facts(yes)); err != nil {
			t.Fatal(err)
		}
		if acting {
			if err := a.acts(id, a.facts(yes)); err != nil {
				t.Fatal(err)
			}
		}
		h := a.greet()
		if len(h.GetRunning()) != 1 || h.GetRunning()[0].GetUnknown() {
			t.Errorf("the hello says of running: %v", h.GetRunning())
		}
		if err := a.welcomed(s.hello(h)); err != nil {
			t.Fatal(err)
		}
		if acting {
			a.ends(id, Failed)
		} else if err := a.acts(id, a.facts(yes)); code(err) != "epoch" {
			t.Errorf("acts: %v", err)
		}
		want := map[bool]string{true: "1@g1 failed", false: "1@g1 unused"}[acting]
		if got := a.settles(s); got != want || len(s.permits) > 0 {
			t.Errorf("settles %q, want %q", got, want)
		}
	}
}

// What was granted and had not begun when a hello goes out is void at once: a controller that was restored
// meanwhile counts only what the hello says, and this says nothing of it.
func TestNothingBeginsBehindAHello(t *testing.T) {
	a, s := session(t)
	id := a.granted(t, s, yes)
	a.greet()
	if err := a.begins(id, a.facts(yes)); err == nil {
		t.Error("it begins after the hello")
	}
}

// The same hello until it was answered: its answer may have been lost.
func TestNonceStaysUntilAnswered(t *testing.T) {
	a, s := newAgent(), newTable()
	first := s.hello(a.greet()) // lost
	a.start()
	again := a.greet()
	if again.GetNonce() != "nonce-1" {
		t.Errorf("another hello: %s", again.GetNonce())
	}
	second := s.hello(again)
	if first.GetEpoch() != second.GetEpoch() {
		t.Errorf("epochs %d and %d", first.GetEpoch(), second.GetEpoch())
	}
	if err := a.welcomed(second); err != nil {
		t.Fatal(err)
	}
	if next := a.greet(); next.GetNonce() == "nonce-1" {
		t.Error("the answered hello is said again")
	}
}

func TestWelcomesThatAreNone(t *testing.T) {
	for name, change := range map[string]func(*agent, *logpb.Welcome){
		"no epoch":      func(_ *agent, w *logpb.Welcome) { w.Epoch = 0 },
		"no generation": func(_ *agent, w *logpb.Welcome) { w.Generation = "" },
		"an old epoch":  func(_ *agent, w *logpb.Welcome) { w.Epoch = 1 },
		"too late":      func(a *agent, _ *logpb.Welcome) { a.now += LostAfter + 1 },
		"twice":         func(a *agent, w *logpb.Welcome) { _ = a.welcomed(proto.CloneOf(w)) },
	} {
		t.Run(name, func(t *testing.T) {
			a, s := session(t)
			w := s.hello(a.greet())
			change(a, w)
			if err := a.welcomed(w); !errors.Is(err, ErrWelcome) {
				t.Errorf("%v", err)
			}
		})
	}
}

// A generation that was left is never entered again, across processes; what was held is not lost by that.
func TestGenerationLeft(t *testing.T) {
	a, s := session(t)
	next := s.copied().restored("g2")
	connected(t, a, next)
	a.start()
	if err := a.welcomed(s.hello(a.greet())); !errors.Is(err, ErrLeft) {
		t.Errorf("back in the old generation: %v", err)
	}
	if _, live := a.Live(); live {
		t.Error("it is in a session all the same")
	}
	connected(t, a, next)
	if got := a.Record().Left; !slices.Equal(got, []string{"g1"}) {
		t.Errorf("left %v", got)
	}
}

func TestOrders(t *testing.T) {
	a, _ := session(t)
	for _, c := range []struct {
		generation string
		index      uint64
		fresh      bool
		anew       bool
	}{
		{"g1", 7, true, false},
		{"g1", 7, true, false},
		{"g1", 6, false, false}, // late-resume-from-old-leader
		{"g2", 1, false, true},
	} {
		if fresh, anew := a.Order(c.generation, c.index, nil); fresh != c.fresh || anew != c.anew {
			t.Errorf("%s %d: fresh %t, anew %t", c.generation, c.index, fresh, anew)
		}
	}
	if got := a.Record().Index; got != 7 {
		t.Errorf("index %d", got)
	}
}

// A request that waited says what the host serves when it is sent, of its targets: what it served when it was asked
// for may have been told otherwise since, and a controller believes what it hears last.
func TestRequestClaimsWhatIsNow(t *testing.T) {
	a, s := session(t)
	first, second := a.ask(yes), a.ask(down)
	if attempt, _ := a.Refused(a.next().GetN(), no("cap")); attempt != first {
		t.Fatalf("refused: %s", attempt)
	}
	q := a.Next(a.now, []Claim{{"web", yes}, {"db", down}})
	want := []*logpb.ServiceReport{{Service: "web", Serving: yes}}
	if diff := cmp.Diff(want, q.GetClaims(), protocmp.Transform()); diff != "" {
		t.Errorf("claims (-want +got):\n%s", diff)
	}
	g, _ := s.request(q)
	a.Granted(q.GetN(), g)
	if err := a.begins(second, a.facts(yes)); err != nil {
		t.Errorf("it serves, as it said: %v", err)
	}
}

// One request at a time is on its way; its time begins when it is first sent, not when it was queued.
func TestRequestsGoOneByOne(t *testing.T) {
	a, s := session(t)
	first, second := a.ask(yes), a.ask(yes)
	q := a.next()
	if again := a.next(); again != nil {
		t.Fatalf("two are on their way: %v", again)
	}
	if attempt, anew := a.Refused(q.GetN(), no("cap")); attempt != first || anew {
		t.Errorf("refused: %s, anew %t", attempt, anew)
	}
	a.now += StartBy
	q = a.next()
	if q.GetN() != 2 {
		t.Errorf("number %d", q.GetN())
	}
	g, _ := s.request(q)
	if got := a.Granted(2, g); got != second {
		t.Errorf("granted to %s", got)
	}
	a.now += StartBy - 1
	if err := a.begins(second, a.facts(yes)); err != nil {
		t.Error(err)
	}
}

func TestStuck(t *testing.T) {
	a, _ := session(t)
	a.ask(yes)
	a.now += time.Hour
	if a.Stuck(a.now) {
		t.Error("stuck before it was sent")
	}
	a.next()
	if a.Stuck(a.now+StartBy-1) || !a.Stuck(a.now+StartBy) {
		t.Error("stuck is when no grant could be used any more")
	}
}

func TestAskTwice(t *testing.T) {
	a, s := session(t)
	id := a.granted(t, s, yes)
	if err := a.Ask(Ask{Attempt: id}); !errors.Is(err, ErrAsked) {
		t.Errorf("%v", err)
	}
	for _, c := range []string{"n", "epoch", "awaited", "settled"} {
		a.ask(yes)
		if _, anew := a.Refused(a.next().GetN(), no(c)); !anew {
			t.Errorf("refused as %q, and the session goes on", c)
		}
	}
}

// Overrun: the time of a permit runs from before the first sending, and not across a reboot.
func TestOverrun(t *testing.T) {
	a, s := session(t)
	id := a.granted(t, s, yes)
	asked := a.now
	a.now += time.Second
	if err := errors.Join(a.begins(id, a.facts(yes)), a.acts(id, a.facts(yes))); err != nil {
		t.Fatal(err)
	}
	if a.Overrun(id, asked+RunFor-1) || !a.Overrun(id, asked+RunFor) {
		t.Error("it is over RunFor after it was asked for")
	}
	a.start()
	if a.Overrun(id, asked+RunFor-1) || !a.Overrun(id, asked+RunFor) {
		t.Error("the next process has another end")
	}
	a.boot = "boot-2"
	a.start()
	if !a.Overrun(id, time.Minute) {
		t.Error("after a reboot its time goes on")
	}
	a.Settle(id, Failed, "over")
	if a.Overrun(id, time.Minute) {
		t.Error("it runs over after its end")
	}
}

// Alone: no sooner than three times the lost time after the last round trip or hello, and never in a session.
func TestAlone(t *testing.T) {
	a, s := session(t)
	if _, possible := a.AloneWait(a.now + time.Hour); possible {
		t.Error("alone in the middle of a session")
	}
	a.RoundTrip(a.now+3*time.Second, a.now+2*time.Second)
	a.RoundTrip(a.now+60*time.Second, a.now+40*time.Second) // too long under way
	a.Cut()
	if wait, _ := a.AloneWait(a.now + 4*time.Second); wait != AloneAfter-2*time.Second {
		t.Errorf("wait %v", wait)
	}
	a.now += 40 * time.Second
	ask := Ask{Attempt: "x", Service: "web", Targets: []Target{{Service: "web", Host: me}}}
	a.greet() // sent, and never answered
	if _, err := a.BeginAlone(ask, a.facts(yes)); code(err) != "early" {
		t.Errorf("right after a hello: %v", err)
	}
	a.now += AloneAfter
	held, err := a.BeginAlone(ask, a.facts(yes))
	if err != nil {
		t.Fatal(err)
	}
	a.intents["x"] = &Restored{Attempt: "x", Service: "web", Held: held}
	if err := a.acts("x", a.facts(yes)); err != nil {
		t.Fatal(err)
	}
	connected(t, a, s)
	if s.permits[held.Token] == nil {
		t.Error("the controller does not count what began alone")
	}
	a.ends("x", Serving)
	if got := a.settles(s); !strings.HasSuffix(got, " serving") || len(s.permits) > 0 {
		t.Errorf("settles %q", got)
	}
	if _, err := a.BeginAlone(Ask{Attempt: "y"}, a.facts(yes)); code(err) != "connected" {
		t.Errorf("in a session: %v", err)
	}
}

// Between its intent and its action a session begins: what wanted to act alone does not.
func TestAloneUntilTheLineIsBack(t *testing.T) {
	a, s := newAgent(), newTable()
	a.now += AloneAfter
	if _, err := a.BeginAlone(Ask{Attempt: "x", Targets: []Target{{Service: "web", Host: me}}}, a.facts(yes)); err != nil {
		t.Fatal(err)
	}
	connected(t, a, s)
	if err := a.Act("x", a.facts(yes)); code(err) != "connected" {
		t.Errorf("acts: %v", err)
	}
}

func TestRecordSurvives(t *testing.T) {
	a, s := session(t)
	connected(t, a, s.copied().restored("g2"))
	raw, err := json.Marshal(a.Record())
	if err != nil {
		t.Fatal(err)
	}
	back, err := ReadRecord(raw)
	if diff := cmp.Diff(a.Record(), back); err != nil || diff != "" {
		t.Errorf("%v, (-was +is):\n%s", err, diff)
	}
	for _, bad := range []string{``, `{`, `{"epoch":3}`, `{"nonce":"n","answered":true}`,
		`{"generation":"g","left":["g"]}`, `{"nonce":"` + strings.Repeat("n", 300) + `"}`} {
		if _, err := ReadRecord([]byte(bad)); !errors.Is(err, ErrRecord) {
			t.Errorf("%.40q is taken: %v", bad, err)
		}
	}
}
