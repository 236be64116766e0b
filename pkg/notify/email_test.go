package notify

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"mime"
	"mime/quotedprintable"
	"net"
	"net/http/httptest"
	"net/mail"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/salveops/salve/pkg/config"
)

func sample() Message {
	return Message{
		Key: "0a/0/0", Kind: Trigger, Incident: "0a", Service: "checkout", Host: "web-1", Severity: "critical",
		Title:   "checkout antwortet nicht – Größe 12 %",
		Summary: "unit.failed since 12:00:00.\n.A line that begins with a dot.",
		Details: "12:00:00 alert fires\n12:00:01 restart-app: ineffective\n" + strings.Repeat("long ", 400),
		At:      time.Date(2026, 3, 1, 12, 0, 2, 0, time.UTC),
	}
}

func emailTo(t *testing.T, s *mailServer, n config.Notifier, d Deps) Sender {
	t.Helper()
	n.Kind, n.Name = "email", "me"
	if n.SMTP == "" {
		n.SMTP = s.addr
	}
	if n.To == "" {
		n.To = "ops@example.org"
	}
	if d.Host == "" {
		d.Host = "web-1"
	}
	sender, err := New(&n, d)
	if err != nil {
		t.Fatal(err)
	}
	return sender
}

// read parses what the server got.
func read(t *testing.T, raw []byte) (mail.Header, string) {
	t.Helper()
	m, err := mail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(quotedprintable.NewReader(m.Body))
	if err != nil {
		t.Fatal(err)
	}
	return m.Header, strings.ReplaceAll(string(text), "\r\n", "\n")
}

func TestEmail(t *testing.T) {
	s := startMail(t, &mailServer{})
	sender := emailTo(t, s, config.Notifier{To: "Öps <ops@example.org>, second@example.org"}, Deps{})
	m := sample()
	for range 2 {
		if err := sender.Send(context.Background(), m); err != nil {
			t.Fatal(err)
		}
	}
	m.Key, m.Kind = "0a/resolved", Resolve
	if err := sender.Send(context.Background(), m); err != nil {
		t.Fatal(err)
	}
	mails, bad := s.got()
	if len(mails) != 3 || len(bad) > 0 {
		t.Fatalf("%d mails, complaints %v", len(mails), bad)
	}
	h, text := read(t, mails[0])
	again, _ := read(t, mails[1])
	end, _ := read(t, mails[2])
	subject, err := new(mime.WordDecoder).DecodeHeader(h.Get("Subject"))
	if want := "[CRITICAL] web-1: " + m.Title; err != nil || subject != want {
		t.Errorf("subject %q, want %q (%v)", subject, want, err)
	}
	for _, want := range []string{m.Summary, m.Details, "Incident: 0a\n", "Service:  checkout\n"} {
		if !strings.Contains(text, want) {
			t.Errorf("text lacks %q", want)
		}
	}
	if h.Get("From") != "<salve@web-1>" || h.Get("Auto-Submitted") != "auto-generated" {
		t.Errorf("headers %v", h)
	}
	if h.Get("Message-Id") != again.Get("Message-Id") || h.Get("Message-Id") == end.Get("Message-Id") {
		t.Error("duplicates must share their Message-ID, other messages must not")
	}
	if h.Get("References") == "" || h.Get("References") != end.Get("References") {
		t.Error("mails of one incident must hang on one thread")
	}
}

func TestEmailRefusals(t *testing.T) {
	const second = "ops@example.org, b@example.org"
	for name, c := range map[string]struct {
		server   *mailServer
		to, smtp string
		want     Error
		text     string
		mails    int
	}{
		"greeting 554":   {server: &mailServer{greeting: "554 go away"}, want: Error{Permanent: true}, text: "greet: 554"},
		"greeting 421":   {server: &mailServer{greeting: "421 busy"}, text: "421"},
		"no smtp":        {server: &mailServer{greeting: "HTTP/1.1 400 Bad Request"}, text: "greet"},
		"sender refused": {server: &mailServer{mailFrom: "550 unknown"}, want: Error{Permanent: true}, text: "sender"},
		"needs TLS":      {server: &mailServer{needTLS: true}, want: Error{Permanent: true}, text: "STARTTLS"},
		"unknown":        {server: &mailServer{rcpt: to("550 unknown")}, want: Error{Permanent: true}, text: "550"},
		"greylisted":     {server: &mailServer{rcpt: to("451 later")}, text: "451"},
		"one of two": {
			server: &mailServer{rcpt: to("550 no")}, to: second, want: Error{Permanent: true, Reached: true}, mails: 1,
		},
		"full":             {server: &mailServer{ending: "452 disk full"}, text: "452"},
		"spam":             {server: &mailServer{ending: "554 spam"}, want: Error{Permanent: true}, text: "end mail: 554"},
		"answer lost":      {server: &mailServer{ending: "cut"}, want: Error{Reached: true}, text: "end mail"},
		"nobody listening": {server: &mailServer{}, smtp: "127.0.0.1:1", text: "reach mail server"},
	} {
		t.Run(name, func(t *testing.T) {
			s := startMail(t, c.server)
			err := emailTo(t, s, config.Notifier{To: c.to, SMTP: c.smtp}, Deps{}).Send(context.Background(), sample())
			got := Classify(err)
			if got == nil {
				t.Fatal("no error")
			}
			if got.Permanent != c.want.Permanent || got.Reached != c.want.Reached || !strings.Contains(err.Error(), c.text) {
				t.Errorf("got %+v", got)
			}
			if mails, _ := s.got(); len(mails) != c.mails {
				t.Errorf("%d mails arrived, want %d", len(mails), c.mails)
			}
		})
	}
}

func to(answer string) map[string]string { return map[string]string{"ops@example.org": answer} }

// On loopback STARTTLS is taken where it is offered, whatever the certificate; elsewhere it must be there and be
// trusted.
func TestEmailTLS(t *testing.T) {
	web := httptest.NewTLSServer(nil) // only for its certificate
	defer web.Close()
	cert := &tls.Config{Certificates: web.TLS.Certificates}
	s := startMail(t, &mailServer{tls: cert, needTLS: true})
	if err := emailTo(t, s, config.Notifier{}, Deps{}).Send(context.Background(), sample()); err != nil {
		t.Error(err)
	}
	if mails, bad := s.got(); len(mails) != 1 || !s.over || len(bad) > 0 {
		t.Errorf("%d mails, TLS %v, complaints %v", len(mails), s.over, bad)
	}
	for name, c := range map[string]struct {
		tls  *tls.Config
		text string
	}{"not offered": {nil, "no STARTTLS"}, "not trusted": {cert, "trust mail server"}} {
		t.Run(name, func(t *testing.T) {
			sender := emailTo(t, startMail(t, &mailServer{tls: c.tls}), config.Notifier{}, Deps{})
			sender.(limited).Sender.(*email).local = func(net.Addr) bool { return false }
			err := sender.Send(context.Background(), sample())
			if e := Classify(err); e == nil || !e.Permanent || !strings.Contains(err.Error(), c.text) {
				t.Errorf("got %v, want %q", err, c.text)
			}
		})
	}
	roots := x509.NewCertPool()
	roots.AddCert(web.Certificate())
	s = startMail(t, &mailServer{tls: cert, needTLS: true})
	sender := emailTo(t, s, config.Notifier{}, Deps{Roots: roots})
	sender.(limited).Sender.(*email).local = func(net.Addr) bool { return false }
	if err := sender.Send(context.Background(), sample()); err != nil {
		t.Errorf("trusted server elsewhere: %v", err)
	}
}

func TestEmailServerHangs(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() // accepts by backlog, answers never
	ctx, cancel := context.WithCancel(context.Background())
	time.AfterFunc(20*time.Millisecond, cancel)
	sender := emailTo(t, nil, config.Notifier{SMTP: l.Addr().String(), Timeout: time.Minute}, Deps{})
	if err := sender.Send(ctx, sample()); err == nil || Classify(err).Permanent {
		t.Errorf("got %v", err)
	}
}

// Whatever a message says, the mail keeps its form and gains no header and no recipient.
func TestEmailCannotBeInjected(t *testing.T) {
	s := startMail(t, &mailServer{})
	sender := emailTo(t, s, config.Notifier{}, Deps{Host: "web-1\r\nBcc: x@example.org"})
	sent := 0
	rapid.Check(t, func(rt *rapid.T) {
		nasty := rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{
			"a\r\nBcc: evil@example.org\r\n\r\nbody", "a\nSubject: b", "\r\n.\r\nMAIL FROM:<x@y>", ".", "\x00", "=?utf-8?q?x?=",
			strings.Repeat("ü", 500), "\u202eabc", "\xff\xfe",
		}))
		m := Message{
			Key: nasty.Draw(rt, "key"), Kind: Kind(nasty.Draw(rt, "kind")), Incident: nasty.Draw(rt, "incident"),
			Host: nasty.Draw(rt, "host"), Severity: nasty.Draw(rt, "severity"), Title: nasty.Draw(rt, "title"),
			Summary: nasty.Draw(rt, "summary"), Details: nasty.Draw(rt, "details"),
		}
		if err := sender.Send(context.Background(), m); err != nil {
			rt.Fatal(err)
		}
		sent++
		mails, bad := s.got()
		if len(mails) != sent || len(bad) > 0 {
			rt.Fatalf("%d of %d mails, complaints %q", len(mails), sent, bad)
		}
		h, text := read(t, mails[sent-1])
		if len(h) != 14 || h.Get("Bcc") != "" {
			rt.Fatalf("headers %v", h)
		}
		if want := m.Bounded().Summary; !strings.HasPrefix(text, want) {
			rt.Fatalf("text %q does not begin with %q", text, want)
		}
	})
}

func TestEmailConfiguration(t *testing.T) {
	for name, n := range map[string]config.Notifier{
		"no recipient":  {SMTP: "localhost:25"},
		"bad recipient": {SMTP: "localhost:25", To: "ops"},
		"line end":      {SMTP: "localhost:25", To: "ops@example.org\r\nBcc: x@example.org"},
		"bad sender":    {SMTP: "localhost:25", To: "a@b", From: "nobody"},
		"not ASCII":     {SMTP: "localhost:25", To: "ö@example.org"},
		"no port":       {SMTP: "localhost", To: "a@b"},
	} {
		n.Kind, n.Name = "email", "me"
		if _, err := New(&n, Deps{Host: "h"}); err == nil || !strings.HasPrefix(err.Error(), "notifier email.me: ") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestBounded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := Message{
			Title: rapid.String().Draw(t, "title"), Details: strings.Repeat(rapid.String().Draw(t, "details"), 2000),
			Summary: string(rapid.SliceOf(rapid.Byte()).Draw(t, "summary")),
		}
		b := m.Bounded()
		if len(b.Title) > MaxTitle || len(b.Summary) > MaxSummary || len(b.Details) > MaxDetails {
			t.Fatalf("too long: %d %d %d", len(b.Title), len(b.Summary), len(b.Details))
		}
		if !utf8.ValidString(b.Title+b.Summary+b.Details) || strings.ContainsAny(b.Title, "\r\n\t") {
			t.Fatalf("not clean: %q", b)
		}
		if diff := cmp.Diff(b, b.Bounded()); diff != "" {
			t.Fatalf("not idempotent:\n%s", diff)
		}
	})
}
