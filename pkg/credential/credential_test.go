package credential

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

const node = "salve://controller/ctl-1"

func TestLoad(t *testing.T) {
	ca, other := newAuthority(t), newAuthority(t)
	key := newKey(t)
	cert := EncodeCerts(ca.issue(&key.PublicKey, node))
	tests := []struct {
		name          string
		ca, cert, key []byte
		mode          os.FileMode
		want          error // nil: it loads
	}{
		{"all is well", EncodeCerts(ca.cert), cert, pemKey(t, key), 0o600, nil},
		{"its group may read the key", EncodeCerts(ca.cert), cert, pemKey(t, key), 0o640, nil},
		{"old and new authority", EncodeCerts(other.cert, ca.cert), cert, pemKey(t, key), 0o600, nil},
		{"key of everybody", EncodeCerts(ca.cert), cert, pemKey(t, key), 0o644, ErrKeyMode},
		{"another key", EncodeCerts(ca.cert), cert, pemKey(t, newKey(t)), 0o600, ErrPair},
		{"another authority", EncodeCerts(other.cert), cert, pemKey(t, key), 0o600, ErrPair},
		{"a leaf as authority", cert, cert, pemKey(t, key), 0o600, ErrPEM},
		{"no certificate", EncodeCerts(ca.cert), nil, pemKey(t, key), 0o600, ErrPEM},
		{"no key", EncodeCerts(ca.cert), cert, cert, 0o600, ErrPEM},
		{"two keys", EncodeCerts(ca.cert), cert, append(pemKey(t, key), pemKey(t, key)...), 0o600, ErrPEM},
		{"huge", bytes.Repeat([]byte{'x'}, maxFile+1), cert, pemKey(t, key), 0o600, ErrPEM},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			f := folder{t, t.TempDir()}
			c, err := Load(Files{CA: f.put("ca", tc.ca, 0o644), Cert: f.put("cert", tc.cert, 0o644), Key: f.put("key", tc.key, tc.mode)})
			if !errors.Is(err, tc.want) || (err == nil) != (tc.want == nil) {
				t.Fatalf("%v, want %v", err, tc.want)
			}
			if err == nil && (c.Name.Short() != "controller/ctl-1" || len(c.cert.Certificate) != 2) {
				t.Errorf("%v, %d certificates are shown: the authority's belongs to them", c.Name, len(c.cert.Certificate))
			}
		})
	}
}

func TestNamesOfCertificates(t *testing.T) {
	ca, key := newAuthority(t), newKey(t)
	for _, names := range [][]string{nil, {"https://example.org"}, {node, "salve://operator/ann/admin"},
		{"salve://other/x"}} {
		f := folder{t, t.TempDir()}
		text := slices.Concat(pemKey(t, key), EncodeCerts(ca.issue(&key.PublicKey, names...), ca.cert))
		if _, err := Load(Bundle(f.put("all", text, 0o600))); err == nil {
			t.Errorf("%q: loaded", names)
		}
	}
}

// Old and new authority overlap, a certificate of the new one follows, and what does not fit changes nothing.
func TestRotation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		old, fresh := newAuthority(t), newAuthority(t)
		key := newKey(t)
		f := folder{t, t.TempDir()}
		files := Files{CA: f.path("ca"), Cert: f.path("cert"), Key: f.put("key", pemKey(t, key), 0o600)}
		f.put("ca", EncodeCerts(old.cert), 0o644)
		f.put("cert", EncodeCerts(old.issue(&key.PublicKey, node)), 0o644)
		s, err := Open(files, nil)
		if err != nil {
			t.Fatal(err)
		}
		go func() { _ = s.Run(t.Context()) }()
		steps := []struct {
			name, file string
			text       []byte
			roots      int  // afterwards
			fresh      bool // the certificate is the new authority's
		}{
			{"overlap", "ca", EncodeCerts(old.cert, fresh.cert), 2, false},
			{"rubbish", "ca", []byte("rubbish"), 2, false},
			{"too early", "ca", EncodeCerts(fresh.cert), 2, false}, // the certificate is still the old one's
			{"overlap again", "ca", EncodeCerts(fresh.cert, old.cert), 2, false},
			{"somebody else", "cert", EncodeCerts(fresh.issue(&key.PublicKey, "salve://controller/ctl-2")), 2, false},
			{"new certificate", "cert", EncodeCerts(fresh.issue(&key.PublicKey, node)), 2, true},
			{"old one out", "ca", EncodeCerts(fresh.cert), 1, true},
		}
		for _, step := range steps {
			f.put(step.file, step.text, 0o644)
			time.Sleep(lookEvery + time.Second)
			c := s.Current()
			if got := c.Leaf.CheckSignatureFrom(fresh.cert) == nil; len(c.Roots) != step.roots || got != step.fresh {
				t.Errorf("%s: %d authorities, of the new one %t", step.name, len(c.Roots), got)
			}
		}
	})
}

// What a program renewed counts once it is newer than what it was given, and only if it is the same one's and its
// authority is trusted.
func TestRenewed(t *testing.T) {
	ca, other := newAuthority(t), newAuthority(t)
	given, next := newKey(t), newKey(t)
	cert := ca.issue(&given.PublicKey, node)
	later := func(a *authority, name string, after time.Duration) []byte {
		c := *a.issue(&next.PublicKey, name)
		c.NotBefore = cert.NotBefore.Add(after)
		return slices.Concat(pemKey(t, next), EncodeCerts(sign(t, &c, a.cert, &next.PublicKey, a.key), a.cert))
	}
	tests := []struct {
		name string
		text []byte // nil: there is no file
		want bool   // it counts
	}{
		{"none", nil, false},
		{"newer", later(ca, node, time.Minute), true},
		{"older", later(ca, node, -time.Minute), false},
		{"another's", later(ca, "salve://controller/ctl-2", time.Minute), false},
		{"of an authority that is not trusted any more", later(other, node, time.Minute), false},
	}
	for _, tc := range tests {
		f := folder{t, t.TempDir()}
		files := Files{CA: f.put("ca", EncodeCerts(ca.cert), 0o644), Cert: f.put("cert", EncodeCerts(cert), 0o644),
			Key: f.put("key", pemKey(t, given), 0o600), Renewed: f.path("renewed")}
		if tc.text != nil {
			f.put("renewed", tc.text, 0o600)
		}
		c, err := Load(files)
		if err != nil {
			t.Errorf("%s: %v", tc.name, err)
			continue
		}
		if got := next.PublicKey.Equal(c.Leaf.PublicKey); got != tc.want {
			t.Errorf("%s: it counts: %t", tc.name, got)
		}
	}
	f := folder{t, t.TempDir()}
	files := Files{CA: f.put("ca", EncodeCerts(ca.cert), 0o644), Cert: f.put("cert", EncodeCerts(cert), 0o644),
		Key: f.put("key", pemKey(t, given), 0o600), Renewed: f.put("renewed", []byte("damaged"), 0o600)}
	if _, err := Load(files); err == nil || !strings.Contains(err.Error(), files.Renewed) {
		t.Errorf("a damaged file: %v", err)
	}
}

func TestDue(t *testing.T) {
	at := time.Unix(0, 0)
	c := &Credential{Leaf: &x509.Certificate{NotBefore: at, NotAfter: at.Add(24 * time.Hour)}}
	if got := c.Due().Sub(at); got != 16*time.Hour {
		t.Errorf("due after %v", got)
	}
}

func TestRequest(t *testing.T) {
	key := newKey(t)
	der, err := Request(key)
	if err != nil {
		t.Fatal(err)
	}
	if pub, err := ParseRequest(der); err != nil || !pub.Equal(&key.PublicKey) {
		t.Errorf("%v", err)
	}
	forged := bytes.Clone(der)
	forged[len(forged)-1] ^= 1
	big, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	otherCurve, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, big)
	if err != nil {
		t.Fatal(err)
	}
	for name, der := range map[string][]byte{
		"empty": nil, "signature of another": forged, "P-384": otherCurve, "long": make([]byte, MaxRequest+1),
	} {
		if _, err := ParseRequest(der); !errors.Is(err, ErrPEM) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestKeyIsNotInErrors(t *testing.T) {
	text := pemKey(t, newKey(t))
	text[60] ^= 1
	if _, err := Key(text); err != nil && strings.Contains(err.Error(), string(text[40:60])) {
		t.Errorf("the error tells the key: %v", err)
	}
}

func FuzzPEM(f *testing.F) {
	f.Add([]byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"))
	f.Add([]byte("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		if certs, err := Certificates(text); err == nil && (len(certs) == 0 || len(certs) > maxCerts) {
			t.Errorf("%d certificates", len(certs))
		}
		if key, err := Key(text); err == nil && key.Curve != elliptic.P256() {
			t.Errorf("a key on %v", key.Curve)
		}
		if roots, err := Roots(text); err == nil && len(roots) == 0 {
			t.Error("no root and no error")
		}
	})
}

func FuzzRequest(f *testing.F) {
	key, err := NewKey()
	if err != nil {
		f.Fatal(err)
	}
	der, err := Request(key)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(der)
	f.Fuzz(func(t *testing.T, der []byte) {
		if key, err := ParseRequest(der); err == nil && key.Curve != elliptic.P256() {
			t.Errorf("a key on %v", key.Curve)
		}
	})
}
