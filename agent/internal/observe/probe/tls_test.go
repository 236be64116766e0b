package probe

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/salveops/salve/agent/agenttest"
)

// tlsServer shows a certificate to everybody.
func tlsServer(t testing.TB, pair tls.Certificate) string {
	t.Helper()
	l := listen(t, "tcp", "127.0.0.1:0")
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				_, _ = io.Copy(io.Discard, tls.Server(c, &tls.Config{Certificates: []tls.Certificate{pair}}))
			}()
		}
	}()
	return l.Addr().String()
}

func TestTLS(t *testing.T) {
	const day = 24 * time.Hour
	fresh, ending := agenttest.Certificate(t, 30*day), agenttest.Certificate(t, 10*day)
	ended := agenttest.Certificate(t, -time.Hour)
	for _, tt := range []struct {
		name   string
		pair   tls.Certificate
		target Target
		left   time.Duration
		err    string // "": good
	}{
		{"good", fresh, Target{CAFile: agenttest.CAFile(t, fresh), MinLeft: 14 * day}, 30 * day, ""},
		{"good for a name", fresh, Target{CAFile: agenttest.CAFile(t, fresh), TLSName: "shop.test"}, 30 * day, ""},
		{"for another name", fresh, Target{CAFile: agenttest.CAFile(t, fresh), TLSName: "other.test"}, 30 * day,
			"shop.test, not other.test"},
		{"trusted by nobody", fresh, Target{}, 30 * day, "unknown authority"},
		{"ends soon", ending, Target{CAFile: agenttest.CAFile(t, ending), MinLeft: 14 * day}, 10 * day,
			"the certificate ends in"},
		{"ended", ended, Target{CAFile: agenttest.CAFile(t, ended)}, -time.Hour, "expired"},
		{"no authorities", fresh, Target{CAFile: "/does/not/exist"}, 30 * day, "no such file"},
		{"empty authorities", fresh, Target{CAFile: file(t, "nothing")}, 30 * day, "has no certificate"},
	} {
		tt.target.TLS, tt.target.Timeout = tlsServer(t, tt.pair), 5*time.Second
		a := newAsked(t, tt.target)
		for range 2 {
			got := a.ask(false)
			off := time.Duration(got.figure*float64(time.Second)) - tt.left
			if !got.answered || off > 0 || off < -time.Minute || got.latency <= 0 {
				t.Errorf("%s: %+v, want %v left", tt.name, got, tt.left)
			}
			if (got.err == nil) != (tt.err == "") || got.err != nil && !strings.Contains(got.err.Error(), tt.err) {
				t.Errorf("%s: %v, want %q", tt.name, got.err, tt.err)
			}
		}
	}
}

// What vouches for a certificate may end before it.
func TestTLSChain(t *testing.T) {
	now := time.Now()
	ends := func(
		left time.Duration, parent *x509.Certificate, by *ecdsa.PrivateKey, name string,
	) (*x509.Certificate, *ecdsa.PrivateKey) {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		c := &x509.Certificate{
			SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: now.Add(-time.Hour),
			NotAfter: now.Add(left), IsCA: name != "leaf", BasicConstraintsValid: true, DNSNames: []string{"shop.test"},
		}
		if parent == nil {
			parent, by = c, key
		}
		raw, err := x509.CreateCertificate(rand.Reader, c, parent, key.Public(), by)
		if err != nil {
			t.Fatal(err)
		}
		c, err = x509.ParseCertificate(raw)
		if err != nil {
			t.Fatal(err)
		}
		return c, key
	}
	root, rootKey := ends(100*time.Hour, nil, nil, "root")
	between, betweenKey := ends(2*time.Hour, root, rootKey, "between")
	leaf, leafKey := ends(50*time.Hour, between, betweenKey, "leaf")
	pair := tls.Certificate{Certificate: [][]byte{leaf.Raw, between.Raw}, PrivateKey: leafKey}
	got := newAsked(t, Target{
		TLS: tlsServer(t, pair), TLSName: "shop.test", Timeout: 5 * time.Second,
		CAFile: file(t, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: root.Raw}))),
	}).ask(false)
	if got.err != nil || got.figure > 7200 || got.figure < 7100 {
		t.Errorf("%+v, want two hours", got)
	}
}

// rawServer says to everybody what the test stored, and hangs up.
func rawServer(t testing.TB) (address string, says *atomic.Pointer[[]byte]) {
	t.Helper()
	says = &atomic.Pointer[[]byte]{}
	l := listen(t, "tcp", "127.0.0.1:0")
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = c.Write(*says.Load())
			_ = c.(*net.TCPConn).CloseWrite()
			_, _ = io.Copy(io.Discard, c)
			_ = c.Close()
		}
	}()
	return l.Addr().String(), says
}

func TestTLSOfOthers(t *testing.T) {
	address, says := rawServer(t)
	for _, text := range []string{"", "HTTP/1.1 400 Bad Request\r\n\r\n", "\x16\x03\x03\xff\xff",
		"\x15\x03\x03\x00\x02\x02\x28"} {
		b := []byte(text)
		says.Store(&b)
		got := newAsked(t, Target{TLS: address, Timeout: 5 * time.Second}).ask(false)
		if got.err == nil || got.answered || !strings.HasPrefix(got.err.Error(), "connect: ") {
			t.Errorf("%q: %+v", text, got)
		}
	}
}
