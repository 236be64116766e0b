package transport

import (
	"context"
	"crypto/tls"
	"errors"
	"sync/atomic"
	"testing"

	"github.com/salveops/salve/pkg/identity"
)

// TestPin: a machine that knows a fingerprint and nothing else.
func TestPin(t *testing.T) {
	ca, other := newAuthority(t), newAuthority(t)
	whole := ca.config(t, "controller")
	whole.Certificates[0].Certificate = append(whole.Certificates[0].Certificate, ca.cert.Raw)
	forged := other.config(t, "controller") // shows the pinned certificate, and is not signed by it
	forged.Certificates[0].Certificate = append(forged.Certificates[0].Certificate, ca.cert.Raw)
	tests := []struct {
		name   string
		server *tls.Config
		pin    []byte
		ok     bool
	}{
		{"the authority is shown", whole, identity.Pin(ca.cert), true},
		{"the authority is not shown", ca.config(t, "controller"), identity.Pin(ca.cert), false},
		{"another authority", whole, identity.Pin(other.cert), false},
		{"a stranger's certificate beside it", forged, identity.Pin(ca.cert), false},
	}
	for _, tc := range tests {
		server := newTransport(t, Options{TLS: tc.server, Anonymous: true})
		client := newTransport(t, Options{Pin: tc.pin})
		l, err := server.Listen(t.Context(), "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		accepted := make(chan struct{})
		go func() {
			defer close(accepted)
			if conn, err := l.Accept(); err == nil {
				_, _ = conn.Read(make([]byte, 1)) // the handshake
				_ = conn.Close()
			}
		}()
		conn, err := client.Dial(t.Context(), l.Addr().String())
		if err == nil {
			_ = conn.Close()
		}
		if (err == nil) != tc.ok || err != nil && !errors.Is(err, ErrPin) {
			t.Errorf("%s: %v", tc.name, err)
		}
		<-accepted
		_ = l.Close()
	}
	if _, err := newTransport(t, Options{Pin: []byte{1}}).Listen(context.Background(), "127.0.0.1:0"); !errors.Is(err,
		ErrConfig) {
		t.Errorf("listening with a pin: %v", err)
	}
	if _, err := New(Options{TLS: whole, Pin: []byte{1}}); !errors.Is(err, ErrConfig) {
		t.Errorf("two ways to know the other end: %v", err)
	}
}

// TestSourceIsAskedAnew: what the source says counts from the next line on.
func TestSourceIsAskedAnew(t *testing.T) {
	old, fresh := newAuthority(t), newAuthority(t)
	var now atomic.Pointer[tls.Config]
	now.Store(old.config(t, "controller"))
	server := newTransport(t, Options{Source: now.Load})
	of := func(a *authority) *Transport { return newTransport(t, Options{TLS: a.config(t, "agent")}) }
	if got := echo(t, server, of(old)); got != "hello" {
		t.Errorf("before: %q", got)
	}
	now.Store(fresh.config(t, "controller"))
	if got := echo(t, server, of(old)); got == "hello" {
		t.Error("the old authority's clients still get in")
	}
	if got := echo(t, server, of(fresh)); got != "hello" {
		t.Errorf("after: %q", got)
	}
}
