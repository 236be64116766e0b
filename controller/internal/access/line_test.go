package access

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"

	"github.com/salveops/salve/controller/internal/authority"
	"github.com/salveops/salve/pkg/credential"
	"github.com/salveops/salve/pkg/identity"
	"github.com/salveops/salve/pkg/transport"
)

// nodeOf is the configuration of a node with a certificate of an authority.
func nodeOf(t *testing.T, a *authority.Authority, name string) *tls.Config {
	t.Helper()
	key, err := credential.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	cert, err := a.Issue(authority.Order{Name: identity.Name{Kind: identity.Controller, ID: name}, Key: &key.PublicKey,
		Addresses: []string{"127.0.0.1"}, Life: time.Hour, Now: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	text, err := credential.EncodeKey(key)
	if err != nil {
		t.Fatal(err)
	}
	c, err := credential.Parse(slices.Concat(text, credential.EncodeCerts(cert, a.Certificate())))
	if err != nil {
		t.Fatal(err)
	}
	return c.Config()
}

// Bare connections end with who is at the other end: when he is shut out, between handshake and first word too, and when
// his certificate ends; on the side that was dialled as on the one that dials.
func TestConnectionsAreCut(t *testing.T) {
	dir := t.TempDir()
	a, err := authority.Create(filepath.Join(dir, "ca"), filepath.Join(dir, "key"), time.Now(), nil)
	if err != nil {
		t.Fatal(err)
	}
	config := map[string]*tls.Config{"ctl-1": nodeOf(t, a, "ctl-1"), "ctl-2": nodeOf(t, a, "ctl-2")}
	tests := []struct {
		name   string
		early  bool // it happens before the first word
		happen func(*replica, *atomic.Int64)
	}{
		{"revoked", false, func(r *replica, _ *atomic.Int64) { r.revoke(t, "controller/ctl-2") }},
		{"revoked after the handshake", true, func(r *replica, _ *atomic.Int64) { r.revoke(t, "controller/ctl-2") }},
		{"ended", false, func(_ *replica, by *atomic.Int64) { by.Store(int64(2 * time.Hour)) }},
		{"ended after the handshake", true, func(_ *replica, by *atomic.Int64) { by.Store(int64(2 * time.Hour)) }},
	}
	for _, tc := range tests {
		for _, dials := range []string{"ctl-1", "ctl-2"} { // the gate is that of ctl-1
			t.Run(tc.name+", dialled by "+dials, func(t *testing.T) {
				r, by := newReplica(), new(atomic.Int64)
				g, err := New(Options{Replica: r, Now: func() time.Time { return time.Now().Add(time.Duration(by.Load())) }})
				if err != nil {
					t.Fatal(err)
				}
				lines := map[string]Line{}
				for name, c := range config {
					line, err := transport.New(transport.Options{TLS: c})
					if err != nil {
						t.Fatal(err)
					}
					if lines[name] = line; name == "ctl-1" {
						lines[name] = g.Watched(line)
					}
				}
				ours, theirs := pair(t, lines, dials)
				if !tc.early {
					go func() { _ = g.Run(t.Context()) }()
					if _, err := ours.Read(make([]byte, 1)); err != nil {
						t.Fatal(err)
					}
				}
				tc.happen(r, by)
				if tc.early {
					_, _ = ours.Read(make([]byte, 1)) // what was on the way
				}
				_ = theirs.SetReadDeadline(time.Now().Add(20 * time.Second))
				if _, err := theirs.Read(make([]byte, 1)); err == nil || os.IsTimeout(err) {
					t.Errorf("the connection is open: %v", err)
				}
			})
		}
	}
}

// What this node calls on others over gRPC ends with them, too.
func TestCallsAreCut(t *testing.T) {
	dir := t.TempDir()
	a, err := authority.Create(filepath.Join(dir, "ca"), filepath.Join(dir, "key"), time.Now(), nil)
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := transport.New(transport.Options{TLS: nodeOf(t, a, "ctl-2")})
	if err != nil {
		t.Fatal(err)
	}
	server, l, err := theirs.GRPC(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	grpc_health_v1.RegisterHealthServer(server, health.NewServer())
	go func() { _ = server.Serve(l) }()
	t.Cleanup(server.Stop)
	for name, happen := range map[string]func(*replica, *atomic.Int64){
		"revoked": func(r *replica, _ *atomic.Int64) { r.revoke(t, "controller/ctl-2") },
		"ended":   func(_ *replica, by *atomic.Int64) { by.Store(int64(2 * time.Hour)) },
		"closed":  nil,
	} {
		t.Run(name, func(t *testing.T) {
			r, by := newReplica(), new(atomic.Int64)
			g, err := New(Options{Replica: r, Now: func() time.Time { return time.Now().Add(time.Duration(by.Load())) }})
			if err != nil {
				t.Fatal(err)
			}
			go func() { _ = g.Run(t.Context()) }()
			ours, err := transport.New(transport.Options{TLS: nodeOf(t, a, "ctl-1"), Dialled: g.Dialled})
			if err != nil {
				t.Fatal(err)
			}
			conn, err := ours.Client(t.Context(), l.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			stream, err := grpc_health_v1.NewHealthClient(conn).Watch(ctx, &grpc_health_v1.HealthCheckRequest{})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := stream.Recv(); err != nil || len(g.open.list()) != 1 {
				t.Fatalf("%d connections are noted: %v", len(g.open.list()), err)
			}
			if happen == nil {
				_ = conn.Close()
			} else {
				happen(r, by)
			}
			if _, err := stream.Recv(); err == nil || ctx.Err() != nil {
				t.Errorf("the stream is open: %v", err)
			}
			for len(g.open.list()) > 0 && ctx.Err() == nil {
				runtime.Gosched()
			}
			if n := len(g.open.list()); n != 0 {
				t.Errorf("%d connections are still noted", n)
			}
		})
	}
}

// Who is shut out between the handshake and the note is cut at once.
func TestCallsAreCutEarly(t *testing.T) {
	r := newReplica()
	g := newGate(t, r, false)
	r.revoke(t, "controller/ctl-1")
	cuts := 0
	for _, uri := range []string{"salve://controller/ctl-1", "http://nobody"} {
		g.Dialled(certificate(t, 2, uri), func() { cuts++ })()
	}
	g.Dialled(certificate(t, 3, "salve://controller/ctl-2"), func() { t.Error("a good one is cut") })()
	if cuts != 2 || len(g.open.list()) != 0 {
		t.Errorf("%d of 2 were cut, %d are noted", cuts, len(g.open.list()))
	}
}

// pair is a connection whose handshake is over, and on which ctl-2 has said one byte.
func pair(t *testing.T, lines map[string]Line, dials string) (ours, theirs net.Conn) {
	t.Helper()
	other := map[string]string{"ctl-1": "ctl-2", "ctl-2": "ctl-1"}[dials]
	l, err := lines[other].Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	accepted := make(chan net.Conn, 1)
	go func() {
		defer close(accepted)
		if conn, err := l.Accept(); err == nil {
			_ = conn.(interface{ Handshake() error }).Handshake()
			accepted <- conn
		}
	}()
	dialled, err := lines[dials].Dial(t.Context(), l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = dialled.Close() })
	conn := <-accepted
	if conn == nil {
		t.Fatal("nothing is accepted")
	}
	t.Cleanup(func() { _ = conn.Close() })
	if ours, theirs = conn, dialled; dials == "ctl-1" {
		ours, theirs = dialled, conn
	}
	if _, err := io.WriteString(theirs, "x"); err != nil {
		t.Fatal(err)
	}
	return ours, theirs
}
