package probe

import (
	"bufio"
	"cmp"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/salveops/salve/agent/agenttest"
)

// newAsked makes an asker for a URL.
// newAsked asks a target. Without a time-out of its own there is time for what comes late on a busy machine.
func newAsked(t testing.TB, target Target) *line[*conn] {
	t.Helper()
	target.Timeout = cmp.Or(target.Timeout, 10*time.Second)
	a, err := newAsker(target.normal(), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.close)
	return a.(*line[*conn])
}

// raw is a server that speaks no proper HTTP: serve gets each connection after its request was read.
func raw(t testing.TB, serve func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				in := bufio.NewReader(c)
				if _, err := http.ReadRequest(in); err == nil {
					serve(c)
				}
			}()
		}
	}()
	return "http://" + l.Addr().String()
}

func text(s string) func(net.Conn) {
	return func(c net.Conn) { _, _ = io.WriteString(c, s) }
}

func TestHTTPAnswers(t *testing.T) {
	const (
		open = "HTTP/1.1 200 OK\r\n\r\n" // ends with the connection
		ok   = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nfit"
		no   = "HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n"
		away = "HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n"
	)
	long := strings.Repeat("x", bodyLimit)
	tests := []struct {
		name   string
		serve  func(net.Conn)
		target Target
		status float64 // 0: no whole answer
		err    string  // "": good
	}{
		{"good", text(ok), Target{}, 200, ""},
		{"expected text", text(ok), Target{Body: "fit"}, 200, ""},
		{"expected text missing", text(ok), Target{Body: "fat"}, 200, "expected text"},
		{"expected text beyond the limit", text(open + long + "fit"), Target{Body: "fit"}, 200, "expected text"},
		{"expected text at the limit", text(open + long[3:] + "fit"), Target{Body: "fit"}, 200, ""},
		{"server error", text(no), Target{}, 503, "status 503"},
		{"error that is accepted", text(no), Target{Status: []int{200, 503}}, 503, ""},
		{"good that is not accepted", text(ok), Target{Status: []int{204}}, 200, "status 200"},
		{"redirect", text(away), Target{}, 302, "status 302"},
		{"redirect that is accepted", text(away), Target{Status: []int{302}}, 302, ""},
		{"after an informational one", text("HTTP/1.1 103 Early Hints\r\n\r\n" + ok), Target{}, 200, ""},
		{"informational ones for ever", text(strings.Repeat("HTTP/1.1 100 Continue\r\n\r\n", 50)),
			Target{}, 0, "informational"},
		{"chunks", text("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nfit\r\n0\r\n\r\n"),
			Target{Body: "fit"}, 200, ""},
		{"garbage", text("\x00\x01\x02 not HTTP at all\r\n\r\n"), Target{}, 0, "malformed"},
		{"nothing", text(""), Target{}, 0, "EOF"},
		{"half a head", text("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n"), Target{}, 0, "EOF"},
		{"half a body", text("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"), Target{}, 0, "EOF"},
		{"endless head", func(c net.Conn) {
			_, err := io.WriteString(c, "HTTP/1.1 200 OK\r\n")
			for i := 0; err == nil; i++ {
				_, err = fmt.Fprintf(c, "X-%d: %s\r\n", i, long[:1000])
			}
		}, Target{}, 0, "EOF"},
		{"10 MB", func(c net.Conn) {
			_, err := io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 10485760\r\n\r\n")
			for n := 0; n < 10<<20 && err == nil; n += len(long) {
				_, err = io.WriteString(c, long)
			}
		}, Target{}, 200, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.target.HTTP = raw(t, tt.serve)
			tt.target.Timeout = 5 * time.Second
			a := newAsked(t, tt.target).ask(false)
			if a.figure != tt.status || a.answered != (tt.status != 0) {
				t.Errorf("status %v (answered: %v), want %v; error %v", a.figure, a.answered, tt.status, a.err)
			}
			if (a.err == nil) != (tt.err == "") || a.err != nil && !strings.Contains(a.err.Error(), tt.err) {
				t.Errorf("error %v, want %q", a.err, tt.err)
			}
		})
	}
}

// Redirects are not followed, so one that leads to itself is asked once.
func TestEndlessRedirectIsAskedOnce(t *testing.T) {
	var asked atomic.Int32
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		http.Redirect(w, r, "/again", http.StatusFound)
	}))
	defer s.Close()
	if a := newAsked(t, Target{HTTP: s.URL}).ask(false); a.figure != 302 || a.err == nil {
		t.Errorf("%+v", a)
	}
	if n := asked.Load(); n != 1 {
		t.Errorf("asked %d times", n)
	}
}

func TestHangingServers(t *testing.T) {
	release := make(chan struct{})
	defer close(release)
	wait := func(net.Conn) { <-release }
	drip := func(c net.Conn) {
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n")
		<-release
	}
	full, err := net.Listen("tcp", "127.0.0.1:0") // connects, and nobody accepts
	if err != nil {
		t.Fatal(err)
	}
	defer full.Close()
	for name, url := range map[string]string{
		"no answer": raw(t, wait), "no body": raw(t, drip), "no accept": "http://" + full.Addr().String(),
	} {
		t.Run(name, func(t *testing.T) {
			start := time.Now()
			a := newAsked(t, Target{HTTP: url, Timeout: 50 * time.Millisecond}).ask(false)
			if a.err == nil || a.answered || !timedOut(a.err) {
				t.Errorf("%+v", a)
			}
			if took := time.Since(start); took < 50*time.Millisecond {
				t.Errorf("gave up after %v", took)
			}
		})
	}
}

func TestRefused(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	url := "http://" + l.Addr().String()
	_ = l.Close()
	if a := newAsked(t, Target{HTTP: url}).ask(false); a.err == nil || a.answered || timedOut(a.err) {
		t.Errorf("%+v", a)
	}
}

// counting counts the connections that a server sees.
func counting(t testing.TB, handler http.HandlerFunc) (*httptest.Server, *atomic.Int32) {
	var n atomic.Int32
	s := httptest.NewUnstartedServer(handler)
	s.Config.ConnState = func(_ net.Conn, st http.ConnState) {
		if st == http.StateNew {
			n.Add(1)
		}
	}
	s.Start()
	t.Cleanup(s.Close)
	return s, &n
}

func fine(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") }

func TestConnectionIsKept(t *testing.T) {
	s, conns := counting(t, fine)
	h := newAsked(t, Target{HTTP: s.URL})
	for range 5 {
		if a := h.ask(false); a.err != nil {
			t.Fatal(a.err)
		}
	}
	if n := conns.Load(); n != 1 {
		t.Errorf("%d connections for five questions", n)
	}
	if a := h.ask(true); a.err != nil {
		t.Fatal(a.err)
	}
	if n := conns.Load(); n != 2 {
		t.Errorf("%d connections after one that had to be fresh", n)
	}
}

// A server that closed the idle connection, or restarted, did not miss.
func TestClosedIdleConnectionIsNoMiss(t *testing.T) {
	s, _ := counting(t, fine)
	h := newAsked(t, Target{HTTP: s.URL})
	for range 3 {
		if a := h.ask(false); a.err != nil {
			t.Fatal(a.err)
		}
		s.CloseClientConnections()
	}
}

// A connection that is lost while the question is on its way is tried once more on a fresh one.
func TestConnectionLostAtTheQuestionIsNoMiss(t *testing.T) {
	url := raw(t, func(c net.Conn) {
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
		_, _ = c.Read(make([]byte, 1)) // the next question: hang up
	})
	h := newAsked(t, Target{HTTP: url})
	for i := range 4 {
		if a := h.ask(false); a.err != nil {
			t.Fatalf("question %d: %v", i, a.err)
		}
	}
}

// An answer that nobody asked for, such as "408 Request Timeout" on an idle connection, is not taken for
// the answer to the next question.
func TestUnaskedAnswerIsNotTaken(t *testing.T) {
	read, done := make(chan struct{}), make(chan struct{})
	defer close(done)
	var first atomic.Bool
	url := raw(t, func(c net.Conn) {
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
		if first.CompareAndSwap(false, true) {
			<-read
			_, _ = io.WriteString(c, "HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n\r\n")
			<-done
		}
	})
	h := newAsked(t, Target{HTTP: url})
	if a := h.ask(false); a.err != nil {
		t.Fatal(a.err)
	}
	close(read)
	agenttest.Eventually(t, func() bool { return !(*h.idle).quiet() }, "the unasked answer arrives")
	if a := h.ask(false); a.err != nil {
		t.Error(a.err)
	}
}

func TestHTTPS(t *testing.T) {
	s := httptest.NewTLSServer(http.HandlerFunc(fine))
	defer s.Close()
	h := newAsked(t, Target{HTTP: s.URL, Timeout: 5 * time.Second})
	a := h.ask(false)
	var unknownAuthority x509.UnknownAuthorityError
	if !errors.As(a.err, &unknownAuthority) {
		t.Errorf("a certificate that nobody vouches for: %v", a.err)
	}
	cfg := h.protocol.(*httpProtocol).tls
	cfg.RootCAs = x509.NewCertPool()
	cfg.RootCAs.AddCert(s.Certificate())
	for range 3 {
		if a := h.ask(false); a.err != nil || a.figure != 200 {
			t.Fatalf("%+v", a)
		}
	}
}

func TestBasicAuthAndHost(t *testing.T) {
	got := make(chan *http.Request, 1)
	s, _ := counting(t, func(_ http.ResponseWriter, r *http.Request) { got <- r })
	h := newAsked(t, Target{HTTP: strings.Replace(s.URL, "http://", "http://me:secret@", 1) + "/a?b=c"})
	if a := h.ask(false); a.err != nil {
		t.Fatal(a.err)
	}
	r := <-got
	user, password, _ := r.BasicAuth()
	if user != "me" || password != "secret" || r.URL.String() != "/a?b=c" || r.UserAgent() != "salve" ||
		!strings.HasPrefix(r.Host, "127.0.0.1:") {
		t.Errorf("%s %s %s %s", r.URL, r.Host, user, r.UserAgent())
	}
}

func TestCloseEndsAHangingQuestion(t *testing.T) {
	arrived, hungUp := make(chan struct{}), make(chan struct{})
	h := newAsked(t, Target{HTTP: raw(t, func(c net.Conn) {
		close(arrived)
		_, _ = c.Read(make([]byte, 1))
		close(hungUp)
	}), Timeout: time.Hour})
	done := make(chan answer)
	go func() { done <- h.ask(false) }()
	<-arrived
	h.close()
	if a := <-done; a.err == nil {
		t.Error("a closed question is good")
	}
	<-hungUp
}

func TestBadAddresses(t *testing.T) {
	for _, u := range []string{"ftp://x/", "://", "http://", "/path", "http://a b/"} {
		if _, err := newHTTP(Target{HTTP: u}); err == nil {
			t.Errorf("%q is taken for an address", u)
		}
	}
}

func FuzzHTTPAnswer(f *testing.F) {
	f.Add([]byte("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"))
	f.Add([]byte("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n"))
	f.Add([]byte("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.0 404 No\r\n\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		client, server := net.Pipe()
		go func() {
			_, _ = server.Read(make([]byte, 4096))
			_, _ = server.Write(b)
			_ = server.Close()
		}()
		h := newAsked(t, Target{HTTP: "http://fuzz/", Body: "ok"})
		a, _ := h.protocol.exchange(t.Context(), newConn(client), time.Now().Add(5*time.Second))
		if a.err == nil && (!a.answered || a.figure < 200 || a.figure > 299) {
			t.Errorf("%+v", a)
		}
	})
}
