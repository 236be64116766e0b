package redis

import (
	"bufio"
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/salveops/salve/agent/agenttest"
	"github.com/salveops/salve/pkg/transport"
)

func file(t *testing.T, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// secured is a real Redis that speaks TLS on a port, and the file of the authority that vouches for it.
func secured(t *testing.T) (Target, string) {
	t.Helper()
	pair := agenttest.Certificate(t, time.Hour)
	ca := agenttest.CAFile(t, pair)
	raw, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	key := file(t, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw})))
	port := agenttest.FreePort(t)
	r := agenttest.Redis(t, "bind 127.0.0.1", "tls-port "+port, "tls-auth-clients no", "tls-cert-file "+ca, "tls-key-file "+key)
	return Target{Address: "127.0.0.1:" + port, PasswordFile: file(t, r.Password+"\n"), Secure: true, CAFile: ca}, r.Address
}

func TestConnect(t *testing.T) {
	to, socket := secured(t)
	other := agenttest.CAFile(t, agenttest.Certificate(t, time.Hour))
	for _, tt := range []struct {
		name   string
		change func(*Target)
		err    string // "": it connects
	}{
		{"TLS", func(*Target) {}, ""},
		{"a database of its own", func(t *Target) { t.Database = 7 }, ""},
		{"a socket", func(t *Target) { t.Address, t.Secure = socket, false }, ""},
		{"another authority", func(t *Target) { t.CAFile = other }, "unknown authority"},
		{"authorities of the system", func(t *Target) { t.CAFile = "" }, "unknown authority"},
		{"another name", func(t *Target) { t.Address = strings.Replace(t.Address, "127.0.0.1", "localhost", 1) }, "not localhost"},
		{"no authority", func(t *Target) { t.CAFile = "/does/not/exist" }, "read authorities"},
		{"no such database", func(t *Target) { t.Database = 999 }, "select database 999: refused"},
		{"no such user", func(t *Target) { t.User = "nobody" }, `log in: refused: "WRONGPASS"`},
		{"no password file", func(t *Target) { t.PasswordFile = "/does/not/exist" }, "read password"},
		{"nobody there", func(t *Target) { t.Address, t.Secure = "unix:/does/not/exist", false }, "connect:"},
	} {
		at := to
		tt.change(&at)
		c, err := Connect(t.Context(), at)
		if (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.err)
		}
		if err != nil {
			continue
		}
		if v, err := c.Do(t.Context(), "ECHO", "a\r\nb"); err != nil || v.Text != "a\r\nb" {
			t.Errorf("%s: %+v, %v", tt.name, v, err)
		}
		c.Close()
	}
}

// A refusal leaves the connection as it was, which a lost answer does not.
func TestRefusedOrLost(t *testing.T) {
	r := agenttest.Redis(t)
	c, err := Connect(t.Context(), Target{Address: r.Address, PasswordFile: file(t, r.Password)})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var refused Error
	if _, err := c.Do(t.Context(), "NONSENSE"); !errors.As(err, &refused) || refused.Code() != "ERR" {
		t.Errorf("nonsense: %v", err)
	}
	answers, err := c.Each(t.Context(), [][]string{{"SET", "a", "1"}, {"LPOP", "a"}, {"GET", "a"}})
	if err != nil || answers[0].Text != "OK" || answers[1].Err.Code() != "WRONGTYPE" || answers[2].Text != "1" {
		t.Errorf("%+v, %v", answers, err)
	}
	if err := r.Freeze(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := c.Do(ctx, "PING"); !errors.Is(err, context.DeadlineExceeded) || errors.As(err, &refused) {
		t.Errorf("frozen: %v", err)
	}
	if err := r.Thaw(); err != nil {
		t.Fatal(err)
	}
}

// More than an answer may have ends the connection.
func TestTooLong(t *testing.T) {
	r := agenttest.Redis(t)
	c, err := Connect(t.Context(), Target{Address: r.Address, PasswordFile: file(t, r.Password)})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Do(t.Context(), "SET", "large", strings.Repeat("x", most)); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Do(t.Context(), "GET", "large"); err == nil || !strings.Contains(err.Error(), "too much") {
		t.Errorf("%d bytes: %v", most, err)
	}
}

// A server that knows no AUTH says what stood behind it: the password.
func TestPasswordIsNotTold(t *testing.T) {
	near, far := net.Pipe()
	defer near.Close()
	go func() {
		_, _ = far.Read(make([]byte, 100))
		_, _ = far.Write([]byte("-ERR unknown command 'AUTH', with args beginning with: 'hush'\r\n"))
		_ = far.Close()
	}()
	line := transport.Bound(near, 0)
	c := &Conn{conn: line, line: line, in: bufio.NewReader(line)}
	if err := c.enter(t.Context(), Target{}, "hush"); err == nil || err.Error() != `log in: refused: "ERR"` {
		t.Errorf("%v", err)
	}
}
