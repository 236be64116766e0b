package journal

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/salveops/salve/pkg/clock"
	"github.com/salveops/salve/pkg/incident"
	"github.com/salveops/salve/proto/logpb"
)

// box is an outbox to which tests say what fires.
type box struct{ *Outbox }

func outbox(t testing.TB, j *Journal) *box {
	t.Helper()
	o, err := j.Outbox()
	must(t, err)
	return &box{o}
}

// Add gives alerts their key.
func (b *box) Add(ev *logpb.Event) uint64 {
	if a := ev.GetFired(); a != nil {
		return b.AddAlert(func(incident.AlertKey) *logpb.Alert { return a }).N
	}
	return b.Outbox.Add(ev)
}

func fires(rule string) *logpb.Event {
	return &logpb.Event{What: &logpb.Event_Fired{Fired: &logpb.Alert{Rule: rule}}}
}

func ends(o *box, n uint64) *logpb.Event {
	return &logpb.Event{What: &logpb.Event_Resolved{Resolved: &logpb.AlertEnd{
		Key: &logpb.AlertKey{Host: o.j.Host(), Stream: o.Stream(), N: n},
	}}}
}

func line(text string) *logpb.Event {
	return &logpb.Event{What: &logpb.Event_Story{Story: &logpb.Story{Event: &logpb.TimelineEvent{Type: "decide", Text: text}}}}
}

// told are the events after a number, one a word: "1:fires", "2:ends 1", "3:text", "4:" for one that says nothing.
func told(t testing.TB, o *box, after uint64) string {
	t.Helper()
	events, err := o.Read(t.Context(), after, 1000)
	must(t, err)
	var out []string
	for i, ev := range events {
		if ev.GetN() != after+1+uint64(i) {
			t.Errorf("event %d comes where %d should", ev.GetN(), after+1+uint64(i))
		}
		text := ""
		switch what := ev.GetWhat().(type) {
		case *logpb.Event_Fired:
			text = "fires"
			if k := what.Fired.GetKey(); k.GetN() != ev.GetN() || k.GetStream() != o.Stream() || k.GetHost() != o.j.Host() {
				t.Errorf("event %d has the key %v", ev.GetN(), k)
			}
		case *logpb.Event_Resolved:
			text = fmt.Sprintf("ends %d", what.Resolved.GetKey().GetN())
			if what.Resolved.GetKey().GetStream() != o.Stream() {
				text += " of another stream"
			}
		case *logpb.Event_Story:
			text = what.Story.GetEvent().GetText()
		}
		out = append(out, fmt.Sprintf("%d:%s", ev.GetN(), text))
	}
	return strings.Join(out, ", ")
}

func wantTold(t testing.TB, o *box, after uint64, want string) {
	t.Helper()
	if got := told(t, o, after); got != want {
		t.Errorf("after %d it tells %q, want %q", after, got, want)
	}
}

// crashed opens a copy of the journal as a crash at this moment would leave it.
func crashed(t testing.TB, dir string, o Options) *Journal {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(dir, fileName))
	must(t, err)
	copied := t.TempDir()
	must(t, os.WriteFile(filepath.Join(copied, fileName), raw, 0o600))
	j, _ := open(t, copied, o)
	return j
}

func TestOutboxSurvives(t *testing.T) {
	dir, hands := t.TempDir(), newHand()
	j, _ := open(t, dir, Options{Clock: hands})
	o := outbox(t, j)
	stream := o.Stream()
	if n := o.Add(fires("down")); n != 1 {
		t.Errorf("the first number is %d", n)
	}
	o.Add(line("decided"))
	o.Add(ends(o, 1))
	must(t, o.Commit())
	wantTold(t, o, 0, "1:fires, 2:decided, 3:ends 1")
	wantTold(t, o, 2, "3:ends 1")
	wantTold(t, o, 3, "")
	o.Ack(stream, 2)
	mustClose(t, j)

	j, _ = open(t, dir, Options{Clock: hands})
	o = outbox(t, j)
	if o.Stream() != stream || o.Last() != 3 || o.Unacknowledged() != 1 {
		t.Errorf("stream %s, last %d, unacknowledged %d", o.Stream(), o.Last(), o.Unacknowledged())
	}
	wantTold(t, o, 0, "1:fires, 2:decided, 3:ends 1") // for a controller that was restored
	if n := o.Add(line("later")); n != 4 {
		t.Errorf("goes on with %d", n)
	}
	if _, err := j.Outbox(); err == nil {
		t.Error("it can be opened twice")
	}
}

// An event and the incident that it is about are on disk together, or neither is: an alert that the
// controller knows and this host does not would never end.
func TestEventAndIncidentAreOne(t *testing.T) {
	dir := t.TempDir()
	j, _ := open(t, dir, Options{Limits: Limits{FlushEvery: time.Hour}})
	o := outbox(t, j)
	mustFlush(t, j)
	o.Add(fires("down"))
	mustFlush(t, j) // whatever else reaches the disk
	if before := crashed(t, dir, Options{}); outbox(t, before).Last() != 0 {
		t.Error("the event is there without its incident")
	}
	must(t, j.PutIncident(story("0a", clock.Now(newHand()))))
	mustFlush(t, j)
	after := crashed(t, dir, Options{})
	if _, err := after.Incident("0a"); err != nil || outbox(t, after).Last() != 1 {
		t.Errorf("not both are there: %v", err)
	}
}

// What is not durable is not told: after a crash its number would be another event's (event-number-reused).
func TestOnlyWhatIsDurableIsTold(t *testing.T) {
	dir := t.TempDir()
	j, _ := open(t, dir, Options{Limits: Limits{FlushEvery: time.Hour}})
	o := outbox(t, j)
	o.Add(fires("one"))
	must(t, o.Commit())
	o.Add(fires("two")) // waits for its incident
	wantTold(t, o, 0, "1:fires")
	if last := outbox(t, crashed(t, dir, Options{})).Last(); last != 1 {
		t.Errorf("after a crash the last number is %d", last)
	}
}

// While the disk takes nothing, alerts go out from memory, in order; lines give way when there are too many.
func TestDiskTakesNothing(t *testing.T) {
	j, _ := open(t, t.TempDir(), Options{Limits: Limits{File: 64 << 10, RetryEvery: time.Millisecond, OutboxTail: 8}})
	o := outbox(t, j)
	o.Add(fires("one"))
	must(t, o.Commit())
	mustFlush(t, j)
	for i := 0; j.Flush(t.Context()) == nil; i++ { // until nothing fits any more
		must(t, j.Space("ballast").PutSoon(fmt.Sprint(i), strings.Repeat("x", 8<<10)))
	}
	o.Add(line("a"))
	o.Add(fires("two"))
	must(t, o.Commit())
	wantTold(t, o, 0, "1:fires")
	wantTold(t, o, 1, "2:a, 3:fires")
	for range 8 {
		o.Add(line("b"))
	}
	if got := told(t, o, 1); !strings.HasPrefix(got, "2:, 3:fires, 4:, ") || !strings.HasSuffix(got, "11:b") {
		t.Errorf("it tells %q", got)
	}
}

func TestOutboxForgets(t *testing.T) {
	hands := newHand()
	j, _ := open(t, t.TempDir(), Options{Clock: hands})
	o := outbox(t, j)
	for range 4 {
		o.Add(fires("x"))
	}
	must(t, o.Commit())
	mustFlush(t, j)
	o.Ack(o.Stream(), 2)
	hands.pass(23 * time.Hour)
	o.Ack(o.Stream(), 3)
	o.Ack("another", 4)
	o.Ack(o.Stream(), 9)
	mustFlush(t, j)
	j.prune()
	wantTold(t, o, 0, "1:fires, 2:fires, 3:fires, 4:fires")
	hands.pass(time.Hour)
	j.prune()
	wantTold(t, o, 0, "1:, 2:, 3:fires, 4:fires")
	hands.pass(72 * time.Hour)
	j.prune()
	wantTold(t, o, 0, "1:, 2:, 3:, 4:fires") // nobody has the fourth
	if o.Unacknowledged() != 1 {
		t.Errorf("unacknowledged %d", o.Unacknowledged())
	}
}

// Beyond the bound lines are left out, which is said in the place of the last of them. Alerts, outcomes and
// what people are to be told never are.
func TestLinesGiveWay(t *testing.T) {
	dir := t.TempDir()
	j, _ := open(t, dir, Options{Limits: Limits{OutboxLines: 4}})
	o := outbox(t, j)
	o.Add(fires("x"))
	o.Add(line("a"))
	o.Add(line("b"))
	outcome := line("outcome")
	outcome.GetStory().Outcome = &logpb.Statistic{Verified: 1}
	o.Add(outcome)
	o.Add(line("c"))
	o.Add(&logpb.Event{What: &logpb.Event_HandOver{HandOver: &logpb.HandOver{Reason: "spent"}}})
	o.Add(line("d"))
	o.Add(line("e"))
	must(t, o.Commit())
	mustFlush(t, j)
	j.prune()
	const want = "1:fires, 2:, 3:, 4:outcome, 5:2 lines of this host's stories before this one were left out: " +
		"nobody could be told for too long; c, 6:, 7:d, 8:e"
	wantTold(t, o, 0, want)
	mustClose(t, j)
	j, _ = open(t, dir, Options{})
	wantTold(t, outbox(t, j), 0, want)
}

// journal-goes-back: the controller asks for another stream; what it does not have is numbered anew, and the
// ends of alerts follow their alerts.
func TestMove(t *testing.T) {
	dir := t.TempDir()
	j, _ := open(t, dir, Options{})
	o := outbox(t, j)
	old := o.Stream()
	o.Add(fires("known"))
	o.Add(line("known"))
	must(t, o.Commit())
	o.Ack(old, 2)
	o.Add(fires("new"))
	o.Add(ends(o, 1))
	o.Add(ends(o, 3))
	must(t, o.Commit())
	o.Add(fires("waits"))
	numbers, err := o.Move("next")
	must(t, err)
	if fmt.Sprint(numbers) != "map[3:1 6:4]" {
		t.Errorf("alerts moved: %v", numbers)
	}
	want := "1:fires, 2:ends 1 of another stream, 3:ends 1, 4:fires"
	wantTold(t, o, 0, want)
	late := ends(o, 6)
	late.GetResolved().GetKey().Stream = old
	o.Add(late) // said by somebody who does not know yet
	must(t, o.Commit())
	wantTold(t, o, 4, "5:ends 4")
	mustClose(t, j)

	j, _ = open(t, dir, Options{})
	o = outbox(t, j)
	if o.Stream() != "next" || o.Last() != 5 || o.Unacknowledged() != 5 {
		t.Errorf("stream %s, last %d, unacknowledged %d", o.Stream(), o.Last(), o.Unacknowledged())
	}
	wantTold(t, o, 0, want+", 5:ends 4")
	again := ends(o, 3)
	again.GetResolved().GetKey().Stream = old
	o.Add(again)
	must(t, o.Commit())
	wantTold(t, o, 5, "6:ends 1")
}

// However much it says, an event fits into a record, and the events after it are not held up.
func TestLargeEvents(t *testing.T) {
	j, _ := open(t, t.TempDir(), Options{})
	o := outbox(t, j)
	huge := fires("x")
	huge.GetFired().Condition = strings.Repeat("ü", 1<<20)
	huge.GetFired().Values = []string{strings.Repeat("v", 1<<20)}
	o.Add(huge)
	wide := line(strings.Repeat("ü", 1<<20) + "\xff")
	wide.GetStory().GetEvent().Fields = []*logpb.Label{{Name: "n", Value: strings.Repeat("v", 1<<20)}}
	o.Add(wide)
	must(t, o.Commit())
	events, err := o.Read(t.Context(), 0, 10)
	if err != nil || len(events) != 2 {
		t.Errorf("%d events, %v", len(events), err)
	}
	odd := fires("\xff")
	odd.GetFired().Values = []string{"\xfe", "good"}
	o.Add(odd)
	must(t, o.Commit())
	events, err = o.Read(t.Context(), 2, 10)
	if err != nil || len(events) != 1 || events[0].GetFired().GetRule() != "?" || events[0].GetFired().GetValues()[0] != "?" {
		t.Errorf("%v, %v", events, err)
	}
}

// A host that is alone has no outbox, and its journal is as it was.
func TestAloneHasNoOutbox(t *testing.T) {
	j, _ := open(t, t.TempDir(), Options{})
	must(t, j.PutIncident(story("0a", clock.Now(newHand()))))
	mustFlush(t, j)
	j.prune()
	if keys := rawKeys(t, j); strings.Contains(strings.Join(keys, " "), bucketOutbox) {
		t.Errorf("buckets: %q", keys)
	}
}

// An attempt that had the controller's leave is kept for as long as the controller may ask.
func TestPermittedAttemptsAreKept(t *testing.T) {
	hands := newHand()
	j, _ := open(t, t.TempDir(), Options{Clock: hands})
	for _, id := range []string{"plain", "permitted"} {
		a := attempt(id, "gone", clock.Now(hands))
		a.Phase = incident.Judged
		if id == "permitted" {
			a.Permit = someHeld()
		}
		must(t, j.PutAttempt(a))
	}
	hands.pass(29 * 24 * time.Hour)
	j.prune()
	left, err := j.PermittedAttempts()
	must(t, err)
	if _, err := j.Attempt("plain"); err == nil || len(left) != 1 {
		t.Errorf("plain: %v, permitted: %d", err, len(left))
	}
	hands.pass(2 * 24 * time.Hour)
	j.prune()
	if left, _ := j.PermittedAttempts(); len(left) != 0 {
		t.Errorf("it is kept for ever: %d", len(left))
	}
}

// Whatever comes in which order, with crashes in between: numbers have no gaps, and no alert is lost that
// was on disk and that nobody has.
func TestOutboxProperty(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		dir, hands := t.TempDir(), newHand()
		limits := Limits{OutboxLines: 6, FlushEvery: time.Hour}
		j, _, err := Open(dir, Options{Clock: hands, Limits: limits})
		must(t, err)
		defer func() { j.Close() }()
		o := outbox(t, j)
		durable := map[string]bool{} // alerts that must be told
		soon := map[string]bool{}
		serial, streams := 0, 0
		rt.Repeat(map[string]func(*rapid.T){
			"fire": func(*rapid.T) {
				serial++
				name := fmt.Sprint(serial)
				o.Add(fires(name))
				soon[name] = true
			},
			"line": func(*rapid.T) { o.Add(line("x")) },
			"commit": func(rt *rapid.T) {
				if err := o.Commit(); err != nil {
					rt.Fatal(err)
				}
				mustFlush(t, j)
				for name := range soon {
					durable[name] = true
				}
				clear(soon)
			},
			"ack": func(rt *rapid.T) {
				events, _ := o.Read(context.Background(), o.acked, rapid.IntRange(1, 5).Draw(rt, "most"))
				for _, ev := range events {
					delete(durable, ev.GetFired().GetRule())
					o.Ack(o.Stream(), ev.GetN())
				}
			},
			"pass":  func(rt *rapid.T) { hands.pass(time.Duration(rapid.IntRange(1, 30).Draw(rt, "h")) * time.Hour) },
			"prune": func(*rapid.T) { mustFlush(t, j); j.prune() },
			"move": func(rt *rapid.T) {
				streams++
				if _, err := o.Move(fmt.Sprint("stream-", streams)); err != nil {
					rt.Fatal(err)
				}
				for name := range soon { // they come with it
					durable[name] = true
				}
				clear(soon)
				mustFlush(t, j)
			},
			"reopen": func(rt *rapid.T) {
				mustFlush(t, j)
				must(t, j.Close())
				if j, _, err = Open(dir, Options{Clock: hands, Limits: limits}); err != nil {
					rt.Fatal(err)
				}
				o = outbox(t, j)
				clear(soon) // they waited for a record that never came
			},
			"": func(rt *rapid.T) {
				left := map[string]bool{}
				for after := o.acked; ; {
					events, err := o.Read(context.Background(), after, 3)
					if err != nil {
						rt.Fatal(err)
					}
					if len(events) == 0 {
						break
					}
					for _, ev := range events {
						if after++; ev.GetN() != after {
							rt.Fatalf("event %d where %d should be", ev.GetN(), after)
						}
						left[ev.GetFired().GetRule()] = true
					}
				}
				for name := range durable {
					if !left[name] {
						rt.Fatalf("alert %s is lost", name)
					}
				}
			},
		})
	})
}
