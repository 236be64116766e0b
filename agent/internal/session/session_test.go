package session_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/salveops/salve/agent/internal/session"
	"github.com/salveops/salve/pkg/incident"
	"github.com/salveops/salve/pkg/permit"
	"github.com/salveops/salve/proto/agentpb"
	"github.com/salveops/salve/proto/logpb"
)

// The whole life of one permit, and what the node and the host say of it.
func TestPermit(t *testing.T) {
	online(t, func(r *rig) {
		if st := r.State(); !st.Live || st.Epoch != 1 || st.Generation != "g1" || st.Address == "" || r.Lost() {
			t.Errorf("the line is %+v", st)
		}
		a := r.granted()
		r.acts(a)
		r.wantLog("grant 1@g1 restart")
		if st := r.State(); st.Permits != 1 {
			t.Errorf("%d permits are held", st.Permits)
		}
		r.pass(time.Minute)
		r.wantLog()
		r.Settle(a.Attempt, permit.Serving, "it helped")
		r.wantLog("settle 1@g1 serving")
		r.pass(time.Minute)
		r.wantLog()
		if st := r.State(); st.Permits != 0 || !st.Live {
			t.Errorf("the line is %+v", st)
		}
	})
}

// A refusal brings its reason, and when to ask again.
func TestRefused(t *testing.T) {
	online(t, func(r *rig) {
		r.Refuse("cap", "1 of 3 hosts of web may be under repair at once, and 1 are", 7e9)
		err := r.Ask(context.Background(), r.newAsk())
		var no *session.Refusal
		if !errors.As(err, &no) || no.Code != "cap" || no.RetryAfter != 7*time.Second || !strings.Contains(no.Text, "1 of 3") {
			t.Errorf("%#v", err)
		}
		r.Refuse("", "", 0)
		r.granted()
		r.wantLog("refuse restart cap", "grant 1@g1 restart")
	})
}

// grant-nobody-waits-for: whoever asked has gone, and the grant goes back as unused.
func TestGrantNobodyWaitsFor(t *testing.T) {
	online(t, func(r *rig) {
		r.Hold(true)
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if err := r.Ask(ctx, r.newAsk()); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v", err)
		}
		r.Hold(false)
		r.wantLog("grant 1@g1 restart", "settle 1@g1 unused")

		a := r.granted() // and then its turn does not come
		r.Withdraw(a.Attempt, "the facts changed")
		r.wantLog("grant 2@g1 restart", "settle 2@g1 unused")

		r.granted() // and then the process dies
		r.restart()
		r.connected()
		r.wantLog("grant 3@g1 restart", "settle 3@g1 unused")
	})
}

// An answer that does not come in time is no answer; the session that did not bring it begins anew and finds
// what was granted.
func TestUnanswered(t *testing.T) {
	online(t, func(r *rig) {
		r.Hold(true)
		began := r.now()
		if got := r.refused(); got != session.Unanswered {
			t.Errorf("refused as %q", got)
		}
		if took := r.now() - began; took > permit.StartBy {
			t.Errorf("it waited for %v", took)
		}
		r.pass(5 * time.Second)
		r.connected()
		r.wantLog("grant 1@g1 restart", "settle 1@g1 unused")
	})
}

func TestUnreachable(t *testing.T) {
	online(t, func(r *rig) {
		r.Down(true)
		synctest.Wait()
		if got := r.refused(); got != session.Unreachable {
			t.Errorf("refused as %q", got)
		}
		if st := r.State(); st.Live || st.Failed == "" || st.Address != "" {
			t.Errorf("the line is %+v", st)
		}
		r.pass(11 * time.Second)
		if !r.Lost() {
			t.Error("the controller is not lost")
		}
		r.Down(false)
		r.connected()
		if r.Lost() {
			t.Error("the controller is still lost")
		}
		r.granted()
	})
}

// What waits for its answer when the line breaks hears so at once.
func TestLineBreaksWhileAsking(t *testing.T) {
	online(t, func(r *rig) {
		r.Hold(true)
		answer := make(chan error, 1)
		a := r.newAsk()
		go func() { answer <- r.Ask(context.Background(), a) }()
		synctest.Wait()
		r.Cut()
		synctest.Wait()
		var no *session.Refusal
		if err := <-answer; !errors.As(err, &no) || no.Code != session.Unanswered {
			t.Errorf("%v", err)
		}
		r.connected()
		r.wantLog("grant 1@g1 restart", "settle 1@g1 unused")
	})
}

// The session that asked is over before its turn has come: a token acts in the epoch that asked.
func TestEpochPasses(t *testing.T) {
	online(t, func(r *rig) {
		a := r.granted()
		r.Cut()
		r.pass(2 * time.Second)
		r.connected()
		if _, err := r.Begin(a.Attempt, r.facts()); err == nil {
			t.Error("it begins")
		}
		r.wantLog("grant 1@g1 restart", "settle 1@g1 unused")
	})
}

// What acts goes on across sessions and processes, and is settled under its own token.
func TestActsAcrossSessions(t *testing.T) {
	for _, across := range []string{"a session", "a process", "a new generation", "a restore from before it"} {
		t.Run(across, func(t *testing.T) {
			online(t, func(r *rig) {
				restore := r.Backup()
				a := r.granted()
				if across == "a new generation" {
					restore = r.Backup()
				}
				r.acts(a)
				r.Log()
				switch across {
				case "a session":
					r.Cut()
				case "a process":
					r.restart()
				default: // old-settle-new-generation
					restore("g2")
				}
				r.pass(5 * time.Second)
				r.connected()
				if got := r.Permits(); !slices.Equal(got, []string{"1@g1"}) {
					t.Errorf("counted are %q", got)
				}
				r.Settle(a.Attempt, permit.Failed, "it did not help")
				synctest.Wait()
				if got := r.Permits(); len(got) > 0 {
					t.Errorf("counted are %q", got)
				}
			})
		})
	}
}

// A process that died after the outcome was on disk, and before the controller knew it.
func TestOutcomeIsToldByTheNextProcess(t *testing.T) {
	for outcome, want := range map[incident.Outcome]string{
		incident.Verified: "settle 1@g1 serving", incident.Ineffective: "settle 1@g1 failed",
		incident.Worse: "settle 1@g1 failed",
	} {
		online(t, func(r *rig) {
			a := r.granted()
			r.acts(a)
			r.Down(true)
			past, err := r.journal.Attempt(a.Attempt)
			if err != nil {
				t.Fatal(err)
			}
			past.Phase, past.Outcome = incident.Judged, outcome
			if err := r.journal.PutAttempt(past); err != nil {
				t.Fatal(err)
			}
			r.restart()
			r.Down(false)
			r.connected()
			r.wantLog("grant 1@g1 restart", want)
		})
	}
}

// Unknown goes on counting across processes, until nothing of it runs and the host serves.
func TestUnknownIsCleared(t *testing.T) {
	online(t, func(r *rig) {
		a := r.granted()
		r.acts(a)
		past, err := r.journal.Attempt(a.Attempt)
		if err != nil {
			t.Fatal(err)
		}
		past.Phase = incident.Unknown
		if err := r.journal.PutAttempt(past); err != nil {
			t.Fatal(err)
		}
		r.restart()
		r.connected()
		if got := r.Permits(); !slices.Equal(got, []string{"1@g1 unknown"}) {
			t.Errorf("counted are %q", got)
		}
		r.pass(permit.ClearAfter)
		r.serves(logpb.Serving_SERVING_DOWN)
		for _, d := range r.Doubts() {
			r.Clear(d.Token)
		}
		r.pass(time.Second)
		if got := r.Permits(); len(got) != 1 {
			t.Errorf("it is cleared although the host does not serve: %q", got)
		}
		r.serves(logpb.Serving_SERVING_YES)
		r.pass(2 * time.Second)
		for _, d := range r.Doubts() {
			r.Clear(d.Token)
		}
		r.pass(2 * time.Second)
		if got := r.Permits(); len(got) != 0 || len(r.Doubts()) != 0 {
			t.Errorf("counted are %q, doubted %v", got, r.Doubts())
		}
		r.restart()
		r.connected()
		if got := r.Doubts(); len(got) != 0 {
			t.Errorf("the next process doubts again: %v", got)
		}
	})
}

// The nonce is the same until it was answered: a hello whose answer is lost is no fork.
func TestAnswerToHelloIsLost(t *testing.T) {
	offline(t, func(r *rig) {
		r.Mute(true)
		r.start()
		r.until("two hellos", 5*time.Minute, func() bool { return r.Hellos() >= 2 })
		r.restart()
		r.until("a hello of the next process", 5*time.Minute, func() bool { return r.Hellos() >= 3 })
		r.Mute(false)
		r.connected()
		if st := r.State(); st.Epoch != 1 {
			t.Errorf("epoch %d: hellos with lost answers became sessions of their own", st.Epoch)
		}
		if strings.Contains(r.Log(), "went back") {
			t.Error("the controller takes it for a journal that went back")
		}
	})
}

// journal-goes-back: an old copy of the disk. What it had open is doubted, its events go on in another stream.
func TestJournalGoesBack(t *testing.T) {
	online(t, func(r *rig) {
		r.fires("one")
		synctest.Wait()
		r.kill()
		copied := copyOf(t, r.dir)
		r.start()
		r.connected()
		r.fires("two")
		synctest.Wait()
		a := r.granted()
		r.acts(a)
		r.kill()
		r.dir = copied
		r.start()
		r.connected()
		if got := r.Permits(); !slices.Equal(got, []string{"1@g1 unknown"}) {
			t.Errorf("counted are %q", got)
		}
		if len(r.moved) != 1 || r.outbox.Stream() != "stream-1" {
			t.Errorf("the stream is %s, moved %v", r.outbox.Stream(), r.moved)
		}
		r.fires("three") // event-number-reused: it has the number of "two", in another stream
		if got := r.told(); got != "one two three" {
			t.Errorf("told: %s", got)
		}
		r.pass(permit.ClearAfter)
		for _, d := range r.Doubts() {
			r.Clear(d.Token)
		}
		r.pass(2 * time.Second)
		if got := r.Permits(); len(got) > 0 {
			t.Errorf("counted are %q", got)
		}
	})
}

// The answer that names another stream is lost: the next one names the same, and no number is used twice.
func TestJournalGoesBackAndTheAnswerIsLost(t *testing.T) {
	online(t, func(r *rig) {
		r.fires("one")
		synctest.Wait()
		r.kill()
		copied := copyOf(t, r.dir)
		r.start()
		r.connected()
		r.fires("two")
		synctest.Wait()
		r.kill()
		r.dir = copied
		r.Mute(true)
		r.start()
		r.fires("three")
		r.until("two hellos", time.Minute, func() bool { return r.Hellos() >= 4 })
		r.Mute(false)
		r.connected()
		if got := r.told(); got != "one two three" {
			t.Errorf("told: %s", got)
		}
	})
}

// one-way-link: pings arrive and answers do not. Then there is no line.
func TestOneWayLink(t *testing.T) {
	online(t, func(r *rig) {
		r.Deaf(true)
		r.Mute(true)
		r.pass(9 * time.Second)
		if !r.State().Live {
			t.Error("the session ended too soon")
		}
		r.pass(5 * time.Second)
		if st := r.State(); st.Live || !r.Lost() {
			t.Errorf("the line is %+v", st)
		}
	})
}

// A generation that was left is never entered again, whoever still serves it.
func TestGenerationLeft(t *testing.T) {
	online(t, func(r *rig) {
		old, next := r.Backup(), r.Backup()
		next("g2")
		r.pass(time.Second)
		r.connected()
		old("g1")
		r.pass(time.Minute)
		if st := r.State(); st.Live || !strings.Contains(st.Failed, "was left") {
			t.Errorf("the line is %+v", st)
		}
		next("g2")
		r.connected()
	})
}

// A leader that lacks what this host has seen has gone back in time: it begins a generation.
func TestLeaderWentBack(t *testing.T) {
	online(t, func(r *rig) {
		before := r.Backup()
		r.Pause("all", "eve", 0)
		r.pass(time.Second)
		before("g1")
		r.pass(2 * time.Second)
		r.connected()
		if st := r.State(); st.Generation != "g1+" {
			t.Errorf("the line is %+v", st)
		}
	})
}

// What a node says instead of a welcome, and what the host does then.
func TestLastWords(t *testing.T) {
	for _, c := range []struct {
		name string
		word *agentpb.ConnectResponse
		says string
		most time.Duration // until the next hello, once the word is no longer said
	}{
		{"minority-frozen", &agentpb.ConnectResponse{What: &agentpb.ConnectResponse_NoQuorum{
			NoQuorum: &agentpb.NoQuorum{Since: int64(time.Minute)}}}, "sees no leader, for 1m0s now", 25 * time.Second},
		{"busy", &agentpb.ConnectResponse{What: &agentpb.ConnectResponse_Busy{Busy: &agentpb.Busy{RetryAfter: 3e9}}},
			"busy", 5 * time.Second},
		{"redirect", &agentpb.ConnectResponse{What: &agentpb.ConnectResponse_Redirect{
			Redirect: &agentpb.Redirect{Address: "node-3"}}}, "another node leads: node-3", 25 * time.Second},
		{"quarantined", &agentpb.ConnectResponse{What: &agentpb.ConnectResponse_TurnedAway{
			TurnedAway: &agentpb.TurnedAway{Code: "quarantined", Text: "see salve hosts adopt"}}}, "see salve hosts adopt",
			46 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			offline(t, func(r *rig) {
				r.Last(c.word)
				r.start()
				r.pass(20 * time.Second)
				if st := r.State(); st.Live || !strings.Contains(st.Failed, c.says) || !r.Lost() {
					t.Errorf("the line is %+v", st)
				}
				if n := r.Hellos(); n > 40 {
					t.Errorf("%d hellos in 20 s", n)
				}
				r.Last(nil)
				r.pass(c.most)
				if !r.State().Live {
					t.Errorf("not connected after %v: %+v", c.most, r.State())
				}
			})
		})
	}
}

// A host that was turned away, and is let in again, does not wait out its pause.
func TestRetry(t *testing.T) {
	offline(t, func(r *rig) {
		let := make(chan struct{})
		r.change = func(o *session.Options) { o.Retry = func() <-chan struct{} { return let } }
		r.Last(&agentpb.ConnectResponse{What: &agentpb.ConnectResponse_TurnedAway{
			TurnedAway: &agentpb.TurnedAway{Code: "removed", Text: "revoked"}}})
		r.start()
		r.pass(time.Second)
		r.Last(nil)
		r.pass(time.Second)
		if r.State().Live || r.Hellos() != 1 {
			t.Fatalf("after %d hellos the line is %+v", r.Hellos(), r.State())
		}
		close(let)
		r.pass(0)
		if !r.State().Live || r.Hellos() != 2 {
			t.Errorf("after %d hellos the line is %+v", r.Hellos(), r.State())
		}
	})
}

// A redirect is followed at once.
func TestRedirectIsFollowed(t *testing.T) {
	offline(t, func(r *rig) {
		var dialled []string
		r.change = func(o *session.Options) {
			dial := o.Dial
			o.Dial = func(ctx context.Context, address string) (session.Line, error) {
				dialled = append(dialled, address)
				if address == "leader" {
					r.Last(nil)
				}
				return dial(ctx, address)
			}
		}
		r.Last(&agentpb.ConnectResponse{What: &agentpb.ConnectResponse_Redirect{Redirect: &agentpb.Redirect{Address: "leader"}}})
		r.start()
		r.pass(200 * time.Millisecond)
		if !r.State().Live || len(dialled) != 2 || dialled[1] != "leader" {
			t.Errorf("dialled %q, the line is %+v", dialled, r.State())
		}
	})
}

// What this host serves is told when it changes; other services take another hello.
func TestServing(t *testing.T) {
	online(t, func(r *rig) {
		r.serves(logpb.Serving_SERVING_DOWN)
		r.wantLog("edge web down")
		r.serves(logpb.Serving_SERVING_DOWN)
		r.wantLog()
		r.Serving([]*logpb.ServiceReport{{Service: "db", Serving: logpb.Serving_SERVING_HELD}, {Service: "web"}})
		r.pass(time.Second)
		r.connected()
		if r.Serving2("db") != logpb.Serving_SERVING_HELD || r.Hellos() != 2 {
			t.Errorf("db is %v, after %d hellos", r.Serving2("db"), r.Hellos())
		}
	})
}

// What changes while the node judges the hello is told as soon as there is a session.
func TestServingChangesDuringHello(t *testing.T) {
	web := func(s logpb.Serving) *logpb.ServiceReport {
		return &logpb.ServiceReport{Service: "web", Serving: s, DependsOn: []string{"db"}, Detection: 1e9}
	}
	for name, tc := range map[string]struct {
		now    []*logpb.ServiceReport
		hellos int
	}{
		"what it serves": {[]*logpb.ServiceReport{web(logpb.Serving_SERVING_DOWN)}, 1},
		"its services":   {[]*logpb.ServiceReport{{Service: "db"}, web(logpb.Serving_SERVING_DOWN)}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			offline(t, func(r *rig) {
				r.change = func(o *session.Options) {
					o.Step = func(step string) {
						if step == "welcome" {
							r.Serving(tc.now)
						}
					}
				}
				r.start()
				r.pass(time.Second)
				r.connected()
				if got := r.Serving2("web"); got != logpb.Serving_SERVING_DOWN || r.Hellos() != tc.hellos {
					t.Errorf("web is %v, after %d hellos", got, r.Hellos())
				}
			})
		})
	}
}

// Until it is known what this host serves, a hello would make the controller forget its services.
func TestNoHelloBeforeServing(t *testing.T) {
	offline(t, func(r *rig) {
		r.mute = true
		r.start()
		r.pass(time.Minute)
		if r.Hellos() != 0 {
			t.Errorf("%d hellos of a host that does not know yet what it serves", r.Hellos())
		}
		r.serves(logpb.Serving_SERVING_YES)
		r.connected()
		if got := r.Serving2("web"); got != logpb.Serving_SERVING_YES {
			t.Errorf("web is %v", got)
		}
	})
}
