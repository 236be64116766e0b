package escalate

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/salveops/salve/agent/internal/journal"
	"github.com/salveops/salve/pkg/clock"
	"github.com/salveops/salve/pkg/incident"
	"github.com/salveops/salve/pkg/notify"
)

var (
	errDown    = errors.New("connection refused")
	errRefused = notify.Permanent(errors.New("unknown recipient"))
)

func TestDelivery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := &mailbox{}, &mailbox{}
		r := start(t, newDisk(), map[string]notify.Sender{"email.a": a, "webhook.b": b}, nil)
		defer r.stop()
		r.Send(story(incident.Escalated), trigger(0, "email.a"))
		synctest.Wait()
		r.Send(story(incident.Escalated), trigger(0, "email.a")) // once is enough
		r.Send(story(incident.Escalated), trigger(1, "email.a", "webhook.b"))
		again := trigger(1, "email.a")
		again.Key, again.Repeat = "0a/1/1", 1
		r.Send(story(incident.Escalated), again)
		synctest.Wait()
		r.Send(story(incident.Resolved), bye("email.a", "webhook.b"))
		r.Send(story(incident.Resolved), bye("email.a", "webhook.b"))
		r.Send(story(incident.Escalated), trigger(2, "email.a")) // late
		synctest.Wait()
		if got, want := a.received(), "trigger 0a/0/0, trigger 0a/1/0, reminder 0a/1/1, resolve 0a/resolved"; got != want {
			t.Errorf("email.a got %s", got)
		}
		if got, want := b.received(), "trigger 0a/1/0, resolve 0a/resolved"; got != want {
			t.Errorf("webhook.b got %s", got)
		}
		if n := len(r.reports.texts()); n != 6 || r.Waiting() != 0 {
			t.Errorf("%d reports, %d waiting", n, r.Waiting())
		}
	})
}

func TestNobodyIsToldIsSaid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, newDisk(), nil, nil)
		defer r.stop()
		r.Send(story(incident.Escalated), trigger(0))
		r.Send(story(incident.Escalated), trigger(1, "email.gone"))
		synctest.Wait()
		want := []string{
			" 0a/0/0 there is no notifier: nobody is told (final)", "email.gone 0a/1/0 there is no such notifier (final)",
		}
		if diff := cmp.Diff(want, r.reports.texts()); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
	})
}

// Waits double from a second to five minutes, with jitter, and start anew after a success.
func TestRetries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &mailbox{answer: func(_ context.Context, n int, _ notify.Message) error {
			if n < 14 {
				return errDown
			}
			return nil
		}}
		r := start(t, newDisk(), map[string]notify.Sender{"a": a}, nil)
		defer r.stop()
		r.Send(story(incident.Escalated), trigger(0, "a"))
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		if len(a.tried) != 14 || a.received() != "trigger 0a/0/0" {
			t.Fatalf("%d tries, got %s", len(a.tried), a.received())
		}
		want, varied := time.Second, false
		for i := 1; i < len(a.tried); i++ {
			gap := a.tried[i].Sub(a.tried[i-1])
			if gap < want*8/10 || gap > want*12/10 {
				t.Errorf("wait %d was %v, want %v ± 20 %%", i, gap, want)
			}
			varied = varied || gap != want
			want = min(2*want, 5*time.Minute)
		}
		if !varied {
			t.Error("no jitter")
		}
		said := strings.Join(r.reports.texts(), "; ")
		if n := strings.Count(said, "refused"); n != 4 || !strings.HasSuffix(said, "told") { // after 1, 2, 4, 8
			t.Errorf("reports: %s", said)
		}
	})
}

func TestRetryAfterIsObeyed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &mailbox{answer: func(_ context.Context, n int, _ notify.Message) error {
			if n == 1 {
				return &notify.Error{RetryAfter: 10 * time.Minute, Err: errDown}
			}
			return nil
		}}
		r := start(t, newDisk(), map[string]notify.Sender{"a": a}, nil)
		defer r.stop()
		r.Send(story(incident.Escalated), trigger(0, "a"))
		time.Sleep(time.Hour)
		synctest.Wait()
		if gap := a.tried[1].Sub(a.tried[0]); gap != 10*time.Minute {
			t.Errorf("tried again after %v", gap)
		}
	})
}

func TestGivingUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		down := func(context.Context, int, notify.Message) error { return errDown }
		r := start(t, newDisk(), map[string]notify.Sender{"a": &mailbox{answer: down}}, nil)
		defer r.stop()
		r.Send(story(incident.Escalated), trigger(0, "a"))
		time.Sleep(25 * time.Hour)
		synctest.Wait()
		said := r.reports.texts()
		if last := said[len(said)-1]; last != "a 0a/0/0 given up after 24h0m0s (final)" || r.Waiting() != 0 {
			t.Errorf("last report %q, %d waiting", last, r.Waiting())
		}
	})
}

// A refusal is final at once, and the place that refused hears nothing of the end.
func TestRefusal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		no := func(context.Context, int, notify.Message) error { return errRefused }
		a, b := &mailbox{answer: no}, &mailbox{}
		r := start(t, newDisk(), map[string]notify.Sender{"a": a, "b": b}, nil)
		defer r.stop()
		r.Send(story(incident.Escalated), trigger(0, "a"))
		synctest.Wait()
		if diff := cmp.Diff([]string{"a 0a/0/0 unknown recipient (final)"}, r.reports.texts()); diff != "" {
			t.Error(diff)
		}
		r.Send(story(incident.Escalated), trigger(1, "b"))
		synctest.Wait()
		r.Send(story(incident.Resolved), bye("a", "b"))
		synctest.Wait()
		if len(a.tried) != 1 || b.received() != "trigger 0a/1/0, resolve 0a/resolved" {
			t.Errorf("a tried %d times, b got %s", len(a.tried), b.received())
		}
	})
}

// What the end of an incident finds on its way or waiting, by what becomes of it.
func TestResolveMeetsATrigger(t *testing.T) {
	const both = "trigger 0a/0/0, resolve 0a/resolved"
	lost := &notify.Error{Reached: true, Err: errDown}
	for name, c := range map[string]struct {
		answer error         // to the trigger
		takes  time.Duration // how long it is on its way
		want   string
	}{
		"waiting for a retry":        {answer: errDown, want: ""},
		"may have arrived":           {answer: lost, want: both},
		"on its way, arrives":        {takes: time.Minute, want: both},
		"on its way, fails":          {answer: errDown, takes: time.Minute, want: ""},
		"on its way, refused":        {answer: errRefused, takes: time.Minute, want: ""},
		"on its way, may be arrived": {lost, time.Minute, both},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := &mailbox{answer: func(_ context.Context, _ int, m notify.Message) error {
					if m.Kind == notify.Resolve {
						return nil
					}
					time.Sleep(c.takes)
					return c.answer
				}}
				r := start(t, newDisk(), map[string]notify.Sender{"a": a}, nil)
				defer r.stop()
				r.Send(story(incident.Escalated), trigger(0, "a"))
				synctest.Wait()
				r.Send(story(incident.Resolved), bye("a"))
				time.Sleep(time.Hour)
				synctest.Wait()
				if got := a.received(); got != c.want || r.Waiting() != 0 {
					t.Errorf("got %q, want %q; %d waiting", got, c.want, r.Waiting())
				}
			})
		})
	}
}

// One message that a place never takes does not keep the others from it, and a place that is down not the other places.
func TestNobodyBlocksTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		poison := func(_ context.Context, _ int, m notify.Message) error {
			if m.Incident == "0a" {
				return errDown
			}
			return nil
		}
		hangs := func(ctx context.Context, _ int, _ notify.Message) error {
			<-ctx.Done()
			return ctx.Err()
		}
		a, b := &mailbox{answer: poison}, &mailbox{answer: hangs}
		r := start(t, newDisk(), map[string]notify.Sender{"a": a, "b": b}, nil)
		defer r.stop()
		r.Send(story(incident.Escalated), trigger(0, "b", "a"))
		for i := range 20 {
			other := story(incident.Escalated)
			other.ID = fmt.Sprintf("%02d", i)
			r.Send(other, incident.Delivery{Key: other.ID + "/0/0", Notify: []string{"a"}})
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if n := len(a.got); n != 20 || r.Waiting() != 2 {
			t.Errorf("%d arrived, %d wait", n, r.Waiting())
		}
	})
}

func TestQueueIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		down := func(context.Context, int, notify.Message) error { return errDown }
		senders := map[string]notify.Sender{"a": &mailbox{answer: down}}
		r := start(t, newDisk(), senders, func(o *Options) { o.Limits.Waiting = 3 })
		defer r.stop()
		for i := range 5 {
			r.Send(story(incident.Escalated), trigger(i, "a"))
		}
		synctest.Wait()
		said := strings.Join(r.reports.texts(), "; ")
		if n := strings.Count(said, ErrFull.Error()+" (final)"); n != 2 || r.Waiting() != 3 {
			t.Errorf("%d waiting, reports: %s", r.Waiting(), said)
		}
	})
}

// A full disk is no reason for silence.
func TestDiskFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, a := newDisk(), &mailbox{}
		d.full = true
		r := start(t, d, map[string]notify.Sender{"a": a}, nil)
		defer r.stop()
		r.Send(story(incident.Escalated), trigger(0, "a"))
		synctest.Wait()
		r.Send(story(incident.Resolved), bye("a"))
		synctest.Wait()
		if got := a.received(); got != "trigger 0a/0/0, resolve 0a/resolved" {
			t.Errorf("got %s", got)
		}
	})
}

func TestReload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		down := func(context.Context, int, notify.Message) error { return errDown }
		repaired := &mailbox{}
		r := start(t, newDisk(), map[string]notify.Sender{"a": &mailbox{answer: down}, "b": &mailbox{answer: down}}, nil)
		defer r.stop()
		r.Send(story(incident.Escalated), trigger(0, "a", "b"))
		time.Sleep(time.Hour)
		r.SetSenders(map[string]notify.Sender{"a": repaired})
		synctest.Wait()
		said := strings.Join(r.reports.texts(), "; ")
		if repaired.received() != "trigger 0a/0/0" || !strings.Contains(said, "b 0a/0/0 "+ErrUnknown.Error()) {
			t.Errorf("a got %q; reports %q", repaired.received(), said)
		}
	})
}

func TestEndedIncidentsAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDisk()
		r := start(t, d, map[string]notify.Sender{"a": &mailbox{}}, nil)
		defer r.stop()
		r.Send(story(incident.Escalated), trigger(0, "a"))
		synctest.Wait()
		r.Send(story(incident.Resolved), bye("a"))
		time.Sleep(26 * time.Hour)
		synctest.Wait()
		if left := after(d.durable, d.queue); len(left) != 0 {
			t.Errorf("left behind: %q", left)
		}
	})
}

// The agent died between the end of an incident and its farewell.
func TestFarewellAfterRestart(t *testing.T) {
	for name, lookup := range map[string]func(string) (*incident.Incident, error){
		"resolved": func(string) (*incident.Incident, error) {
			inc := story(incident.Resolved)
			return &inc, nil
		},
		"no longer kept": func(string) (*incident.Incident, error) {
			return nil, fmt.Errorf("read journal: %w", journal.ErrNotFound)
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d, a := newDisk(), &mailbox{}
				senders := map[string]notify.Sender{"a": a}
				r := start(t, d, senders, nil)
				r.Send(story(incident.Escalated), trigger(0, "a"))
				synctest.Wait()
				r.stop()
				r = start(t, d, senders, func(o *Options) { o.Incident = lookup })
				synctest.Wait()
				r.stop()
				if got := a.received(); got != "trigger 0a/0/0, resolve 0a/resolved" {
					t.Errorf("got %s", got)
				}
			})
		})
	}
}

func TestStopInTheMiddle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDisk()
		a := &mailbox{answer: func(ctx context.Context, n int, _ notify.Message) error {
			if n > 1 {
				return nil
			}
			<-ctx.Done()
			return ctx.Err()
		}}
		senders := map[string]notify.Sender{"a": a}
		r := start(t, d, senders, nil)
		r.Send(story(incident.Escalated), trigger(0, "a"))
		synctest.Wait()
		r.stop()
		r = start(t, d, senders, nil)
		synctest.Wait()
		r.stop()
		if got := a.received(); got != "trigger 0a/0/0" {
			t.Errorf("got %s", got)
		}
	})
}

func TestRender(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, err := New(Options{Store: newDisk(), Clock: bubble{}, Host: "web-1"})
		if err != nil {
			t.Fatal(err)
		}
		inc := story(incident.Escalated)
		inc.Escalate.Reason = "candidates are spent"
		inc.Attempts = []string{"a1", "a2"}
		inc.Alerts = []incident.Alert{{
			Rule: "down", Instance: "checkout.service", Condition: "unit.failed",
			Values: []incident.Value{{Signal: "unit.failed", Text: "true"}},
		}}
		for i := range 300 {
			ev := incident.Event{At: clock.Now(bubble{}), Type: incident.EvAct, Text: fmt.Sprintf("event %d.", i)}
			inc.Timeline = append(inc.Timeline, ev)
		}
		inc.Evidence = []incident.Evidence{{Title: "journal", Text: strings.Repeat("panic: nil\n", 10000)}}
		time.Sleep(90 * time.Second)
		d := trigger(0, "a")
		m := c.render(&inc, &d)
		for _, want := range []string{
			"Open for 1m30s. candidates are spent", "down fires for checkout.service: unit.failed (unit.failed = true)",
			"Attempts: 2", "salve agent explain 0a",
		} {
			if !strings.Contains(m.Summary, want) {
				t.Errorf("summary lacks %q:\n%s", want, m.Summary)
			}
		}
		for _, want := range []string{
			"event 0.", "event 19.", "… 200 events left out …", "event 220.", "event 299.", "=== journal", "panic: nil",
		} {
			if !strings.Contains(m.Details, want) {
				t.Errorf("details lack %q", want)
			}
		}
		if strings.Contains(m.Details, "event 20.") || len(m.Details) > notify.MaxDetails {
			t.Errorf("details of %d bytes", len(m.Details))
		}
		inc.State, inc.End, inc.Ended = incident.Resolved, "restart-app healed it.", clock.Now(bubble{})
		if m = c.render(&inc, &d); !strings.HasPrefix(m.Summary, "Resolved after 1m30s: restart-app healed it.\n") {
			t.Errorf("summary:\n%s", m.Summary)
		}
	})
}
