package node

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
)

const (
	greetTimeout = 5 * time.Second
	greetAtOnce  = 64 // connections that have not said yet what they want
)

var errLineClosed = errors.New("the line is closed")

// host answers greetings, and says who greets.
type host interface {
	hello() *greeting
	answer(*greeting) *greeting
}

// line is Raft's stream layer: each connection begins with a greeting, by which both ends make sure that they mean
// each other. It knows all its connections, so that closing it ends them.
type line struct {
	net.Listener
	dialer    Line
	host      host
	log       hclog.Logger
	address   string // by which peers reach this node
	accepted  chan net.Conn
	peers     *contacts
	greeters  chan struct{} // bounds them
	done      chan struct{}
	closeOnce sync.Once
	wg        sync.WaitGroup

	mu   sync.Mutex
	open map[net.Conn]struct{}
}

var _ raft.StreamLayer = (*line)(nil)

func newLine(l net.Listener, dialer Line, h host, address string, log hclog.Logger) *line {
	return &line{
		Listener: l, dialer: dialer, host: h, log: log, address: address,
		accepted: make(chan net.Conn), peers: newContacts(), greeters: make(chan struct{}, greetAtOnce),
		done: make(chan struct{}), open: map[net.Conn]struct{}{},
	}
}

// start begins to answer; before it, peers wait.
func (l *line) start() {
	l.wg.Go(l.serve)
}

func (l *line) serve() {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			select {
			case <-l.done:
				return
			case <-time.After(100 * time.Millisecond): // such as no more files
				l.log.Error("cannot accept a connection", "error", err)
				continue
			}
		}
		select {
		case l.greeters <- struct{}{}:
			l.wg.Go(func() {
				defer func() { <-l.greeters }()
				l.greeted(conn)
			})
		default:
			_ = conn.Close()
		}
	}
}

// greeted answers one greeting and hands the connection to Raft if that is what it is for.
func (l *line) greeted(conn net.Conn) {
	if !l.track(conn) {
		return
	}
	_ = conn.SetDeadline(time.Now().Add(greetTimeout))
	g, err := readGreeting(conn)
	if err != nil {
		l.log.Debug("greeting refused", "from", conn.RemoteAddr(), "error", err)
		if errors.Is(err, errVersion) {
			no := l.host.hello()
			no.No = err.Error()
			_ = no.write(conn)
		}
		l.drop(conn)
		return
	}
	l.peers.heard(g)
	reply := l.host.answer(g)
	if reply.No != "" {
		l.log.Debug("greeting answered with no", "from", g.Name, "kind", g.Kind, "reason", reply.No)
	}
	if err := reply.write(conn); err != nil || reply.No != "" || g.Kind != kindRaft {
		l.drop(conn)
		return
	}
	_ = conn.SetDeadline(time.Time{})
	select {
	case l.accepted <- &heardConn{Conn: conn, line: l, contact: l.peers.of(g.id())}:
	case <-l.done:
		l.drop(conn)
	}
}

// Accept gives Raft the next connection of a peer.
func (l *line) Accept() (net.Conn, error) {
	select {
	case conn := <-l.accepted:
		return conn, nil
	case <-l.done:
		return nil, errLineClosed
	}
}

// Dial connects Raft to the peer that it means: "ID@host:port", as wire makes it.
func (l *line) Dial(target raft.ServerAddress, timeout time.Duration) (net.Conn, error) {
	id, address, ok := strings.Cut(string(target), "@")
	if !ok {
		return nil, fmt.Errorf("dial %s: no ID", target)
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	wants := raft.ServerID(id)
	conn, _, err := l.greet(ctx, address, kindRaft, wants)
	l.peers.problem(wants, err)
	if err != nil {
		return nil, err
	}
	return &heardConn{Conn: conn, line: l, contact: l.peers.of(wants)}, nil
}

// ask greets without wanting to speak to Raft. An answer of no is no error.
func (l *line) ask(ctx context.Context, address, kind string, wants raft.ServerID) (*greeting, error) {
	ctx, cancel := context.WithTimeout(ctx, greetTimeout)
	defer cancel()
	conn, g, err := l.greet(ctx, address, kind, wants)
	if err != nil {
		return nil, err
	}
	l.drop(conn)
	return g, nil
}

// greet dials, greets, and judges the answer.
func (l *line) greet(ctx context.Context, address, kind string, wants raft.ServerID) (net.Conn, *greeting, error) {
	conn, err := l.dialer.Dial(ctx, address)
	if err != nil {
		return nil, nil, err
	}
	if !l.track(conn) {
		return nil, nil, errLineClosed
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	g, err := l.exchange(conn, kind, wants)
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		l.drop(conn)
		return nil, nil, fmt.Errorf("greet %s: %w", address, err)
	}
	return conn, g, nil
}

func (l *line) exchange(conn net.Conn, kind string, wants raft.ServerID) (*greeting, error) {
	own := l.host.hello()
	own.Kind, own.Wants = kind, wants
	if err := own.write(conn); err != nil {
		return nil, err
	}
	g, err := readGreeting(conn)
	if err != nil {
		return nil, err
	}
	l.peers.heard(g)
	switch {
	case kind == kindRaft && g.No != "":
		return nil, errors.New(g.No)
	case kind == kindRaft && g.id() != wants:
		return nil, fmt.Errorf("this is %s", g.Name)
	}
	return g, nil
}

// track remembers a connection, or closes it if the line is closed.
func (l *line) track(conn net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case <-l.done:
		_ = conn.Close()
		return false
	default:
		l.open[conn] = struct{}{}
		return true
	}
}

func (l *line) drop(conn net.Conn) {
	l.mu.Lock()
	delete(l.open, conn)
	l.mu.Unlock()
	_ = conn.Close()
}

// Close ends all connections and waits for the greetings under way. It may be called more than once.
func (l *line) Close() error {
	l.closeOnce.Do(func() {
		l.mu.Lock()
		close(l.done)
		_ = l.Listener.Close()
		for conn := range l.open {
			_ = conn.Close()
		}
		clear(l.open)
		l.mu.Unlock()
	})
	l.wg.Wait()
	return nil
}

// Addr is the address by which peers reach this node.
func (l *line) Addr() net.Addr { return advertised(l.address) }

type advertised string

func (a advertised) Network() string { return "tcp" }
func (a advertised) String() string  { return string(a) }

// heardConn notes when the peer was heard.
type heardConn struct {
	net.Conn
	line    *line
	contact *contact
}

func (c *heardConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if n > 0 {
		c.contact.hear()
	}
	return n, err
}

func (c *heardConn) Close() error {
	c.line.drop(c.Conn)
	return nil
}
