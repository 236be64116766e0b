package notify

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/salveops/salve/pkg/config"
)

func webhookTo(t *testing.T, url string, n config.Notifier) Sender {
	t.Helper()
	n.Kind, n.Name, n.URL = "webhook", "hook", url
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	s, err := New(&n, Deps{Now: func() time.Time { return at }})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// The receiver of this test knows only what the documentation of the headers says.
func TestWebhook(t *testing.T) {
	const secret = "s3cret"
	var got map[string]any
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		stamp, sum, _ := strings.Cut(r.Header.Get("Salve-Signature"), ",v1=")
		stamp = strings.TrimPrefix(stamp, "t=")
		mac := hmac.New(sha256.New, []byte(secret))
		fmt.Fprintf(mac, "%s.%s", stamp, body)
		if hex.EncodeToString(mac.Sum(nil)) != sum || stamp != "1772366400" {
			t.Errorf("signature %q", r.Header.Get("Salve-Signature"))
		}
		key, kind := r.Header.Get("Idempotency-Key"), r.Header.Get("Content-Type")
		if r.Method != "POST" || kind != "application/json" || key != "0a/0/0" {
			t.Errorf("%s with %v", r.Method, r.Header)
		}
		if err := json.Unmarshal(body, &got); err != nil {
			t.Error(err)
		}
		w.WriteHeader(http.StatusAccepted)
	}))
	defer srv.Close()
	m := sample()
	if err := webhookTo(t, srv.URL, config.Notifier{Secret: secret}).Send(context.Background(), m); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"version": 1.0, "key": m.Key, "kind": "trigger", "incident": "0a", "service": "checkout", "host": "web-1",
		"severity": "critical", "title": m.Title, "summary": m.Summary, "details": m.Details, "at": "2026-03-01T12:00:02Z",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestWebhookAnswers(t *testing.T) {
	answer := func(code int, header, value string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set(header, value)
			w.WriteHeader(code)
			io.WriteString(w, "because\x00\nI say so")
		}
	}
	hijack := func(text string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			conn, _, err := w.(http.Hijacker).Hijack()
			if err == nil {
				io.WriteString(conn, text)
				conn.Close()
			}
		}
	}
	const inTwoMinutes, longAgo = "Sun, 01 Mar 2026 12:02:00 GMT", "Sun, 01 Mar 2020 12:02:00 GMT"
	tooLong := "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n" + strings.Repeat("a", 1<<20)
	notFollowed := "redirects are not followed"
	for name, c := range map[string]struct {
		handler http.HandlerFunc
		want    *Error
		text    string
	}{
		"200":                   {handler: answer(200, "", "")},
		"204":                   {handler: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) }},
		"400":                   {answer(400, "", ""), &Error{Permanent: true}, "answer was 400 because� I say so"},
		"401":                   {answer(401, "", ""), &Error{Permanent: true}, "401"},
		"410":                   {answer(410, "", ""), &Error{Permanent: true}, "410"},
		"408":                   {answer(408, "", ""), &Error{}, "408"},
		"429":                   {answer(429, "Retry-After", "17"), &Error{RetryAfter: 17 * time.Second}, "429"},
		"429 with a date":       {answer(429, "Retry-After", inTwoMinutes), &Error{RetryAfter: 2 * time.Minute}, ""},
		"429 in the past":       {answer(429, "Retry-After", longAgo), &Error{}, ""},
		"429 for ever":          {answer(429, "Retry-After", "99999999"), &Error{RetryAfter: time.Hour}, ""},
		"429 without sense":     {answer(429, "Retry-After", "-1; soon"), &Error{}, ""},
		"500":                   {answer(500, "", ""), &Error{}, "500"},
		"503":                   {answer(503, "Retry-After", "5"), &Error{RetryAfter: 5 * time.Second}, "503"},
		"redirect":              {answer(302, "Location", "/elsewhere"), &Error{Permanent: true}, notFollowed},
		"permanent redirect":    {answer(308, "Location", "http://example.org"), &Error{Permanent: true}, "308"},
		"hangs up":              {hijack(""), &Error{Reached: true}, "post message"},
		"garbage":               {hijack("SSH-2.0-OpenSSH\r\n"), &Error{Reached: true}, "post message"},
		"endless headers":       {hijack("HTTP/1.1 200 OK\r\nA: " + strings.Repeat("a", 1<<20)), &Error{Reached: true}, ""},
		"body longer than said": {hijack(tooLong), nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			srv := httptest.NewServer(c.handler)
			defer srv.Close()
			err := webhookTo(t, srv.URL+"/hook/T0PS3CRET", config.Notifier{}).Send(context.Background(), sample())
			got := Classify(err)
			if got != nil && (!strings.Contains(err.Error(), c.text) || strings.Contains(err.Error(), "T0PS3CRET")) {
				t.Errorf("text %q", err)
			}
			if got != nil {
				got.Err = nil
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestWebhookTooSlow(t *testing.T) {
	release := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	defer srv.Close()
	defer close(release)
	err := webhookTo(t, srv.URL, config.Notifier{Timeout: 30 * time.Millisecond}).Send(context.Background(), sample())
	if e := Classify(err); e == nil || e.Permanent || !e.Reached {
		t.Errorf("got %+v", e)
	}
}

func TestWebhookEndlessBody(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			if _, err := w.Write(make([]byte, 64<<10)); err != nil {
				return
			}
		}
	}))
	defer srv.Close()
	if err := webhookTo(t, srv.URL, config.Notifier{}).Send(context.Background(), sample()); err != nil {
		t.Error(err)
	}
}

func TestWebhookConfiguration(t *testing.T) {
	for _, url := range []string{"", "ftp://example.org/T0PS3CRET", "http://", "http://a b/T0PS3CRET", "://"} {
		_, err := New(&config.Notifier{Kind: "webhook", Name: "hook", URL: url}, Deps{})
		if err == nil || strings.Contains(err.Error(), "T0PS3CRET") {
			t.Errorf("%q: %v", url, err)
		}
	}
	if _, err := New(&config.Notifier{Kind: "pigeon", Name: "x"}, Deps{}); err == nil {
		t.Error("unknown kind accepted")
	}
}
