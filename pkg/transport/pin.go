package transport

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"fmt"

	"github.com/salveops/salve/pkg/clock"
	"github.com/salveops/salve/pkg/identity"
)

// pinned is the configuration of a dialer that knows nothing but the fingerprint of an authority. The other end shows
// that authority's certificate with its own, and everything that a usual handshake verifies is verified with it.
func pinned(pin []byte) *tls.Config {
	return &tls.Config{
		InsecureSkipVerify: true, // VerifyConnection does it: the root comes with the chain
		VerifyConnection:   func(s tls.ConnectionState) error { return verifyPinned(s, pin) },
	}
}

func verifyPinned(s tls.ConnectionState, pin []byte) error {
	if len(s.PeerCertificates) == 0 {
		return fmt.Errorf("%w: it shows no certificate", ErrPin)
	}
	roots, others := x509.NewCertPool(), x509.NewCertPool()
	found := false
	for _, c := range s.PeerCertificates[1:] {
		if c.IsCA && bytes.Equal(identity.Pin(c), pin) {
			roots.AddCert(c)
			found = true
		} else {
			others.AddCert(c)
		}
	}
	if !found {
		return fmt.Errorf("%w: its certificate comes from another authority", ErrPin)
	}
	_, err := s.PeerCertificates[0].Verify(x509.VerifyOptions{
		DNSName: s.ServerName, Roots: roots, Intermediates: others, CurrentTime: clock.Wall(),
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	})
	if err != nil {
		return fmt.Errorf("%w: %w", ErrPin, err)
	}
	return nil
}
