package incident

import (
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/salveops/salve/pkg/clock"
)

// at is a moment, counted from an hour after boot.
func at(d time.Duration) clock.Stamp {
	return clock.Stamp{Boot: time.Hour + d, BootID: "boot-1", Wall: time.Date(2026, 11, 22, 3, 0, 0, 0, time.UTC).Add(d)}
}

func alert(n uint64) Alert {
	return Alert{Key: AlertKey{Host: "web-1", Stream: "s1", N: n}, Rule: "down", Service: "checkout",
		Instance: "checkout.service", Severity: "warning", Fired: at(0)}
}

func open() *Incident { return New("", alert(1), "down on checkout.service") }

func TestID(t *testing.T) {
	key := AlertKey{Host: "web-1", Stream: "s1", N: 7}
	id := ID("g1", key)
	if len(id) != 32 || id != ID("g1", key) {
		t.Errorf("id %q: want the same 32 digits each time", id)
	}
	seen := map[string]string{id: "itself"}
	for name, other := range map[string]string{
		"generation": ID("g2", key),
		"host":       ID("g1", AlertKey{"web-2", "s1", 7}),
		"stream":     ID("g1", AlertKey{"web-1", "s2", 7}),
		"number":     ID("g1", AlertKey{"web-1", "s1", 8}),
		"shifted":    ID("g1", AlertKey{"web-1s", "1", 7}),
	} {
		if was, dup := seen[other]; dup {
			t.Errorf("another %s has the ID of %s", name, was)
		}
		seen[other] = name
	}
}

func TestLife(t *testing.T) {
	ack := func(i *Incident) error { return i.Acknowledge("kim", false) }
	nobody := func(i *Incident) error { return i.Acknowledge("", false) }
	join := func(i *Incident) error { return i.Join(alert(2)) }
	heal := (*Incident).Heal
	hand := func(i *Incident) error { return i.HandOver(at(time.Minute), "default", "spent") }
	release := func(i *Incident) error { return i.Release(at(time.Minute), "kim") }
	clear := func(i *Incident) error { return i.Clear(i.Alerts[0].Key, at(time.Minute)) }
	resolve := func(i *Incident) error { return i.Resolve(at(time.Minute), "", "it cleared") }
	byHand := func(i *Incident) error { return i.Resolve(at(time.Minute), "kim", "false alarm") }
	tests := []struct {
		name  string
		steps []func(*Incident) error
		state State
		err   error // of the last step
	}{
		{"opened", nil, Open, nil},
		{"healing", []func(*Incident) error{heal}, Healing, nil},
		{"escalated while healing", []func(*Incident) error{heal, hand}, Escalated, nil},
		{"healing goes on after the escalation", []func(*Incident) error{hand, heal}, Escalated, nil},
		{"acknowledged", []func(*Incident) error{hand, ack}, Acknowledged, nil},
		{"acknowledged stays so", []func(*Incident) error{ack, heal, hand}, Acknowledged, nil},
		{"released before anyone was called", []func(*Incident) error{ack, release}, Open, nil},
		{"released after", []func(*Incident) error{hand, ack, release}, Escalated, nil},
		{"released by nobody's leave", []func(*Incident) error{release}, Open, ErrNotAcked},
		{"acknowledged by nobody", []func(*Incident) error{nobody}, Open, ErrNobody},
		{"ends while it fires", []func(*Incident) error{resolve}, Open, ErrFiring},
		{"ends when clear", []func(*Incident) error{clear, resolve}, Resolved, nil},
		{"ends by a person", []func(*Incident) error{byHand}, Resolved, nil},
		{"ends once", []func(*Incident) error{byHand, resolve}, Resolved, ErrEnded},
		{"no healing after the end", []func(*Incident) error{byHand, heal}, Resolved, ErrEnded},
		{"no escalation after the end", []func(*Incident) error{byHand, hand}, Resolved, ErrEnded},
		{"no acknowledgement after the end", []func(*Incident) error{byHand, ack}, Resolved, ErrEnded},
		{"no release after the end", []func(*Incident) error{ack, byHand, release}, Resolved, ErrEnded},
		{"no alert after the end", []func(*Incident) error{byHand, join}, Resolved, ErrEnded},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			i := open()
			var err error
			for _, step := range tt.steps {
				err = step(i)
			}
			if i.State != tt.state || !errors.Is(err, tt.err) {
				t.Errorf("state %s, error %v; want %s, %v", i.State, err, tt.state, tt.err)
			}
			if i.State == Resolved && !i.Quiet() {
				t.Error("it ended and an alert still fires")
			}
		})
	}
}

func TestReleaseForgives(t *testing.T) {
	i := open()
	if err := i.Acknowledge("kim", true); err != nil || !i.Keep || i.AckBy != "kim" {
		t.Fatalf("acknowledged: %v, %+v", err, i)
	}
	if err := i.Release(at(time.Minute), "kim"); err != nil || i.Keep || i.AckBy != "" || i.Released != at(time.Minute) {
		t.Errorf("released: %v, %+v", err, i)
	}
}

func TestJoin(t *testing.T) {
	i := open()
	grave := alert(2)
	grave.Severity = "critical"
	if err := i.Join(grave); err != nil || i.Severity != "critical" {
		t.Errorf("joined: %v, severity %s", err, i.Severity)
	}
	if err := i.Join(grave); !errors.Is(err, ErrDuplicate) {
		t.Errorf("joined twice: %v", err)
	}
	if err := i.Clear(AlertKey{N: 99}, at(0)); !errors.Is(err, ErrNoAlert) {
		t.Errorf("cleared a stranger: %v", err)
	}
	for n := range uint64(MaxAlerts) {
		if err := i.Join(alert(n + 3)); err != nil {
			t.Fatal(err)
		}
		if err := i.Clear(alert(n+3).Key, at(0)); err != nil {
			t.Fatal(err)
		}
	}
	if len(i.Alerts) != MaxAlerts || i.Forgotten != 2 || i.Alerts[0].Key.N != 1 || i.Alerts[1].Key.N != 2 {
		t.Errorf("%d alerts, %d forgotten, first %v; those that fire must stay", len(i.Alerts), i.Forgotten, i.Alerts[:2])
	}
}

func TestTimelineBound(t *testing.T) {
	i := open()
	for n := range MaxTimeline + 500 {
		i.Append(Event{Text: fmt.Sprint(n)})
	}
	if len(i.Timeline) != MaxTimeline || i.Dropped != 500 {
		t.Fatalf("%d events, %d dropped", len(i.Timeline), i.Dropped)
	}
	for at, want := range map[int]string{0: "0", KeepFirst - 1: "99", KeepFirst: "600", MaxTimeline - 1: "1499"} {
		if got := i.Timeline[at].Text; got != want {
			t.Errorf("event %d is %s, want %s", at, got, want)
		}
	}
}

// What the journal stores reads back as it was, and needs no field that was not set.
func TestRecordRoundTrip(t *testing.T) {
	i := open()
	i.Append(Event{At: at(0), Type: EvAlert, Text: "fired"})
	raw, err := json.Marshal(i)
	if err != nil {
		t.Fatal(err)
	}
	var back Incident
	if err := json.Unmarshal(raw, &back); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(i, &back); diff != "" {
		t.Errorf("(-was +is):\n%s", diff)
	}
}

// Whatever happens to an incident in whatever order: once it ended nothing moves it, and nobody is
// called after the end.
func TestLifeProperty(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		i, now, n := open(), time.Duration(0), uint64(1)
		rt.Repeat(map[string]func(*rapid.T){
			"join":    func(*rapid.T) { n++; _ = i.Join(alert(n)) },
			"clear":   func(*rapid.T) { _ = i.Clear(alert(n).Key, at(now)) },
			"heal":    func(*rapid.T) { _ = i.Heal() },
			"hand":    func(*rapid.T) { _ = i.HandOver(at(now), "default", "spent") },
			"ack":     func(*rapid.T) { _ = i.Acknowledge("kim", false) },
			"release": func(*rapid.T) { _ = i.Release(at(now), "kim") },
			"resolve": func(*rapid.T) { _ = i.Resolve(at(now), "", "clear") },
			"close":   func(*rapid.T) { _ = i.Resolve(at(now), "kim", "closed") },
			"climb": func(*rapid.T) {
				now += time.Minute
				ended := i.State == Resolved
				if d, _ := i.Next(ladder(), at(now)); d != nil {
					if ended || i.State == Acknowledged {
						rt.Fatalf("%s is due in state %s", d.Key, i.State)
					}
					i.Took(d, ladder(), at(now))
				}
			},
			"": func(rt *rapid.T) {
				if i.State == Resolved && (i.Ended.IsZero() || !i.Quiet()) {
					rt.Fatalf("ended without an end: %+v", i)
				}
			},
		})
	})
}
