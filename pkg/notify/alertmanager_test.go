package notify

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/salveops/salve/pkg/config"
)

func alertmanagerTo(t *testing.T, n config.Notifier, now time.Time) Sender {
	t.Helper()
	n.Kind, n.Name = "alertmanager", "am"
	s, err := New(&n, Deps{Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// What is sent, letter by letter; that Alertmanager makes of it what is meant is shown with the real one.
func TestAlertmanagerBody(t *testing.T) {
	var path, token string
	var got []amAlert
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		path, token, got = r.URL.Path, r.Header.Get("Authorization"), nil
		d := json.NewDecoder(r.Body)
		d.DisallowUnknownFields()
		if err := d.Decode(&got); err != nil {
			t.Error(err)
		}
	}))
	defer srv.Close()
	now := time.Date(2026, 3, 1, 12, 0, 5, 0, time.UTC)
	s := alertmanagerTo(t, config.Notifier{
		URLs: []string{srv.URL + "/prefix/"}, Secret: "t0ken", Labels: map[string]string{"team": "payments"},
	}, now)
	m := sample()
	labels := func(severity string) map[string]string {
		return map[string]string{
			"alertname": "SalveIncident", "incident": "0a", "service": "checkout", "severity": severity, "team": "payments",
		}
	}
	notes := map[string]string{
		"summary": m.Title, "description": m.Summary, "details": m.Details, "host": "web-1", "key": "0a/0/0",
	}
	ended := []amAlert{
		{Labels: labels("info"), StartsAt: now, EndsAt: now}, {Labels: labels("warning"), StartsAt: now, EndsAt: now},
	}
	for _, c := range []struct {
		name   string
		change func(*Message)
		want   amAlert
	}{
		{"trigger", func(*Message) {},
			amAlert{Labels: labels("critical"), Annotations: notes, StartsAt: m.At, EndsAt: now.Add(4 * time.Hour)}},
		{"written by a clock that is ahead", func(m *Message) { m.At = now.Add(time.Hour) },
			amAlert{Labels: labels("critical"), Annotations: notes, StartsAt: now, EndsAt: now.Add(4 * time.Hour)}},
		{"resolve", func(m *Message) { m.Kind = Resolve },
			amAlert{Labels: labels("critical"), Annotations: notes, StartsAt: now, EndsAt: now}},
	} {
		changed := m
		c.change(&changed)
		if err := s.Send(context.Background(), changed); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(append([]amAlert{c.want}, ended...), got); diff != "" {
			t.Errorf("%s: -want +got:\n%s", c.name, diff)
		}
	}
	if path != "/prefix/api/v2/alerts" || token != "Bearer t0ken" {
		t.Errorf("posted to %s with %q", path, token)
	}
}

// One member that takes it is enough; what no member takes is refused for good only if each refuses it.
func TestAlertmanagerMembers(t *testing.T) {
	member := func(code int) string {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "9")
			w.WriteHeader(code)
			io.WriteString(w, "you are t0ken-t0ken")
		}))
		t.Cleanup(srv.Close)
		return srv.URL
	}
	down := httptest.NewServer(nil)
	down.Close()
	for name, c := range map[string]struct {
		urls []string
		want *Error
	}{
		"one":              {[]string{member(200)}, nil},
		"one of three":     {[]string{down.URL, member(400), member(200)}, nil},
		"refused":          {[]string{member(400)}, &Error{Permanent: true}},
		"refused by both":  {[]string{member(400), member(401)}, &Error{Permanent: true}},
		"refused and down": {[]string{member(400), down.URL}, &Error{}},
		"busy":             {[]string{member(503), down.URL}, &Error{RetryAfter: 9 * time.Second}},
		"down":             {[]string{down.URL}, &Error{}},
	} {
		t.Run(name, func(t *testing.T) {
			n := config.Notifier{URLs: c.urls, Secret: "t0ken-t0ken"}
			got := Classify(alertmanagerTo(t, n, time.Unix(0, 0)).Send(context.Background(), sample()))
			if got != nil {
				if strings.Contains(got.Error(), "t0ken") {
					t.Errorf("text %q", got)
				}
				got.Err = nil
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestAlertmanagerConfiguration(t *testing.T) {
	for _, urls := range [][]string{nil, {""}, {"http://127.0.0.1:9093", "am:9093"}} {
		if _, err := New(&config.Notifier{Kind: "alertmanager", Name: "am", URLs: urls}, Deps{}); err == nil {
			t.Errorf("%q accepted", urls)
		}
	}
}
