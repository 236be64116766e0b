package transport

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"
)

// TestPlainTextIsForLoopback goes through the addresses that a configuration may hold.
func TestPlainTextIsForLoopback(t *testing.T) {
	dns := names{
		"localhost": {"::1", "127.0.0.1"},
		"ctl-1":     {"192.0.2.7"},
		"tricky":    {"127.0.0.1", "192.0.2.7"}, // one of its addresses is another machine
		"nothing":   {},
	}
	tests := []struct {
		address string
		want    string // part of the error, "": it is allowed
	}{
		{"127.0.0.1:0", ""},
		{"127.8.9.1:0", ""},
		{"[::ffff:127.0.0.1]:0", ""},
		{"localhost:0", ""},
		{":7600", "every address of this machine is not: configure TLS, or use 127.0.0.1:7600"},
		{"0.0.0.0:7600", "every address of this machine is not"},
		{"[::]:7600", "every address of this machine is not"},
		{"192.0.2.7:7600", "192.0.2.7 is not"},
		{"ctl-1:7600", "ctl-1 (192.0.2.7) is not"},
		{"tricky:7600", "tricky (192.0.2.7) is not"},
		{"nothing:7600", "no address"},
		{"unknown:7600", "no such host"},
		{"127.0.0.1", "not host:port"},
		{"", "not host:port"},
	}
	for _, tc := range tests {
		t.Run(tc.address, func(t *testing.T) {
			tr := newTransport(t, Options{Resolver: dns})
			l, err := tr.Listen(context.Background(), tc.address)
			if err == nil {
				_ = l.Close()
			}
			check(t, "listen", err, tc.want)
			if tc.want == "" {
				return
			}
			_, err = tr.Dial(context.Background(), tc.address)
			check(t, "dial", err, tc.want)
			_, err = tr.Client(context.Background(), tc.address)
			check(t, "gRPC client", err, tc.want)
			_, _, err = tr.GRPC(context.Background(), tc.address)
			check(t, "gRPC server", err, tc.want)
			_, _, err = tr.HTTP(context.Background(), tc.address, nil)
			check(t, "HTTP server", err, tc.want)
		})
	}
}

func check(t *testing.T, what string, err error, want string) {
	t.Helper()
	switch {
	case want == "" && err != nil:
		t.Errorf("%s: %v", what, err)
	case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
		t.Errorf("%s: %v, want %q in it", what, err, want)
	case strings.Contains(want, "is not") && !errors.Is(err, ErrPlainText):
		t.Errorf("%s: %v is no ErrPlainText", what, err)
	}
}

// TestPlainTextSaysSoOnce: loudly, and not per connection.
func TestPlainTextSaysSoOnce(t *testing.T) {
	var out bytes.Buffer
	tr := newTransport(t, Options{Log: hclog.New(&hclog.LoggerOptions{Output: &out})})
	for range 3 {
		l, err := tr.For(nil).Listen(context.Background(), "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		_ = l.Close()
	}
	if n := strings.Count(out.String(), "[WARN]  PLAIN TEXT"); n != 1 {
		t.Errorf("%d warnings, want 1:\n%s", n, out.String())
	}
}

func TestPlainLineCarries(t *testing.T) {
	tr := newTransport(t, Options{})
	if got := echo(t, tr, tr); got != "hello" {
		t.Errorf("the line gave %q", got)
	}
}

// echo sends a word through a server that gives it back, and returns what came or the error's text.
func echo(t *testing.T, server, client *Transport) string {
	t.Helper()
	l, err := server.Listen(context.Background(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan struct{})
	go func() {
		defer close(served)
		conn, err := l.Accept()
		if err != nil {
			return
		}
		_, _ = io.Copy(conn, conn)
		_ = conn.Close()
	}()
	defer func() { _ = l.Close(); <-served }()
	conn, err := client.Dial(context.Background(), l.Addr().String())
	if err != nil {
		return err.Error()
	}
	defer func() { _ = conn.Close() }()
	if _, err := conn.Write([]byte("hello")); err != nil {
		return err.Error()
	}
	if c, ok := conn.(interface{ CloseWrite() error }); ok {
		_ = c.CloseWrite()
	}
	b, err := io.ReadAll(conn)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// TestDialRefused: the error names the address once and says what is wrong.
func TestDialRefused(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	_ = l.Close()
	_, err = newTransport(t, Options{}).Dial(context.Background(), address)
	if err == nil || strings.Count(err.Error(), address) != 1 || !strings.Contains(err.Error(), "refused") {
		t.Errorf("dialling where nobody listens: %v", err)
	}
}
