package notify

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/salveops/salve/controller/internal/arbiter/arbitertest"
	"github.com/salveops/salve/controller/internal/state"
	pkgnotify "github.com/salveops/salve/pkg/notify"
	"github.com/salveops/salve/proto/logpb"
)

func to(senders map[string]*place) Places {
	p := Places{Senders: map[string]pkgnotify.Sender{}}
	for id, s := range senders {
		p.Senders[id] = s
		p.Pagers = append(p.Pagers, id)
	}
	slices.Sort(p.Pagers)
	return p
}

// A message says what a person needs first, arrives once, and its end follows.
func TestDelivery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := arbitertest.NewJournal(t)
		slack := newPlace(t)
		m := join(t, j, "n1", t.TempDir(), to(map[string]*place{"slack.ops": slack}), nil)
		m.sees("n1", 1)
		m.ladder(0, []string{"slack.ops"})
		h := m.host("h1")
		h.fire("a")
		settle(time.Minute)
		id := incidents(j)[0].GetId()
		if got := slack.said(); !slices.Equal(got, []string{"trigger " + id + "/0/0"}) {
			t.Fatalf("people were told %q", got)
		}
		msg := slack.last()
		for _, want := range []string{"every remedy was tried", "slow fires on web-h1 for checkout.service: metric.p99_latency > 800 ms",
			"metric.p99_latency = 2.1 s", "Nothing was tried.", "salve explain " + id[:12]} {
			if !strings.Contains(msg.Summary, want) {
				t.Errorf("the summary does not say %q:\n%s", want, msg.Summary)
			}
		}
		if msg.Incident != id || msg.Dedup != "" || msg.Host != "web-h1" || msg.Service != "checkout" || msg.Severity != "critical" ||
			!strings.Contains(msg.Details, "every remedy was tried") {
			t.Errorf("message %+v", msg)
		}
		if got := deliveries(j, id); !slices.Equal(got, []string{"slack.ops trigger TOLD"}) {
			t.Errorf("the log says %q", got)
		}
		h.resolve("a")
		settle(time.Minute)
		if got := slack.said(); len(got) != 2 || got[1] != "resolve "+id+"/resolved" {
			t.Errorf("people were told %q", got)
		}
		if s := slack.last().Summary; !strings.HasPrefix(s, "Resolved after 1m") {
			t.Errorf("the end says %q", s)
		}
		m.stop()
	})
}

// What fails is tried again until it arrives; what is refused goes to the next step at once, and so does what this
// node has no notifier for.
func TestFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := arbitertest.NewJournal(t)
		slack, pager, boss := newPlace(t), newPlace(t), newPlace(t)
		m := join(t, j, "n1", t.TempDir(), to(map[string]*place{"slack.ops": slack, "webhook.pager": pager, "email.boss": boss}), nil)
		m.sees("n1", 1)
		m.ladder(0, []string{"slack.ops"}, []string{"webhook.pager"}, []string{"email.gone"}, []string{"email.boss"})
		tries := 0
		slack.failing(func(pkgnotify.Message) error {
			if tries++; tries < 4 {
				return &pkgnotify.Error{RetryAfter: 7 * time.Second, Err: errors.New("503")}
			}
			return nil
		})
		pager.failing(func(pkgnotify.Message) error { return pkgnotify.Permanent(errors.New("404")) })
		m.host("h1").fire("a")
		settle(70 * time.Second)
		id := incidents(j)[0].GetId()
		want := []string{"slack.ops trigger TOLD", "webhook.pager trigger REFUSED", "email.gone trigger REFUSED", "email.boss trigger TOLD"}
		if got := deliveries(j, id); !slices.Equal(got, want) {
			t.Errorf("the log says %q, want %q", got, want)
		}
		if len(slack.said()) != 1 || len(boss.said()) != 1 || tries != 4 {
			t.Errorf("slack heard %q after %d tries, the boss %q", slack.said(), tries, boss.said())
		}
		m.stop()
	})
}

// A place that calls nobody for a repeat gets none, and the next step is climbed instead.
func TestRepeatThatCallsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := arbitertest.NewJournal(t)
		pager, slack := newPlace(t), newPlace(t)
		pager.manner.SwallowsRepeats = true
		m := join(t, j, "n1", t.TempDir(), to(map[string]*place{"pagerduty.p": pager, "slack.ops": slack}), nil)
		m.sees("n1", 1)
		m.ladder(2, []string{"pagerduty.p"}, []string{"slack.ops"})
		m.host("h1").fire("a")
		settle(20 * time.Minute)
		if got := pager.said(); len(got) != 1 {
			t.Errorf("the pager heard %q", got)
		}
		if got := slack.said(); len(got) != 3 { // and its repeats
			t.Errorf("the next step heard %q", got)
		}
		m.stop()
	})
}

// A leader that falls in the middle of a send leaves a claim; the next one sends under the same key.
func TestLeaderFallsInTheMiddle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := arbitertest.NewJournal(t)
		slack := newPlace(t)
		slack.gate = make(chan struct{})
		places := to(map[string]*place{"slack.ops": slack})
		m1 := join(t, j, "n1", t.TempDir(), places, nil)
		m2 := join(t, j, "n2", t.TempDir(), places, nil)
		m1.sees("n1", 1)
		m1.ladder(0, []string{"slack.ops"})
		h := m1.host("h1")
		h.fire("a")
		m2.hears(h)
		settle(time.Second)
		m1.sees("n2", 2) // the message is on its way
		m2.sees("n2", 2)
		settle(time.Second)
		close(slack.gate) // it arrives, and nobody is there to commit that
		settle(2 * time.Minute)
		id := incidents(j)[0].GetId()
		if got := slack.said(); len(got) != 2 || got[0] != got[1] || slack.calls != 1 {
			t.Errorf("people heard %q and were called %d times", got, slack.calls)
		}
		if got := deliveries(j, id); !slices.Equal(got, []string{"slack.ops trigger TOLD"}) {
			t.Errorf("the log says %q", got)
		}
		m1.stop()
		m2.stop()
	})
}

// trigger-after-resolve: an incident ends while its trigger is on its way, and while its reminder waits. The end comes
// last everywhere, and what had not left is never sent.
func TestTriggerAfterResolve(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := arbitertest.NewJournal(t)
		slow, broken := newPlace(t), newPlace(t)
		slow.gate = make(chan struct{})
		broken.failing(func(pkgnotify.Message) error { return errors.New("connection refused") })
		m := join(t, j, "n1", t.TempDir(), to(map[string]*place{"slack.slow": slow, "email.broken": broken}), nil)
		m.sees("n1", 1)
		m.ladder(3, []string{"slack.slow", "email.broken"})
		h := m.host("h1")
		h.fire("a")
		settle(time.Second)
		h.resolve("a")
		settle(time.Second)
		close(slow.gate)
		broken.failing(nil)
		settle(time.Hour)
		if got := slow.said(); len(got) != 2 || !strings.HasPrefix(got[0], "trigger") || !strings.HasPrefix(got[1], "resolve") {
			t.Errorf("the slow one heard %q", got)
		}
		if got := broken.said(); len(got) != 0 {
			t.Errorf("the one that never heard of it heard %q", got)
		}
		m.stop()
	})
}

// At most eight messages are on their way, at most two of them to one place, and a place that hangs holds up no other.
func TestFlightsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := arbitertest.NewJournal(t)
		places := map[string]*place{"slack.free": newPlace(t)}
		var stuck []string
		for i := range 6 {
			id := fmt.Sprintf("slack.stuck-%d", i)
			places[id] = newPlace(t)
			places[id].gate = make(chan struct{})
			stuck = append(stuck, id)
		}
		m := join(t, j, "n1", t.TempDir(), to(places), nil)
		m.sees("n1", 1)
		m.ladder(0, append(stuck[:3:3], "slack.free"))
		for i := range 4 {
			h := m.host(fmt.Sprintf("h%d", i))
			h.say(&logpb.Event{What: &logpb.Event_Fired{Fired: &logpb.Alert{
				Key:  &logpb.AlertKey{Host: h.host, Stream: "s-" + h.host, N: 1},
				Rule: "disk", Severity: "critical", Local: "l", Instance: "/",
			}}})
			h.say(&logpb.Event{What: &logpb.Event_HandOver{HandOver: &logpb.HandOver{Local: "l", Reason: "full"}}})
		}
		settle(10 * time.Second)
		all := len(incidents(j))
		if got := len(places["slack.free"].said()); got != all || all == 0 {
			t.Errorf("the place that works heard of %d of %d incidents", got, all)
		}
		under := 0
		for _, id := range stuck {
			under += places[id].now
			if places[id].most > maxPerPlace {
				t.Errorf("%d messages to %s at a time", places[id].most, id)
			}
		}
		if under > maxFlights {
			t.Errorf("%d messages at a time", under)
		}
		for _, id := range stuck {
			close(places[id].gate)
		}
		settle(time.Minute)
		m.stop()
	})
}

// A place that forgets hears again what is open, under the same key, and nothing after its end.
func TestPlaceThatForgets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := arbitertest.NewJournal(t)
		alerts := newPlace(t)
		alerts.manner = pkgnotify.Manner{SwallowsRepeats: true, Again: time.Minute, Lasts: 3 * time.Minute}
		m := join(t, j, "n1", t.TempDir(), to(map[string]*place{"alertmanager.a": alerts}), nil)
		m.sees("n1", 1)
		m.ladder(0, []string{"alertmanager.a"})
		h := m.host("h1")
		h.fire("a")
		settle(10*time.Minute + 30*time.Second)
		got := alerts.said()
		if len(got) < 10 || len(got) > 13 || got[0] != got[len(got)-1] {
			t.Errorf("in ten minutes it heard %d messages: %q", len(got), got)
		}
		h.resolve("a")
		settle(10 * time.Minute)
		if after := alerts.said(); len(after) > len(got)+2 || !strings.HasPrefix(after[len(after)-1], "resolve") {
			t.Errorf("after the end it heard %q", after[len(got):])
		}
		m.stop()
	})
}

// After a reload the new places are used.
func TestSwap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := arbitertest.NewJournal(t)
		old, new := newPlace(t), newPlace(t)
		m := join(t, j, "n1", t.TempDir(), to(map[string]*place{"slack.ops": old}), nil)
		m.sees("n1", 1)
		m.ladder(0, []string{"slack.ops"})
		m.Swap(to(map[string]*place{"slack.ops": new}))
		m.host("h1").fire("a")
		settle(time.Minute)
		if len(old.said()) != 0 || len(new.said()) != 1 {
			t.Errorf("the old one heard %q, the new one %q", old.said(), new.said())
		}
		m.stop()
	})
}

// Only the leader pings the dead man's switch, and not while it hears too few hosts to look after them.
func TestHeartbeat(t *testing.T) {
	pings := make(chan struct{}, 1000)
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { pings <- struct{}{} }))
	defer server.Close()
	beat := Places{Heartbeat: pkgnotify.Heartbeat{URL: server.URL, Every: time.Millisecond}}
	j := arbitertest.NewJournal(t)
	m := join(t, j, "n1", t.TempDir(), beat, nil)
	m.sees("n2", 1)
	m.sees("n1", 2)
	<-pings
	<-pings
	m.sees("n2", 3)
	for leads, changed := m.arbiter.Leads(); leads; leads, changed = m.arbiter.Leads() {
		<-changed
	}
	m.stop() // what is under way ends
	for len(pings) > 0 {
		<-pings
	}
	f := join(t, j, "n3", t.TempDir(), beat, nil)
	f.sees("n2", 3)
	f.stop()
	if len(pings) > 0 {
		t.Error("a follower pings")
	}
	cut := join(t, j, "n4", t.TempDir(), beat, nil)
	cut.cut = true
	cut.sees("n4", 4)
	cut.stop()
	if len(pings) > 0 {
		t.Error("a leader that is cut off from the hosts pings")
	}
}

// A message about no incident, such as the reminder of a pause, says its own text.
func TestMessageWithoutIncident(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := arbitertest.NewJournal(t)
		slack := newPlace(t)
		m := join(t, j, "n1", t.TempDir(), to(map[string]*place{"slack.ops": slack}), nil)
		m.sees("n1", 1)
		m.ladder(0, []string{"slack.ops"})
		m.must(&logpb.Command{What: &logpb.Command_Pause{Pause: &logpb.PauseCommand{Scope: "all", By: "kim", Reason: "moving house"}}})
		settle(25 * time.Hour)
		if msg := slack.last(); !strings.Contains(msg.Title, "moving house") || msg.Kind != pkgnotify.Reminder || msg.Dedup == "" {
			t.Errorf("message %+v", msg)
		}
		m.stop()
	})
}

// A long story keeps its beginning and its end, and every text its bounds.
func TestLongStory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := arbitertest.NewJournal(t)
		slack := newPlace(t)
		m := join(t, j, "n1", t.TempDir(), to(map[string]*place{"slack.ops": slack}), nil)
		m.sees("n1", 1)
		m.ladder(0, nil, []string{"slack.ops"})
		h := m.host("h1")
		h.fire("a")
		for i := range 500 {
			h.say(&logpb.Event{What: &logpb.Event_Story{Story: &logpb.Story{Local: "a", Event: &logpb.TimelineEvent{
				Type: "decide", Text: fmt.Sprintf("line %d %s", i, strings.Repeat("x", 100)),
			}}}})
		}
		settle(2 * time.Minute)
		msg := slack.last()
		if !strings.Contains(msg.Details, "line 3 ") || !strings.Contains(msg.Details, "line 499 ") || strings.Contains(msg.Details, "line 200 ") ||
			!strings.Contains(msg.Details, "events are left out here") {
			t.Errorf("details of %d bytes:\n%.3000s", len(msg.Details), msg.Details)
		}
		if len(msg.Details) > pkgnotify.MaxDetails || len(msg.Summary) > pkgnotify.MaxSummary {
			t.Errorf("texts of %d and %d bytes", len(msg.Details), len(msg.Summary))
		}
		m.stop()
	})
}

func TestErrorTextFitsTheLog(t *testing.T) {
	d := &logpb.Delivery{Key: "k", Notifier: "n"}
	c := delivered(d, "n1", logpb.DeliveryState_DELIVERY_STATE_FAILED,
		pkgnotify.Classify(errors.New(strings.Repeat("é\xff", 1000))))
	if got := c.GetDelivered().GetError(); len(got) > maxErrorText+10 || !strings.HasPrefix(got, "é") || strings.Contains(got, "\xff") {
		t.Errorf("error %q", got)
	}
	if state.Subject("a/b/c") != "a" {
		t.Error("the name in a key is its first part")
	}
}
