package transport

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// served is a listener that answers each connection with its first byte.
func served(t *testing.T, tr *Transport) *guardedListener {
	t.Helper()
	l, err := tr.listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	secured := tls.NewListener(l, tr.server())
	var all sync.WaitGroup
	all.Go(func() {
		for {
			conn, err := secured.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer conn.Close()
				for b := make([]byte, 1); ; {
					if _, err := conn.Read(b); err != nil {
						return
					}
					if _, err := conn.Write(b); err != nil {
						return
					}
				}
			})
		}
	})
	t.Cleanup(all.Wait)
	t.Cleanup(func() { _ = secured.Close() })
	return l.(*guardedListener)
}

// ask reports whether a client is answered. Its connection stays open until the test ends.
func ask(t *testing.T, tr *Transport, l net.Listener) bool {
	t.Helper()
	conn, err := tr.Dial(t.Context(), l.Addr().String())
	if err != nil {
		return false
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	_, err = conn.Write([]byte("x"))
	if err == nil {
		_, err = conn.Read(make([]byte, 1))
	}
	return err == nil
}

func (l *guardedListener) waiting() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.open.Len()
}

func eventually(t *testing.T, what string, so func() bool) {
	t.Helper()
	for deadline := time.After(time.Minute); !so(); {
		select {
		case <-deadline:
			t.Fatal("never: " + what)
		case <-time.After(time.Millisecond):
		}
	}
}

// Whoever opens connections and says nothing, or half a greeting, keeps nobody out: the oldest of them go.
func TestFloodOfHandshakes(t *testing.T) {
	ca := newAuthority(t)
	server := newTransport(t, Options{TLS: ca.config(t, "controller")})
	l := served(t, server)
	for n := range atOnceFrom + 50 {
		conn, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		if n%2 == 0 {
			_, _ = conn.Write([]byte{22, 3, 1, 2})
		}
	}
	eventually(t, "the oldest are cut", func() bool { return server.Counts().Displaced >= 50 })
	if n := l.waiting(); n > atOnceFrom {
		t.Errorf("%d handshakes at once", n)
	}
	if !ask(t, newTransport(t, Options{TLS: ca.config(t, "agent")}), l) {
		t.Error("an agent does not get in")
	}
	if c := server.Counts(); c.Failed+c.Refused > 0 || c.Displaced > 51 {
		t.Errorf("%+v", c)
	}
}

// Clients without a certificate are let in where that is so, and take a place as long as they stay; those with one don't.
func TestFloodOfNobodies(t *testing.T) {
	ca := newAuthority(t)
	server := newTransport(t, Options{TLS: ca.config(t, "controller"), Anonymous: true})
	l := served(t, server)
	naked := ca.config(t, "agent")
	naked.Certificates, naked.GetCertificate = nil, func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return nil, nil }
	nobody, agent := newTransport(t, Options{TLS: naked}), newTransport(t, Options{TLS: ca.config(t, "agent")})
	for range 3 {
		if !ask(t, agent, l) {
			t.Fatal("an agent does not get in")
		}
	}
	for range atOnceFrom + 5 {
		if !ask(t, nobody, l) {
			t.Fatal("a client without a certificate does not get in")
		}
	}
	if n, c := l.waiting(), server.Counts(); n != atOnceFrom || c.Displaced != 5 {
		t.Errorf("%d without a certificate, %+v", n, c)
	}
	if !ask(t, agent, l) {
		t.Error("an agent does not get in any more")
	}
}

// Who fails too often is closed the door for a moment, and a look whether somebody listens is no failure.
func TestFloodOfFailures(t *testing.T) {
	ca, other := newAuthority(t), newAuthority(t)
	server := newTransport(t, Options{TLS: ca.config(t, "controller")})
	var later atomic.Int64 // time stands still, for on a slow machine as many failures are forgotten as there are
	begun := time.Now()
	server.clock = func() time.Time { return begun.Add(time.Duration(later.Load())) }
	l := served(t, server)
	foreign := ca.config(t, "agent") // knows the server, and is not known
	foreign.Certificates = other.config(t, "agent").Certificates
	stranger, agent := newTransport(t, Options{TLS: foreign}), newTransport(t, Options{TLS: ca.config(t, "agent")})
	for range 10 {
		conn, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.Close()
	}
	if ask(t, stranger, l) {
		t.Fatal("a stranger gets in")
	}
	eventually(t, "one failure", func() bool { return server.Counts().Failed == 1 && l.waiting() == 0 })
	for tries := 0; server.Counts().Refused == 0; tries++ {
		if ask(t, stranger, l); tries > 2*failBurst {
			t.Fatal("the door is never closed")
		}
	}
	if n := server.Counts().Failed; n < failBurst {
		t.Errorf("it is closed after %d failures", n)
	}
	if ask(t, agent, l) {
		t.Error("the door is open to somebody of the same address")
	}
	later.Store(int64(failEvery))
	if !ask(t, agent, l) {
		t.Error("it is not open again")
	}
}

func TestSlowHandshake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := newTransport(t, Options{TLS: newAuthority(t).config(t, "controller")})
		l := tr.guard(nil).(*guardedListener)
		here, there := net.Pipe()
		quick, far := net.Pipe()
		defer quick.Close()
		defer far.Close()
		l.enter(quick, netip.Addr{}).passed(false)
		l.enter(here, netip.Addr{})
		begun := time.Now()
		if _, err := there.Read(make([]byte, 1)); !errors.Is(err, io.EOF) || time.Since(begun) != handshakeTime {
			t.Errorf("%v after %s", err, time.Since(begun))
		}
		if l.open.Len() != 1 || tr.Counts().Failed != 1 {
			t.Errorf("%d wait, %+v", l.open.Len(), tr.Counts())
		}
	})
}
