package transport

import (
	"container/list"
	"math"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/salveops/salve/pkg/limit"
)

// Bounds of connections of which nobody knows yet, by a certificate, whose they are: handshakes, which cost the listener
// more than whoever begins them, and what Anonymous lets in. A fleet behind one address, which comes at once, stays
// below them: a handshake takes some milliseconds.
const (
	atOnce        = 1024            // of one listener
	atOnceFrom    = 128             // of one address; for IPv6, of one network
	handshakeTime = 8 * time.Second // less than clients wait: who was too slow is no stranger

	// An address may fail so often at once, and then once in failEvery. Connections from it are closed until it may
	// again, those with a good certificate, too: nobody knows which they are.
	failBurst = 200
	failEvery = 100 * time.Millisecond
)

// counts are those of all listeners of a transport.
type counts struct{ failed, refused, displaced atomic.Uint64 }

// Counts are connections that came to nothing, since the start.
type Counts struct {
	Failed    uint64 // handshakes that failed, timed out, or were refused by Authorize
	Refused   uint64 // connections closed at once, because their address had failed too often
	Displaced uint64 // connections without a certificate that were cut because newer ones took their places
}

// Counts of the listeners of this transport.
func (t *Transport) Counts() Counts {
	return Counts{t.count.failed.Load(), t.count.refused.Load(), t.count.displaced.Load()}
}

// guard bounds the handshakes of a listener.
func (t *Transport) guard(l net.Listener) net.Listener {
	return &guardedListener{Listener: l, count: t.count, clock: t.clock,
		failures: limit.New(failBurst, failEvery, math.MaxInt32, time.Nanosecond),
		open:     list.New(), from: map[netip.Addr]int{}}
}

// guardedListener knows which of its connections have not shown a certificate yet.
type guardedListener struct {
	net.Listener
	count    *counts
	clock    func() time.Time // nil: time.Now
	failures *limit.Limiter

	mu   sync.Mutex
	open *list.List // of *guarded, the oldest first
	from map[netip.Addr]int
}

// Accept implements net.Listener.
func (l *guardedListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		from := limit.Origin(conn.RemoteAddr().String())
		if !l.failures.Ok(from, l.now()) {
			l.count.refused.Add(1)
			_ = conn.Close()
			continue
		}
		return l.enter(conn, from), nil
	}
}

func (l *guardedListener) now() time.Time {
	if l.clock != nil {
		return l.clock()
	}
	return time.Now()
}

// enter notes a connection. When there are too many the oldest one goes: whoever is honest is faster.
func (l *guardedListener) enter(conn net.Conn, from netip.Addr) *guarded {
	g := &guarded{Conn: conn, listener: l, from: from}
	l.mu.Lock()
	defer l.mu.Unlock()
	g.late = time.AfterFunc(handshakeTime, g.expire)
	if l.from[from] >= atOnceFrom {
		l.displace(func(o *guarded) bool { return o.from == from })
	} else if l.open.Len() >= atOnce {
		l.displace(func(*guarded) bool { return true })
	}
	g.place = l.open.PushBack(g)
	l.from[from]++
	return g
}

func (l *guardedListener) displace(which func(*guarded) bool) {
	for e := l.open.Front(); e != nil; e = e.Next() {
		if g := e.Value.(*guarded); which(g) {
			l.remove(g)
			l.count.displaced.Add(1)
			_ = g.Conn.Close()
			return
		}
	}
}

func (l *guardedListener) remove(g *guarded) {
	if g.place == nil {
		return
	}
	g.late.Stop()
	l.open.Remove(g.place)
	g.place = nil
	if l.from[g.from]--; l.from[g.from] == 0 {
		delete(l.from, g.from)
	}
}

// guarded is a connection of a guardedListener.
type guarded struct {
	net.Conn
	listener *guardedListener
	from     netip.Addr
	late     *time.Timer
	said     atomic.Bool // something came

	place *list.Element // nil: it has shown a certificate, or is gone; under the listener's mu
	good  bool          // the handshake went well; under the listener's mu
}

// passed notes that the handshake went well, and whether there was a certificate.
func (g *guarded) passed(known bool) {
	g.listener.mu.Lock()
	defer g.listener.mu.Unlock()
	g.good = true
	g.late.Stop()
	if known {
		g.listener.remove(g)
	}
}

// expire ends a handshake that takes too long. It does not count against the address: the listener may be what is slow.
func (g *guarded) expire() {
	g.listener.mu.Lock()
	defer g.listener.mu.Unlock()
	if g.place != nil && !g.good {
		g.listener.remove(g)
		g.listener.count.failed.Add(1)
		_ = g.Conn.Close()
	}
}

// Read implements net.Conn.
func (g *guarded) Read(b []byte) (int, error) {
	n, err := g.Conn.Read(b)
	if n > 0 && !g.said.Load() {
		g.said.Store(true)
	}
	return n, err
}

// Close implements net.Conn. Who closes before the handshake is over has failed, unless he said nothing: load balancers
// look so whether somebody listens.
func (g *guarded) Close() error {
	g.listener.mu.Lock()
	failed := g.place != nil && !g.good && g.said.Load()
	g.listener.remove(g)
	g.listener.mu.Unlock()
	if failed {
		g.listener.count.failed.Add(1)
		g.listener.failures.Take(g.from, g.listener.now())
	}
	return g.Conn.Close()
}
