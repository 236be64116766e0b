package transport

import (
	"crypto/tls"
	"fmt"
	"net"

	"github.com/salveops/salve/pkg/clock"
)

// checkTLS refuses a configuration that would trust strangers.
func checkTLS(c *tls.Config) error {
	switch {
	case c == nil:
		return fmt.Errorf("%w: there is none", ErrConfig)
	case c.InsecureSkipVerify:
		return fmt.Errorf("%w: InsecureSkipVerify trusts everybody", ErrConfig)
	case c.RootCAs == nil:
		return fmt.Errorf("%w: no RootCAs, so every public CA could name a server", ErrConfig)
	case c.ClientCAs == nil:
		return fmt.Errorf("%w: no ClientCAs, so every public CA could name a client", ErrConfig)
	case len(c.Certificates) == 0 && c.GetCertificate == nil && c.GetConfigForClient == nil:
		return fmt.Errorf("%w: no certificate to show to clients", ErrConfig)
	}
	return nil
}

// server is the configuration of a listener. Each connection gets what the source says then, as strict.
func (t *Transport) server(protocols ...string) *tls.Config {
	c := t.strict(t.o.Source(), protocols)
	c.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		now := t.o.Source()
		if get := now.GetConfigForClient; get != nil {
			other, err := get(hello)
			if err != nil {
				return nil, err
			}
			if other != nil {
				now = other
			}
		}
		if err := checkTLS(now); err != nil {
			return nil, err
		}
		return passing(t.strict(now, protocols), hello.Conn), nil
	}
	return c
}

// passing is the configuration of one connection, which tells it when the other end has shown who it is.
func passing(c *tls.Config, conn net.Conn) *tls.Config {
	g, guarded := conn.(*guarded)
	if !guarded {
		return c
	}
	verify := c.VerifyConnection
	c.VerifyConnection = func(state tls.ConnectionState) error {
		err := verify(state)
		if err == nil {
			g.passed(len(state.PeerCertificates) > 0)
		}
		return err
	}
	return c
}

func (t *Transport) strict(c *tls.Config, protocols []string) *tls.Config {
	c = t.authorizing(c, protocols)
	c.ClientAuth = tls.RequireAndVerifyClientCert
	if t.o.Anonymous {
		c.ClientAuth = tls.VerifyClientCertIfGiven
	}
	return c
}

// client is the configuration of a dialer.
func (t *Transport) client(protocols ...string) *tls.Config {
	if t.o.Pin != nil {
		return t.authorizing(pinned(t.o.Pin), protocols)
	}
	return t.authorizing(t.o.Source(), protocols)
}

// authorizing is a copy of a configuration that speaks TLS 1.3 and asks Authorize about the peer. It hangs on
// VerifyConnection because that runs on a resumed session, too.
func (t *Transport) authorizing(c *tls.Config, protocols []string) *tls.Config {
	c = c.Clone()
	c.MinVersion = tls.VersionTLS13
	if c.Time == nil {
		c.Time = clock.Wall
	}
	if len(protocols) > 0 {
		c.NextProtos = protocols
	}
	before := c.VerifyConnection
	c.VerifyConnection = func(state tls.ConnectionState) error {
		if before != nil {
			if err := before(state); err != nil {
				return err
			}
		}
		if t.o.Authorize == nil || len(state.PeerCertificates) == 0 { // none: only where Anonymous lets it
			return nil
		}
		if err := t.o.Authorize(state.PeerCertificates[0]); err != nil {
			return fmt.Errorf("peer %q refused: %w", state.PeerCertificates[0].Subject.CommonName, err)
		}
		return nil
	}
	return c
}
