package agent

import (
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"math/big"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/salveops/salve/pkg/config"
	"github.com/salveops/salve/pkg/credential"
	"github.com/salveops/salve/pkg/durable"
	"github.com/salveops/salve/pkg/transport"
)

// bundle is what an enrolment would leave, by an authority that is thrown away.
func bundle(t *testing.T, name string) []byte {
	t.Helper()
	sign := func(c, parent *x509.Certificate, key, by *ecdsa.PrivateKey) *x509.Certificate {
		der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, by)
		if err != nil {
			t.Fatal(err)
		}
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		return cert
	}
	caKey, err := credential.NewKey()
	key, errKey := credential.NewKey()
	u, errURL := url.Parse(name)
	text, errText := credential.EncodeKey(key)
	if err := errors.Join(err, errKey, errURL, errText); err != nil {
		t.Fatal(err)
	}
	ca := &x509.Certificate{SerialNumber: big.NewInt(1), IsCA: true, BasicConstraintsValid: true,
		KeyUsage:  x509.KeyUsageCertSign,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(48 * time.Hour)}
	ca = sign(ca, ca, caKey, caKey)
	cert := sign(&x509.Certificate{SerialNumber: big.NewInt(2), URIs: []*url.URL{u}, NotBefore: time.Now(),
		NotAfter: time.Now().Add(24 * time.Hour)}, ca, key, caKey)
	return slices.Concat(text, credential.EncodeCerts(cert, ca))
}

const idOfHost = "0123456789abcdef0123456789abcdef"

// newLines are those of a host with this state folder.
func newLines(t *testing.T, dir string) *lines {
	t.Helper()
	plain, err := transport.New(transport.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return &lines{host: idOfHost, addresses: []string{"192.0.2.1:7600"}, path: filepath.Join(dir, identityFile),
		plain: plain, opened: make(chan struct{}), log: hclog.NewNullLogger()}
}

// A host without an identity says what to do, takes one up while it runs, and speaks plain text no more.
func TestIdentityIsTakenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		l := newLines(t, dir)
		if err := l.find(); err != nil {
			t.Fatal(err)
		}
		if _, err := l.dial(t.Context(), "192.0.2.1:7600"); err == nil || !strings.Contains(err.Error(),
			"salve-agent enroll") {
			t.Errorf("without an identity: %v", err)
		}
		another := func(c <-chan struct{}) bool {
			select {
			case <-c:
				return true
			default:
				return false
			}
		}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- l.await(ctx) }()
		changed := l.changed()
		synctest.Wait()
		if err := durable.Write(l.path, []byte("rubbish"), 0o600); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * lookForIdentity)
		if l.tls != nil || another(changed) {
			t.Fatal("rubbish is an identity")
		}
		if err := durable.Write(l.path, bundle(t, "salve://host/"+idOfHost), 0o600); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * lookForIdentity)
		if err := <-done; err != nil || l.tls == nil || l.tls.Plain() || !another(changed) {
			t.Errorf("%v: the identity is not in use", err)
		}
		changed = l.changed()
		if err := l.reload(); err != nil || another(changed) {
			t.Errorf("the same identity: %v", err)
		}
		if err := durable.Write(l.path, bundle(t, "salve://host/"+idOfHost), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := l.reload(); err != nil || !another(changed) || another(l.changed()) {
			t.Errorf("another identity: %v", err)
		}
		stop()
		if err := durable.Write(l.path, []byte("rubbish"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := l.reload(); err == nil || l.tls.Plain() {
			t.Errorf("a damaged identity: %v", err)
		}
	})
}

// At the start a damaged or foreign identity is an error, and no reason to speak plain text.
func TestForeignIdentity(t *testing.T) {
	for name, text := range map[string][]byte{
		"damaged":      []byte("rubbish"),
		"another host": bundle(t, "salve://host/"+strings.Repeat("a", 32)),
		"an operator":  bundle(t, "salve://operator/ann/admin"),
	} {
		dir := t.TempDir()
		l := newLines(t, dir)
		if err := durable.Write(l.path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := l.find(); err == nil || l.tls != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestEnrollOptions(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	if err := durable.Write(file, []byte(" x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		o    EnrollOptions
		want string
		ok   bool
	}{
		{EnrollOptions{Token: "x"}, "x", true}, {EnrollOptions{TokenFile: file}, "x", true},
		{EnrollOptions{}, "", false}, {EnrollOptions{Token: "x", TokenFile: file}, "", false},
		{EnrollOptions{TokenFile: file + "y"}, "", false},
	} {
		if got, err := tc.o.token(); got != tc.want || (err == nil) != tc.ok {
			t.Errorf("%+v: %q, %v", tc.o, got, err)
		}
	}
	if tlsOf(&config.Agent{}) != nil || len(tlsOf(&config.Agent{TLS: &config.TLS{}})) != 3 {
		t.Error("the files of the tls block are not told apart")
	}
}
