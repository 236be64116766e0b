package transport

import (
	"context"
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
	return &heardConn{Conn: conn, first: first}, info, nil
}

// Clone implements credentials.TransportCredentials.
func (h heard) Clone() credentials.TransportCredentials { return heard{h.TransportCredentials.Clone()} }

// heardConn gives back what was read ahead.
type heardConn struct {
	net.Conn
	first []byte
}

func (c *heardConn) Read(b []byte) (int, error) {
	if len(c.first) > 0 {
		n := copy(b, c.first)
		c.first = c.first[n:]
		return n, nil
	}
	return c.Conn.Read(b)
}
