package probe

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/salveops/salve/pkg/clock"
)

// endpoint is where a connection leads.
type endpoint struct {
	network, address string
	tls              *tls.Config // nil: plain
}

// dialed reads host:port or unix:/path.
func dialed(address string) endpoint {
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		return endpoint{network: "unix", address: path}
	}
	return endpoint{network: "tcp", address: address}
}

// secured is the endpoint with TLS, whose certificate must be for the host.
func (e endpoint) secured(host string, protocols ...string) endpoint {
	e.tls = &tls.Config{
		ServerName: host, Time: clock.Wall, MinVersion: tls.VersionTLS12, NextProtos: protocols,
		ClientSessionCache: tls.NewLRUClientSessionCache(1),
	}
	return e
}

// host is the name of the other side; "localhost" behind a socket in the file system.
func (e endpoint) host() string {
	if e.network == "unix" {
		return "localhost"
	}
	host, _, _ := net.SplitHostPort(e.address)
	return host
}

// connect makes a plain connection.
func (e endpoint) connect(ctx context.Context, deadline time.Time) (net.Conn, error) {
	// Keep-alive packets are off: the next question is the better one.
	d := net.Dialer{Deadline: deadline, KeepAlive: -1}
	c, err := d.DialContext(ctx, e.network, e.address)
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	return c, nil
}

// open makes a connection that is cut when ctx ends.
func (e endpoint) open(ctx context.Context, deadline time.Time) (*conn, error) {
	socket, err := e.connect(ctx, deadline)
	if err != nil {
		return nil, err
	}
	c := newConn(socket)
	c.release = context.AfterFunc(ctx, func() { _ = socket.Close() })
	if e.tls != nil {
		if err := c.secure(e.tls, deadline); err != nil {
			_ = c.Close()
			return nil, fmt.Errorf("connect: %w", err)
		}
	}
	return c, nil
}

// conn is a connection with its reader.
type conn struct {
	net.Conn             // the socket, or TLS over it
	socket   net.Conn    // the socket
	release  func() bool // of what cuts the connection; nil: nothing does
	limit    *io.LimitedReader
	in       *bufio.Reader
	scratch  [512]byte
}

// readBuffer is enough for the head of a usual answer.
const readBuffer = 1 << 10

func newConn(socket net.Conn) *conn {
	c := &conn{Conn: socket, socket: socket, limit: &io.LimitedReader{R: socket}}
	c.in = bufio.NewReaderSize(c.limit, readBuffer)
	return c
}

// Close implements io.Closer.
func (c *conn) Close() error {
	if c.release != nil {
		c.release()
	}
	return c.Conn.Close()
}

// skip reads r to its end, but not much beyond bodyLimit.
func (c *conn) skip(r io.Reader) (n int, err error) {
	for n <= bodyLimit {
		m, err := r.Read(c.scratch[:])
		n += m
		if err == io.EOF {
			return n, nil
		}
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// secure does the TLS handshake.
func (c *conn) secure(cfg *tls.Config, deadline time.Time) error {
	t := tls.Client(c.socket, cfg)
	_ = t.SetDeadline(deadline)
	if err := t.Handshake(); err != nil {
		return err
	}
	c.Conn, c.limit.R = t, t
	return nil
}

// quiet reports whether an idle connection is still open and has nothing to read. A server that gave
// up waiting closes it, some after an answer that nobody asked for; that answer must not be taken for
// the next one. What cannot be looked at counts as not quiet.
func (c *conn) quiet() bool {
	sc, ok := c.socket.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return false
	}
	waiting := false
	err = raw.Control(func(fd uintptr) {
		var b [1]byte
		_, _, err := unix.Recvfrom(int(fd), b[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
		waiting = err == unix.EAGAIN
	})
	return err == nil && waiting
}

func timedOut(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}

// lost is the fate of a connection on which nothing was answered.
func lost(err error) fate {
	if timedOut(err) {
		return drop
	}
	return stale
}
