package transport

import (
	"context"
	"crypto/x509"
	"fmt"
	"net"
	"time"

	"google.golang.org/grpc/credentials"
)

// heard are a dialer's credentials for servers that speak first, as those of HTTP/2 do. In TLS 1.3 a client is done
// before the server has judged its certificate. A refusal then comes in place of the server's first word, and is lost
// if the client writes before it reads: what is left is a broken pipe, which tells nobody what to do.
type heard struct {
	credentials.TransportCredentials
	dialled func(peer *x509.Certificate, cut func()) (closed func()) // Options.Dialled
}

// ClientHandshake ends when the server's first byte is here.
func (h heard) ClientHandshake(
	ctx context.Context, authority string, raw net.Conn,
) (net.Conn, credentials.AuthInfo, error) {
	conn, info, err := h.TransportCredentials.ClientHandshake(ctx, authority, raw)
	if err != nil {
		return nil, nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetReadDeadline(time.Unix(1, 0)) })
	first := make([]byte, 1)
	_, err = conn.Read(first)
	if !stop() {
		err = ctx.Err()
	}
	if err != nil {
		return nil, nil, fmt.Errorf("wait for the server's first word: %w", err)
	}
	c := &heardConn{Conn: conn, first: first, closed: func() {}}
	if h.dialled != nil {
		peer := info.(credentials.TLSInfo).State.PeerCertificates[0] // a server always shows one
		c.closed = h.dialled(peer, func() { _ = raw.Close() })
	}
	return c, info, nil
}

// Clone implements credentials.TransportCredentials.
func (h heard) Clone() credentials.TransportCredentials {
	return heard{h.TransportCredentials.Clone(), h.dialled}
}

// heardConn gives back what was read ahead.
type heardConn struct {
	net.Conn
	first  []byte
	closed func()
}

// Close implements net.Conn.
func (c *heardConn) Close() error {
	c.closed()
	return c.Conn.Close()
}

func (c *heardConn) Read(b []byte) (int, error) {
	if len(c.first) > 0 {
		n := copy(b, c.first)
		c.first = c.first[n:]
		return n, nil
	}
	return c.Conn.Read(b)
}
