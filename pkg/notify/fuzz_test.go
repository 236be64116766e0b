package notify

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/salveops/salve/pkg/config"
)

// answers says the same bytes on every connection, whatever it is asked, and hangs up.
func answers(raw []byte) func(context.Context, string, string) (net.Conn, error) {
	return func(context.Context, string, string) (net.Conn, error) {
		near, far := net.Pipe()
		go func() {
			defer far.Close()
			if _, err := far.Read(make([]byte, 64<<10)); err != nil { // else it is no answer
				return
			}
			go func() { _, _ = io.Copy(io.Discard, far) }() // ends with either side
			_, _ = far.Write(raw)
		}()
		return near, nil
	}
}

// FuzzAnswer: whatever a place answers to a message, it is taken for success, a failure or a refusal; no wait is longer
// than may be, and no secret comes into what is logged.
func FuzzAnswer(f *testing.F) {
	const secret = "0123456789abcdef0123456789abcdef"
	for _, text := range []string{
		"HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\n\r\n{}",
		"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 99999\r\n\r\nslow down, " + secret,
		"HTTP/1.1 503 x\r\nRetry-After: Fri, 27 Nov 2026 14:24:24 GMT\r\n\r\n",
		"HTTP/1.1 301 x\r\nLocation: http://169.254.169.254/\r\n\r\n",
		"HTTP/1.1 400 x\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n",
		"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\nok", "220 mail ready\r\n", "",
	} {
		f.Add([]byte(text))
	}
	message := Message{Key: "i/0", Kind: Trigger, Incident: "i", Title: "x", At: time.Unix(1, 0)}
	f.Fuzz(func(t *testing.T, raw []byte) {
		for _, n := range []*config.Notifier{
			{Kind: config.PagerDuty, Name: "a", URL: "http://place.test/v2/enqueue", Secret: secret},
			{Kind: config.Slack, Name: "a", URL: "http://place.test/services/" + secret},
			{Kind: config.Alertmanager, Name: "a", URLs: []string{"http://place.test"}, Secret: secret},
			{Kind: config.Webhook, Name: "a", URL: "http://place.test/", Secret: secret},
		} {
			s, err := build(n, Deps{Now: time.Now})
			if err != nil {
				t.Fatal(err)
			}
			for _, p := range posters(s) {
				p.client.Transport = &http.Transport{DialContext: answers(raw), DisableKeepAlives: true,
					MaxResponseHeaderBytes: maxAnswer}
			}
			check(t, s.Send(t.Context(), message), secret)
		}
	})
}

func posters(s Sender) []*poster {
	switch s := s.(type) {
	case *pagerduty:
		return []*poster{s.poster}
	case *slack:
		return []*poster{s.poster}
	case *webhook:
		return []*poster{s.poster}
	case *alertmanager:
		return s.members
	}
	return nil
}

func check(t *testing.T, err error, secret string) {
	t.Helper()
	if err == nil {
		return
	}
	if strings.Contains(err.Error(), secret) {
		t.Errorf("the error tells the secret: %v", err)
	}
	if wait := Classify(err).RetryAfter; wait < 0 || wait > maxRetryAfter {
		t.Errorf("wait %v: %v", wait, err)
	}
}

// FuzzMailServer: whatever a mail server says, the mail is delivered, or not, within bounds.
func FuzzMailServer(f *testing.F) {
	for _, text := range []string{
		"220 x\r\n250 x\r\n250 ok\r\n250 ok\r\n354 go on\r\n250 taken\r\n221 bye\r\n",
		"220 x\r\n250-x\r\n250 STARTTLS\r\n220 go on\r\n", "421 busy\r\n", "220-\r\n220-\r\n", "220 x\r\n550 no\r\n", "\x16\x03\x01\x02",
	} {
		f.Add([]byte(text))
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = l.Close() })
	e, err := newEmail(&config.Notifier{SMTP: l.Addr().String(), To: "ops@example.org"}, Deps{Host: "h", Now: time.Now})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		said := make(chan struct{})
		go func() {
			defer close(said)
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() { _, _ = io.Copy(io.Discard, conn) }()
			_, _ = conn.Write(raw)
			_ = conn.Close()
		}()
		check(t, e.Send(t.Context(), Message{Key: "i/0", Kind: Trigger, Title: "x"}), "no secret")
		<-said
	})
}

// A mail server that never comes to an end fills no memory.
func TestEndlessMailServer(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	said := make(chan int)
	go func() {
		sum := 0
		defer func() { said <- sum }()
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		for line := []byte("220-" + strings.Repeat("x", 1<<10) + "\r\n"); ; {
			n, err := conn.Write(line)
			if sum += n; err != nil {
				return
			}
		}
	}()
	e, err := newEmail(&config.Notifier{SMTP: l.Addr().String(), To: "ops@example.org"}, Deps{Host: "h", Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := e.Send(ctx, Message{}); err == nil || ctx.Err() != nil || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("an endless greeting: %v", err)
	}
	if sum := <-said; sum > 64<<20 {
		t.Errorf("%d bytes were taken", sum)
	}
	_ = l.Close()
}
