package notify

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/salveops/salve/pkg/config"
)

const slackPath = "/services/T000/B000/T0PS3CRET"

// slackFake is an incoming webhook of Slack as its documentation describes it: it refuses what the real one refuses,
// and markup that would call somebody.
type slackFake struct {
	*httptest.Server
	next http.HandlerFunc // answers the next request instead, once

	mu   sync.Mutex
	last slackRequest
	bad  string
}

// slackRequest is a message with every field that Salve may use; others are a mistake.
type slackRequest struct {
	Text   string `json:"text"`
	Blocks []struct {
		Type string `json:"type"`
		Text struct {
			Type string `json:"type"`
			Text string `json:"text"`
		} `json:"text"`
	} `json:"blocks"`
}

func startSlack(t *testing.T) *slackFake {
	f := &slackFake{}
	f.Server = httptest.NewServer(f)
	t.Cleanup(f.Close)
	return f
}

func (f *slackFake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if h := f.next; h != nil {
		f.next = nil
		h(w, r)
		return
	}
	if r.URL.Path != slackPath {
		w.WriteHeader(http.StatusNotFound)
		io.WriteString(w, "no_service")
		return
	}
	m, err := readSlack(r)
	if err != nil {
		f.bad = err.Error()
		w.WriteHeader(http.StatusBadRequest)
		io.WriteString(w, "invalid_payload")
		return
	}
	f.last = m
	io.WriteString(w, "ok")
}

func readSlack(r *http.Request) (m slackRequest, err error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return m, err
	}
	if r.Method != http.MethodPost || r.Header.Get("Content-Type") != "application/json" {
		return m, fmt.Errorf("%s of %q", r.Method, r.Header.Get("Content-Type"))
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(&m); err != nil {
		return m, err
	}
	if m.Text == "" {
		return m, errors.New("no_text")
	}
	if len(m.Blocks) > 50 {
		return m, errors.New("more than 50 blocks")
	}
	if err := checkMarkup(m.Text, 40_000); err != nil {
		return m, err
	}
	for i, b := range m.Blocks {
		if b.Type != "section" || b.Text.Type != "mrkdwn" {
			return m, fmt.Errorf("block %d is %q of %q", i, b.Type, b.Text.Type)
		}
		if err := checkMarkup(b.Text.Text, 3000); err != nil {
			return m, fmt.Errorf("block %d: %w", i, err)
		}
	}
	return m, nil
}

// entity is how the three letters of markup are written as text.
var entity = regexp.MustCompile(`&(amp|lt|gt);`)

func checkMarkup(text string, most int) error {
	if n := len(utf16.Encode([]rune(text))); n == 0 || n > most {
		return fmt.Errorf("text of %d letters", n)
	}
	if rest := entity.ReplaceAllString(text, ""); strings.ContainsAny(rest, "<>&") {
		return fmt.Errorf("markup in %.200q", text)
	}
	code, fenced := strings.CutPrefix(text, fence+"\n")
	if fenced {
		code, fenced = strings.CutSuffix(code, "\n"+fence)
	}
	if strings.Contains(code, fence) || fenced && code == "" {
		return fmt.Errorf("code block does not hold: %.200q", text)
	}
	return nil
}

func slackTo(t *testing.T, url string) Sender {
	t.Helper()
	s, err := New(&config.Notifier{Kind: "slack", Name: "ops", URL: url}, Deps{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSlack(t *testing.T) {
	f := startSlack(t)
	s := slackTo(t, f.URL+slackPath)
	m := sample()
	m.Title = "<!channel> & others"
	m.Details = "GET /a?b=1&c=<d>\n```\n@here"
	if err := s.Send(context.Background(), m); err != nil {
		t.Fatal(err, f.bad)
	}
	const title = "[CRITICAL] web-1: &lt;!channel&gt; &amp; others"
	want := []string{
		"*" + title + "*", m.Summary, "incident 0a · service checkout · 2026-03-01T12:00:02Z",
		"```\nGET /a?b=1&amp;c=&lt;d&gt;\n'''\n@here\n```",
	}
	if diff := cmp.Diff(want, f.texts()); diff != "" || f.last.Text != title {
		t.Errorf("text %q, blocks -want +got:\n%s", f.last.Text, diff)
	}
	m.Kind, m.Service = Resolve, ""
	if err := s.Send(context.Background(), m); err != nil {
		t.Fatal(err, f.bad)
	}
	want = []string{
		"*[RESOLVED] web-1: &lt;!channel&gt; &amp; others*", m.Summary, "incident 0a · 2026-03-01T12:00:02Z",
	}
	if diff := cmp.Diff(want, f.texts()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func (f *slackFake) texts() (list []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, b := range f.last.Blocks {
		list = append(list, b.Text.Text)
	}
	return list
}

func TestSlackAnswers(t *testing.T) {
	say := func(code int, text, wait string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", wait)
			w.WriteHeader(code)
			io.WriteString(w, text)
		}
	}
	for name, c := range map[string]struct {
		path string
		next http.HandlerFunc
		want *Error
		text string
	}{
		"ok":           {slackPath, nil, nil, ""},
		"no service":   {"/services/T000/B000/WR0NGS3CRET", nil, &Error{Permanent: true}, "404 no_service"},
		"invalid":      {slackPath, say(400, "invalid_payload", ""), &Error{Permanent: true}, "invalid_payload"},
		"prohibited":   {slackPath, say(403, "action_prohibited", ""), &Error{Permanent: true}, "action_prohibited"},
		"archived":     {slackPath, say(410, "channel_is_archived", ""), &Error{Permanent: true}, "channel_is_archived"},
		"rate limited": {slackPath, say(429, "rate_limited", "30"), &Error{RetryAfter: 30 * time.Second}, "rate_limited"},
		"rollup":       {slackPath, say(500, "rollup_error", ""), &Error{}, "rollup_error"},
		"echo":         {slackPath, say(404, "no "+slackPath, ""), &Error{Permanent: true}, "no (secret)"},
	} {
		t.Run(name, func(t *testing.T) {
			f := startSlack(t)
			f.next = c.next
			got := Classify(slackTo(t, f.URL+c.path).Send(context.Background(), sample()))
			if got != nil {
				if text := got.Error(); !strings.Contains(text, c.text) || strings.Contains(text, "S3CRET") {
					t.Errorf("text %q, want %q", text, c.text)
				}
				got.Err = nil
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// Whatever a message says, Slack takes it, and nobody is called by it.
func TestSlackTakesEverything(t *testing.T) {
	f := startSlack(t)
	s := slackTo(t, f.URL+slackPath)
	rapid.Check(t, func(rt *rapid.T) {
		m := nastyMessage(rt)
		m.Kind = rapid.SampledFrom([]Kind{Trigger, Reminder, Resolve}).Draw(rt, "kind")
		if err := s.Send(context.Background(), m); err != nil {
			rt.Fatalf("%v: %s", err, f.bad)
		}
	})
}

func TestSlackConfiguration(t *testing.T) {
	for _, url := range []string{"", "ftp://example.org/T0PS3CRET", "://T0PS3CRET"} {
		_, err := New(&config.Notifier{Kind: "slack", Name: "ops", URL: url}, Deps{})
		if err == nil || strings.Contains(err.Error(), "T0PS3CRET") {
			t.Errorf("%q: %v", url, err)
		}
	}
}
