package notify

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/salveops/salve/pkg/config"
)

func pagerDutyTo(t *testing.T, url string) Sender {
	t.Helper()
	s, err := New(&config.Notifier{Kind: "pagerduty", Name: "p", URL: url, Secret: testRoutingKey}, Deps{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// One alert per incident, whatever is sent about it and how often; keys of deliveries differ, that of the incident does
// not. A page under a key of somebody's own is ended under that key.
func TestPagerDutyLifecycle(t *testing.T) {
	f := startPagerDuty(t)
	s := pagerDutyTo(t, f.url())
	m := sample()
	send := func(key, dedup string, kind Kind) {
		t.Helper()
		m.Key, m.Dedup, m.Kind = key, dedup, kind
		if err := s.Send(context.Background(), m); err != nil {
			t.Fatal(err)
		}
	}
	send("0a/0/0", "", Trigger)
	want := pdAlert{
		Summary: m.Title, Source: "web-1", Severity: "critical", Component: "checkout",
		Details: map[string]any{
			"summary": m.Summary, "details": m.Details, "incident": "0a", "key": "0a/0/0",
		},
	}
	if diff := cmp.Diff(want, f.alerts["0a"]); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	send("0a/0/0", "", Trigger)
	send("0a/0/1", "", Reminder)
	send("0a/resolved", "", Resolve)
	send("0a/resolved", "", Resolve)
	send("host-1/0b", "host-1/0b", Trigger)
	send("0a/adopted", "host-1/0b", Resolve)
	wantLog := []string{
		"0a opened", "0a updated", "0a updated", "0a resolved", "0a dropped", "host-1/0b opened", "host-1/0b resolved",
	}
	if diff := cmp.Diff(wantLog, f.told()); diff != "" || len(f.alerts) > 0 {
		t.Errorf("-want +got:\n%s\nopen: %v", diff, f.alerts)
	}
}

func TestPagerDutyAnswers(t *testing.T) {
	say := func(code int, header ...string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			if len(header) > 0 {
				w.Header().Set(header[0], header[1])
			}
			w.WriteHeader(code)
			io.WriteString(w, "your key "+testRoutingKey+" is known")
		}
	}
	for name, c := range map[string]struct {
		next http.HandlerFunc
		want *Error
		text string
	}{
		"202":             {nil, nil, ""},
		"200 of a portal": {say(200), &Error{}, "not 202"},
		"400":             {say(400), &Error{Permanent: true}, "answer was 400 your key (secret) is known"},
		"403":             {say(403), &Error{Permanent: true}, "403"},
		"429":             {say(429), &Error{RetryAfter: 2 * time.Minute}, "429"},
		"429 with a wait": {say(429, "Retry-After", "7"), &Error{RetryAfter: 7 * time.Second}, "429"},
		"500":             {say(500), &Error{}, "500"},
		"503 with a wait": {say(503, "Retry-After", "7"), &Error{RetryAfter: 7 * time.Second}, "503"},
		"redirect":        {say(307, "Location", "http://example.org"), &Error{Permanent: true}, "redirects"},
	} {
		t.Run(name, func(t *testing.T) {
			f := startPagerDuty(t)
			f.next = c.next
			err := pagerDutyTo(t, f.url()).Send(context.Background(), sample())
			got := Classify(err)
			if got != nil {
				if text := got.Error(); !strings.Contains(text, c.text) || strings.Contains(text, testRoutingKey) {
					t.Errorf("text %q, want %q", text, c.text)
				}
				got.Err = nil
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
	f := startPagerDuty(t)
	f.Close()
	if e := Classify(pagerDutyTo(t, f.url()).Send(context.Background(), sample())); e == nil || e.Permanent || e.Reached {
		t.Errorf("nobody listens: %+v", e)
	}
}

// Whatever a message says, PagerDuty takes it.
func TestPagerDutyTakesEverything(t *testing.T) {
	f := startPagerDuty(t)
	s := pagerDutyTo(t, f.url())
	rapid.Check(t, func(rt *rapid.T) {
		m := nastyMessage(rt)
		m.Kind = rapid.SampledFrom([]Kind{Trigger, Reminder, Resolve}).Draw(rt, "kind")
		m.Incident = "0a" + m.Incident
		if err := s.Send(context.Background(), m); err != nil {
			rt.Fatalf("%v: %v", err, f.bad)
		}
	})
}

// nastyMessage has texts that places choke on: long ones, markup, what JSON has to write at length.
func nastyMessage(rt *rapid.T) Message {
	nasty := rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{
		"", " ", "\n", "```", "<!channel> & <@U1|x>", "a\r\nb", "\x00\u2028\u202e", "\xff\xfe",
		strings.Repeat("<", 1<<16), strings.Repeat("ü", 1<<15), strings.Repeat("\u2028", 1<<14),
		strings.Repeat("`&😀", 1<<13), strings.Repeat("\n", 1<<14),
	}))
	return Message{
		Key: nasty.Draw(rt, "key"), Incident: nasty.Draw(rt, "incident"), Service: nasty.Draw(rt, "service"),
		Host: nasty.Draw(rt, "host"), Severity: nasty.Draw(rt, "severity"), Title: nasty.Draw(rt, "title"),
		Summary: nasty.Draw(rt, "summary"), Details: nasty.Draw(rt, "details"),
	}
}

func TestPagerDutyConfiguration(t *testing.T) {
	for name, n := range map[string]config.Notifier{
		"no key":    {URL: "https://example.org/"},
		"short key": {URL: "https://example.org/", Secret: "T0PS3CRET"},
		"no url":    {Secret: testRoutingKey},
	} {
		n.Kind, n.Name = "pagerduty", "p"
		_, err := New(&n, Deps{})
		if err == nil || !strings.HasPrefix(err.Error(), "notifier pagerduty.p: ") ||
			strings.Contains(err.Error(), "S3CRET") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestManner(t *testing.T) {
	for _, c := range []struct {
		n    config.Notifier
		want Manner
	}{
		{config.Notifier{Kind: "pagerduty", URL: "http://localhost/", Secret: testRoutingKey},
			Manner{SwallowsRepeats: true}},
		{config.Notifier{Kind: "slack", URL: "http://localhost/"}, Manner{}},
		{config.Notifier{Kind: "webhook", URL: "http://localhost/"}, Manner{}},
		{config.Notifier{Kind: "email", To: "a@b", SMTP: "localhost:25"}, Manner{}},
		{config.Notifier{Kind: "alertmanager", URLs: []string{"http://localhost/"}},
			Manner{SwallowsRepeats: true, Again: 5 * time.Minute, Lasts: 4 * time.Hour}},
	} {
		c.n.Name = "x"
		s, err := New(&c.n, Deps{Host: "h"})
		if err != nil {
			t.Fatal(err)
		}
		if got := MannerOf(s); got != c.want {
			t.Errorf("%s: %+v", c.n.Kind, got)
		}
		if swallows := config.SwallowsRepeats(c.n.ID()); swallows != c.want.SwallowsRepeats {
			t.Errorf("%s: by its ID %v", c.n.Kind, swallows)
		}
	}
	if got := MannerOf(nil); got != (Manner{}) {
		t.Errorf("of a sender from elsewhere: %+v", got)
	}
}
