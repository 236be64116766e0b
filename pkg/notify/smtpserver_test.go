package notify

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/mail"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
)

// mailServer is an SMTP server that is as strict as the strict ones out there: it refuses bare line feeds, names
// without a domain, commands out of order, parameters that it did not offer, eight-bit text, long lines, and
// mails without the headers that every mail must have.
type mailServer struct {
	addr     string
	greeting string            // instead of 220
	rcpt     map[string]string // answers for recipients; default 250
	mailFrom string            // answer to MAIL; default 250
	ending   string            // answer to the end of the mail; "cut": none
	tls      *tls.Config       // offers STARTTLS
	needTLS  bool

	mu    sync.Mutex
	mails [][]byte
	hello string
	over  bool // the last mail came over TLS
	bad   []string
}

func startMail(t *testing.T, s *mailServer) *mailServer {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.addr = l.Addr().String()
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer conn.Close()
				if err := s.serve(conn); err != nil && !errors.Is(err, io.EOF) {
					s.mu.Lock()
					s.bad = append(s.bad, err.Error())
					s.mu.Unlock()
				}
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		wg.Wait()
	})
	return s
}

func (s *mailServer) got() (mails [][]byte, bad []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.mails), slices.Clone(s.bad)
}

var (
	helloForm = regexp.MustCompile(`^EHLO (\[(\d+\.){3}\d+\]|\[IPv6:[0-9a-f:.]+\]|[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+)$`)
	mailForm  = regexp.MustCompile(`^MAIL FROM:<[^<> @]+@[^<> @]+>( BODY=8BITMIME)?$`)
	rcptForm  = regexp.MustCompile(`^RCPT TO:<([^<> @]+@[^<> @]+)>$`)
)

func (s *mailServer) serve(conn net.Conn) error {
	r := bufio.NewReader(conn)
	say := func(text string) { fmt.Fprintf(conn, "%s\r\n", text) }
	if s.greeting != "" {
		say(s.greeting)
		return nil
	}
	say("220 mx.example.org ESMTP")
	secure, state, rcpts := false, "", 0
	for {
		line, err := crlfLine(r, 512)
		if err != nil {
			return err
		}
		verb, _, _ := strings.Cut(strings.ToUpper(line), " ")
		switch {
		case verb == "EHLO" && helloForm.MatchString(line):
			s.mu.Lock()
			s.hello = line
			s.mu.Unlock()
			state = "hello"
			if s.tls != nil && !secure {
				say("250-mx.example.org\r\n250 STARTTLS")
			} else {
				say("250-mx.example.org\r\n250 8BITMIME")
			}
		case verb == "EHLO":
			say("504 need a full name: " + line)
		case verb == "STARTTLS" && s.tls != nil && !secure && state == "hello":
			say("220 go ahead")
			t := tls.Server(conn, s.tls)
			if err := t.Handshake(); err != nil {
				return nil // the client does not trust us
			}
			conn, r, secure, state = t, bufio.NewReader(t), true, ""
		case verb == "MAIL" && s.needTLS && !secure:
			say("530 5.7.0 Must issue a STARTTLS command first")
		case verb == "MAIL" && state == "hello" && mailForm.MatchString(line):
			if s.mailFrom != "" {
				say(s.mailFrom)
				break
			}
			state = "mail"
			say("250 ok")
		case verb == "RCPT" && state == "mail" && rcptForm.MatchString(line):
			if answer := s.rcpt[rcptForm.FindStringSubmatch(line)[1]]; answer != "" {
				say(answer)
				break
			}
			rcpts++
			say("250 ok")
		case verb == "DATA" && rcpts > 0:
			say("354 go ahead")
			text, err := data(r)
			if err != nil {
				say("554 5.6.0 " + err.Error())
				return err
			}
			if s.ending == "cut" {
				return nil
			}
			if s.ending != "" {
				say(s.ending)
				break
			}
			s.mu.Lock()
			s.mails, s.over = append(s.mails, text), secure
			s.mu.Unlock()
			say("250 queued")
			state, rcpts = "hello", 0
		case verb == "QUIT":
			say("221 bye")
			return nil
		default:
			say("503 not now: " + line)
			return fmt.Errorf("unexpected %q", line)
		}
	}
}

// crlfLine reads one line of at most size bytes that ends in CR LF and holds neither alone.
func crlfLine(r *bufio.Reader, size int) (string, error) {
	line, err := r.ReadString('\n')
	if err != nil {
		return "", err
	}
	text, ok := strings.CutSuffix(line, "\r\n")
	if !ok || strings.ContainsAny(text, "\r\x00") || len(line) > size {
		return "", fmt.Errorf("bad line %q", line)
	}
	return text, nil
}

// data reads a mail and checks it.
func data(r *bufio.Reader) ([]byte, error) {
	var b bytes.Buffer
	for {
		line, err := crlfLine(r, 1000)
		if err != nil {
			return nil, err
		}
		if line == "." {
			break
		}
		for _, c := range []byte(line) {
			if c > 126 || c < 32 && c != '\t' {
				return nil, fmt.Errorf("byte %#x in %q", c, line)
			}
		}
		b.WriteString(strings.TrimPrefix(line, ".") + "\r\n")
	}
	m, err := mail.ReadMessage(bytes.NewReader(b.Bytes()))
	if err != nil {
		return nil, err
	}
	for _, name := range []string{"From", "To", "Subject", "Date", "Message-Id"} {
		if len(m.Header[name]) != 1 {
			return nil, fmt.Errorf("%d headers %s", len(m.Header[name]), name)
		}
	}
	for name, values := range m.Header {
		if len(values) != 1 {
			return nil, fmt.Errorf("%d headers %s", len(values), name)
		}
	}
	if _, err := m.Header.Date(); err != nil {
		return nil, err
	}
	if _, err := m.Header.AddressList("To"); err != nil {
		return nil, err
	}
	if id := m.Header.Get("Message-Id"); !regexp.MustCompile(`^<[^<>@ ]+@[^<>@ ]+>$`).MatchString(id) {
		return nil, fmt.Errorf("message ID %q", id)
	}
	return b.Bytes(), nil
}
