package probe

import (
	"bufio"
	"crypto/tls"
	"io"
	"net"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// conn is a connection with its reader.
type conn struct {
	net.Conn          // the socket, or TLS over it
	socket   net.Conn // the socket
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
