package agenttest

import (
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// Proxy passes a Unix socket on, and can be cut: that is how D-Bus or a pool server goes away and
// comes back.
type Proxy struct {
	// Path is the socket to dial instead of the real one.
	Path string

	target string
	mu     sync.Mutex
	listen net.Listener
	conns  map[net.Conn]struct{}
}

// NewProxy listens in front of the socket at target, which may be a D-Bus address "unix:path=…".
func NewProxy(t testing.TB, target string) *Proxy {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "salve-proxy-") // t.TempDir() may be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{
		Path:   filepath.Join(dir, "socket"),
		target: strings.TrimPrefix(target, "unix:path="),
		conns:  map[net.Conn]struct{}{},
	}
	t.Cleanup(func() {
		p.Cut()
		_ = os.RemoveAll(dir)
	})
	if err := p.Restore(); err != nil {
		t.Fatal(err)
	}
	return p
}

// Address is the D-Bus address of the proxy.
func (p *Proxy) Address() string { return "unix:path=" + p.Path }

// Cut ends every connection and refuses new ones until Restore.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.listen != nil {
		_ = p.listen.Close()
		p.listen = nil
	}
	for c := range p.conns {
		_ = c.Close()
	}
	clear(p.conns)
}

// Restore takes connections again.
func (p *Proxy) Restore() error {
	l, err := net.Listen("unix", p.Path)
	if err != nil {
		return err
	}
	p.mu.Lock()
	p.listen = l
	p.mu.Unlock()
	go p.accept(l)
	return nil
}

func (p *Proxy) accept(l net.Listener) {
	for {
		near, err := l.Accept()
		if err != nil {
			return
		}
		far, err := net.Dial("unix", p.target)
		if err != nil {
			_ = near.Close()
			continue
		}
		p.mu.Lock()
		cut := p.listen != l
		p.conns[near], p.conns[far] = struct{}{}, struct{}{}
		p.mu.Unlock()
		go p.copy(near, far)
		go p.copy(far, near)
		if cut {
			_, _ = near.Close(), far.Close()
		}
	}
}

func (p *Proxy) copy(to, from net.Conn) {
	_, _ = io.Copy(to, from)
	_, _ = to.Close(), from.Close()
	p.mu.Lock()
	delete(p.conns, to)
	delete(p.conns, from)
	p.mu.Unlock()
}
