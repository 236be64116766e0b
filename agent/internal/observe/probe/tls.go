package probe

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"github.com/salveops/salve/pkg/clock"
	"github.com/salveops/salve/pkg/transport"
)

// tlsProtocol looks at a server's certificate. Each attempt is a whole handshake: a server that was told to take a
// new certificate shows it to new connections only.
type tlsProtocol struct {
	endpoint
	name    string
	caFile  string
	minLeft time.Duration
}

func newTLS(t Target) tlsProtocol {
	p := tlsProtocol{endpoint: dialed(t.TLS), name: t.TLSName, caFile: t.CAFile, minLeft: t.MinLeft}
	if p.name == "" {
		p.name = p.host()
	}
	// The handshake takes any certificate: how long it is still valid is of interest also when nobody trusts it.
	// Nothing is told to the other side, and verify says whether it is good.
	p.tls = &tls.Config{ServerName: p.name, MinVersion: tls.VersionTLS12, InsecureSkipVerify: true}
	return p
}

func (p tlsProtocol) dial(ctx context.Context, deadline time.Time) (*conn, error) {
	return p.open(ctx, deadline)
}

func (tlsProtocol) sound(*conn) bool { return false }

func (p tlsProtocol) exchange(_ context.Context, c *conn, _ time.Time) (answer, fate) {
	certs := c.Conn.(*tls.Conn).ConnectionState().PeerCertificates
	if len(certs) == 0 {
		return answer{err: errors.New("the server shows no certificate")}, drop
	}
	now := clock.Wall()
	ends, err := p.verify(certs, now)
	left := ends.Sub(now)
	if err == nil && left <= p.minLeft {
		err = fmt.Errorf("the certificate ends in %v, at %s", left.Round(time.Second), ends.UTC().Format(time.RFC3339))
	}
	return answer{answered: true, err: err, figure: left.Seconds()}, drop
}

// verify tells when the certificate ends: it or, if that is trusted and ends earlier, what vouches for it.
func (p tlsProtocol) verify(certs []*x509.Certificate, now time.Time) (ends time.Time, err error) {
	leaf := certs[0]
	o := x509.VerifyOptions{DNSName: p.name, CurrentTime: now, Intermediates: x509.NewCertPool()}
	for _, c := range certs[1:] {
		o.Intermediates.AddCert(c)
	}
	if p.caFile != "" {
		if o.Roots, err = transport.Roots(p.caFile); err != nil {
			return leaf.NotAfter, err
		}
	}
	chains, err := leaf.Verify(o)
	if err != nil {
		return leaf.NotAfter, fmt.Errorf("verify certificate: %w", err)
	}
	for _, chain := range chains {
		first := leaf.NotAfter
		for _, c := range chain[1:] {
			if c.NotAfter.Before(first) {
				first = c.NotAfter
			}
		}
		if first.After(ends) {
			ends = first
		}
	}
	return ends, nil
}
