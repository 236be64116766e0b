package authority

import (
	"crypto/x509"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/salveops/salve/pkg/credential"
	"github.com/salveops/salve/pkg/durable"
	"github.com/salveops/salve/pkg/identity"
)

func newAuthority(t *testing.T) (a *Authority, cert, key string) {
	t.Helper()
	dir := t.TempDir()
	cert, key = filepath.Join(dir, "ca.pem"), filepath.Join(dir, "ca-key.pem")
	a, err := Create(cert, key, time.Now(), nil)
	if err != nil {
		t.Fatal(err)
	}
	return a, cert, key
}

func TestCreateAndOpen(t *testing.T) {
	a, cert, key := newAuthority(t)
	if info, err := os.Stat(key); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("key: %v, %v", info, err)
	}
	if _, err := Create(cert, key, time.Now(), nil); !errors.Is(err, ErrExists) {
		t.Errorf("made twice: %v", err)
	}
	b, err := Open(cert, key)
	if err != nil || !b.Certificate().Equal(a.Certificate()) {
		t.Fatalf("%v", err)
	}
	_, other, _ := newAuthority(t)
	if _, err := Open(other, key); !errors.Is(err, credential.ErrPair) {
		t.Errorf("another's certificate: %v", err)
	}
	if err := os.Chmod(key, 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(cert, key); !errors.Is(err, credential.ErrKeyMode) {
		t.Errorf("the group may read the key: %v", err)
	}
}

func TestIssue(t *testing.T) {
	a, _, _ := newAuthority(t)
	key, err := credential.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	issue := func(n identity.Name, life time.Duration, addresses ...string) (*x509.Certificate, error) {
		return a.Issue(Order{Name: n, Key: &key.PublicKey, Addresses: addresses, Life: life, Now: now})
	}
	node, err := issue(identity.Name{Kind: identity.Controller, ID: "ctl-1"}, NodeLife, "ctl-1.example.org", "192.0.2.1")
	if err != nil {
		t.Fatal(err)
	}
	host, err := issue(identity.Name{Kind: identity.Host, ID: "0123456789abcdef0123456789abcdef"}, HostLife, "web-1")
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(a.Certificate())
	tests := []struct {
		name string
		cert *x509.Certificate
		o    x509.VerifyOptions
		ok   bool
	}{
		{"node as server", node, x509.VerifyOptions{DNSName: "ctl-1.example.org"}, true},
		{"node by address", node, x509.VerifyOptions{DNSName: "192.0.2.1"}, true},
		{"node under another name", node, x509.VerifyOptions{DNSName: "ctl-2.example.org"}, false},
		{"node as client", node, x509.VerifyOptions{KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}, true},
		{"host as client", host, x509.VerifyOptions{KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}, true},
		{"host as server", host, x509.VerifyOptions{}, false}, // an agent cannot play controller
		{"host a day later", host, x509.VerifyOptions{CurrentTime: now.Add(HostLife + time.Minute),
			KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}, false},
	}
	for _, tc := range tests {
		tc.o.Roots = pool
		if _, err := tc.cert.Verify(tc.o); (err == nil) != tc.ok {
			t.Errorf("%s: %v", tc.name, err)
		}
	}
	if len(host.DNSNames)+len(host.IPAddresses) > 0 || node.SerialNumber.Cmp(host.SerialNumber) == 0 {
		t.Error("a host has addresses, or a serial number is used twice")
	}
	if n, err := identity.Of(node); err != nil || n.Short() != "controller/ctl-1" || !identity.ValidSerial(identity.Serial(node)) {
		t.Errorf("%v, %v", n, err)
	}
	if _, err := issue(identity.Name{Kind: identity.Operator, ID: "ann"}, time.Hour); err == nil {
		t.Error("an operator without a role")
	}
	if c, err := issue(identity.Name{Kind: identity.Controller, ID: "x"}, 2*AuthorityLife); err != nil ||
		c.NotAfter.After(a.Certificate().NotAfter) {
		t.Errorf("a certificate outlives its authority: %v", err)
	}
}

// A new certificate of one key has the same fingerprint, so that tokens go on working.
func TestPinIsOfTheKey(t *testing.T) {
	a, cert, key := newAuthority(t)
	renewed := *a.cert
	renewed.NotAfter = renewed.NotAfter.Add(time.Hour)
	c, err := sign(&renewed, &renewed, &a.key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	if err := durable.Write(cert, credential.EncodeCerts(a.cert, c), 0o644); err != nil {
		t.Fatal(err)
	}
	b, err := Open(cert, key)
	if err != nil || !b.Certificate().Equal(c) || string(b.Pin()) != string(a.Pin()) {
		t.Errorf("%v", err)
	}
}
