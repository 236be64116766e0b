package access

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"sync"

	"github.com/salveops/salve/pkg/identity"
)

// Line makes bare connections, such as those of Raft.
type Line interface {
	Listen(ctx context.Context, address string) (net.Listener, error)
	Dial(ctx context.Context, address string) (net.Conn, error)
}

// Watched is a line whose connections are cut when the other end is shut out, or its certificate ends. The handshake has
// judged it before.
func (g *Gate) Watched(l Line) Line { return watchedLine{l, g} }

type watchedLine struct {
	Line
	gate *Gate
}

// Listen implements Line.
func (w watchedLine) Listen(ctx context.Context, address string) (net.Listener, error) {
	l, err := w.Line.Listen(ctx, address)
	if err != nil {
		return nil, err
	}
	return watchedListener{l, w.gate}, nil
}

// Dial implements Line.
func (w watchedLine) Dial(ctx context.Context, address string) (net.Conn, error) {
	conn, err := w.Line.Dial(ctx, address)
	if err != nil {
		return nil, err
	}
	return w.gate.watch(conn), nil
}

// Dialled notes a connection that this node made, which is cut as a Watched one is. It is for transport.Options.
func (g *Gate) Dialled(peer *x509.Certificate, cut func()) (closed func()) {
	name, err := identity.Of(peer)
	if err != nil { // the handshake lets nobody in who has no name
		cut()
		return func() {}
	}
	x := &visitor{certified(name, peer), func(error) { cut() }}
	g.open.add(x)
	if !g.still(x.caller) { // shut out, or ended, between the handshake and here
		cut()
	}
	return func() { g.open.remove(x) }
}

type watchedListener struct {
	net.Listener
	gate *Gate
}

// Accept implements net.Listener.
func (l watchedListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return l.gate.watch(conn), nil
}

// watch is the connection itself if it is plain: then nobody is known.
func (g *Gate) watch(conn net.Conn) net.Conn {
	secured, ok := conn.(*tls.Conn)
	if !ok {
		return conn
	}
	return &watchedConn{Conn: secured, gate: g}
}

// watchedConn notes who is at the other end once the handshake is over, which is at the first read at the latest.
type watchedConn struct {
	*tls.Conn
	gate *Gate
	note sync.Once

	mu      sync.Mutex
	visitor *visitor
	closed  bool
}

// Read implements net.Conn.
func (c *watchedConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if n > 0 {
		c.note.Do(c.enter)
	}
	return n, err
}

func (c *watchedConn) enter() {
	state := c.ConnectionState()
	if len(state.PeerCertificates) == 0 {
		return
	}
	cert := state.PeerCertificates[0]
	name, err := identity.Of(cert)
	if err != nil {
		_ = c.Close() // the handshake lets nobody in who has no name
		return
	}
	x := &visitor{certified(name, cert), func(error) { _ = c.NetConn().Close() }}
	c.mu.Lock()
	closed := c.closed
	c.visitor = x
	if !closed {
		c.gate.open.add(x)
	}
	c.mu.Unlock()
	if !c.gate.still(x.caller) { // shut out, or ended, between the handshake and here
		_ = c.Close()
	}
}

// Close implements net.Conn.
func (c *watchedConn) Close() error {
	c.mu.Lock()
	c.closed = true
	if c.visitor != nil {
		c.gate.open.remove(c.visitor)
	}
	c.mu.Unlock()
	return c.Conn.Close()
}
