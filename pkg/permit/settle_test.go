package permit

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/salveops/salve/proto/logpb"
)

// old-settle-new-generation: an attempt of the generation before ends in the next one, under its own token,
// also when the controller was restored from a copy that does not know it.
func TestOldSettleNewGeneration(t *testing.T) {
	for name, grantedLater := range map[string]bool{"in the copy": false, "after the copy": true} {
		t.Run(name, func(t *testing.T) {
			a, s := session(t)
			copied := s.copied()
			id := a.granted(t, s, yes)
			if !grantedLater {
				copied = s.copied()
			}
			if err := errors.Join(a.begins(id, a.facts(yes)), a.acts(id, a.facts(yes))); err != nil {
				t.Fatal(err)
			}
			s = copied.restored("g2")
			connected(t, a, s)
			if len(s.permits) != 1 {
				t.Fatalf("what runs is not counted: %v", s.permits)
			}
			a.ends(id, Serving)
			if got := a.settles(s); got != "1@g1 serving" || len(s.permits) > 0 {
				t.Errorf("settles %q, open %v", got, s.permits)
			}
		})
	}
}

// A settlement that was committed and is open again after a restore is said again.
func TestSettledAgainAfterARestore(t *testing.T) {
	a, s := session(t)
	id := a.granted(t, s, yes)
	if err := errors.Join(a.begins(id, a.facts(yes)), a.acts(id, a.facts(yes))); err != nil {
		t.Fatal(err)
	}
	copied := s.copied()
	a.ends(id, Serving)
	a.settles(s)
	s = copied.restored("g2")
	connected(t, a, s)
	if got := a.settles(s); got != "1@g1 serving" || len(s.permits) > 0 {
		t.Errorf("settles %q, open %v", got, s.permits)
	}
}

// A doubted attempt that was cleared, and is open again after a restore from before the doubt: it is doubted
// there first.
func TestClearedAgainAfterARestore(t *testing.T) {
	a, s := session(t)
	id := a.granted(t, s, yes)
	if err := errors.Join(a.begins(id, a.facts(yes)), a.acts(id, a.facts(yes))); err != nil {
		t.Fatal(err)
	}
	copied := s.copied()
	for t, p := range s.permits {
		copied.permits[t] = proto.CloneOf(p)
	}
	a.ends(id, Unknown)
	a.settles(s)
	a.now += ClearAfter
	a.Clear(a.Doubts()[0].Token, a.now)
	if got := a.settles(s); got != "1@g1 cleared" || len(s.permits) > 0 {
		t.Fatalf("settles %q, open %v", got, s.permits)
	}
	s = copied.restored("g2")
	connected(t, a, s)
	if got := a.settles(s) + ", " + a.settles(s); got != "1@g1 unknown, 1@g1 cleared" || len(s.permits) > 0 {
		t.Errorf("settles %q, open %v", got, s.permits)
	}
}

// journal-goes-back: the controller doubts every permit of the host, and what the journal does not know ends
// only when it is sure that nothing of it runs.
func TestJournalGoesBack(t *testing.T) {
	a, s := session(t)
	record, intents := a.disk, a.intents
	connected(t, a, s)
	a.granted(t, s, yes)
	a.disk, a.intents = record, intents
	a.start()
	connected(t, a, s)
	if got := a.settles(s); got != "" {
		t.Errorf("settles %q at once", got)
	}
	d := a.Doubts()
	if len(d) != 1 || d[0].Attempt != "" || d[0].Token != (Token{"g1", 1}) {
		t.Fatalf("doubts %+v", d)
	}
	if a.Clear(d[0].Token, a.now+ClearAfter-1) {
		t.Error("it is clear too soon after the start")
	}
	a.now += ClearAfter
	if !a.Clear(d[0].Token, a.now) {
		t.Error("it is never clear")
	}
	if got := a.settles(s); got != "1@g1 cleared" || len(s.permits) > 0 || len(a.Doubts()) > 0 {
		t.Errorf("settles %q, open %v", got, s.permits)
	}
}

// Unknown goes on counting: it is reported, and cleared only when nothing runs and the host serves.
func TestUnknownIsReportedThenCleared(t *testing.T) {
	a, s := session(t)
	id := a.granted(t, s, yes)
	if err := errors.Join(a.begins(id, a.facts(yes)), a.acts(id, a.facts(yes))); err != nil {
		t.Fatal(err)
	}
	a.ends(id, Unknown)
	if got := a.settles(s); got != "1@g1 unknown" || len(s.permits) != 1 {
		t.Errorf("settles %q, open %v", got, s.permits)
	}
	a.start() // the doubt outlives the process
	connected(t, a, s)
	a.now += 2 * ClearAfter
	if got := a.settles(s); got != "" {
		t.Errorf("settles %q before it is clear", got)
	}
	if !a.Clear(Token{"g1", 1}, a.now) {
		t.Fatal("not clear")
	}
	c := a.Settles(a.now, []Claim{{"web", down}})[0]
	a.Settled(a.now, TokenOf(c.GetToken()), &logpb.Refusal{Code: "serving", RetryAfter: 1e9})
	if len(a.Doubts()) != 1 {
		t.Error("refused because it does not serve, and it is not looked at again")
	}
	a.now += 2 * time.Second
	a.Clear(Token{"g1", 1}, a.now)
	if got := a.settles(s); got != "1@g1 cleared" || len(s.permits) > 0 {
		t.Errorf("settles %q, open %v", got, s.permits)
	}
}

// The controller counts a permit as unknown, of which this host thinks that it has ended well.
func TestSettlementRefused(t *testing.T) {
	a, s := session(t)
	id := a.granted(t, s, yes)
	if err := errors.Join(a.begins(id, a.facts(yes)), a.acts(id, a.facts(yes))); err != nil {
		t.Fatal(err)
	}
	s.permits[Token{"g1", 1}].Unknown = true
	a.ends(id, Serving)
	a.settles(s)
	a.now += ClearAfter
	if len(a.Doubts()) != 1 || !a.Clear(Token{"g1", 1}, a.now) {
		t.Fatalf("doubts %v", a.Doubts())
	}
	if got := a.settles(s); got != "1@g1 cleared" || len(s.permits) > 0 {
		t.Errorf("settles %q, open %v", got, s.permits)
	}
}

// What may have acted is never called unused, unless evidence after a crash says that it had not begun.
func TestUnusedIsNeverAGuess(t *testing.T) {
	a, s := session(t)
	id := a.granted(t, s, yes)
	if err := errors.Join(a.begins(id, a.facts(yes)), a.acts(id, a.facts(yes))); err != nil {
		t.Fatal(err)
	}
	a.Settle(id, Unused, "")
	if got := a.settles(s); got != "1@g1 unknown" {
		t.Errorf("settles %q", got)
	}
	b, s := session(t)
	id = b.granted(t, s, yes)
	if err := b.begins(id, b.facts(yes)); err != nil {
		t.Fatal(err)
	}
	b.start()
	connected(t, b, s)
	b.Settle(id, Unused, "it had not begun")
	if got := b.settles(s); got != "1@g1 unused" {
		t.Errorf("after a crash: settles %q", got)
	}
}

// A settlement is sent again until it is answered, not more often than that.
func TestSettledUntilAnswered(t *testing.T) {
	a, s := session(t)
	id := a.granted(t, s, yes)
	a.Withdraw(id, "gone")
	for _, c := range []struct {
		after time.Duration
		want  int
	}{{0, 1}, {time.Second, 0}, {resendEvery, 1}, {time.Second, 0}} {
		a.now += c.after
		if got := len(a.Settles(a.now, nil)); got != c.want {
			t.Errorf("after %v: %d settlements, want %d", c.after, got, c.want)
		}
	}
	connected(t, a, s)
	if got := a.settles(s); got != "1@g1 unused" {
		t.Errorf("in a new session: %q", got)
	}
}

// What is remembered of settled permits is bounded; what is open is never forgotten.
func TestKept(t *testing.T) {
	a, s := session(t)
	first := a.granted(t, s, yes)
	if err := errors.Join(a.begins(first, a.facts(yes)), a.acts(first, a.facts(yes))); err != nil {
		t.Fatal(err)
	}
	for range 2 * maxKept {
		a.Withdraw(a.granted(t, s, yes), "")
		a.settles(s)
	}
	if len(a.order) > maxKept+1 || a.byAttempt(first) == nil {
		t.Errorf("%d are kept, and the open one: %v", len(a.order), a.byAttempt(first))
	}
}

func TestClaimsGoWithWhatTheyAreAbout(t *testing.T) {
	a, s := session(t)
	a.Withdraw(a.granted(t, s, yes), "")
	got := a.Settles(a.now, []Claim{{"db", yes}, {"web", down}})
	want := []*logpb.ServiceReport{{Service: "web", Serving: down}}
	if diff := cmp.Diff(want, got[0].GetClaims(), protocmp.Transform()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
