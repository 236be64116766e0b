package probe

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/salveops/salve/pkg/clock"
)

const (
	// bodyLimit is how much of an answer's body is read.
	bodyLimit = 64 << 10
	// headerLimit is how much the head of an answer may take, with the overhead of chunks.
	headerLimit = 64 << 10
	// interim is how many informational answers (1xx) may come before the real one.
	interim = 5
)

// httpAsker asks over a connection that it keeps. The messages are those of net/http; the connection
// is its own, because http.Transport gives each one two goroutines, and the way through them costs as
// much as half a question: BenchmarkProbeHTTP shows one and a half times the CPU of this and three
// times the allocations.
type httpAsker struct {
	target  Target
	network string
	address string
	tls     *tls.Config // nil: plain
	request []byte      // as it goes over the wire
	parsed  *http.Request

	ctx    context.Context // ends with close
	cancel context.CancelFunc

	mu   sync.Mutex
	idle *conn
	open map[*conn]struct{}
}

func newHTTP(t Target) (*httpAsker, error) {
	req, err := http.NewRequest(http.MethodGet, t.HTTP, nil)
	if err != nil {
		return nil, fmt.Errorf("make request: %w", err)
	}
	if u := req.URL; u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("make request: %q is no http or https address", t.HTTP)
	}
	req.Header.Set("User-Agent", "salve")
	if user := req.URL.User; user != nil {
		password, _ := user.Password()
		req.SetBasicAuth(user.Username(), password)
	}
	var wire bytes.Buffer
	if err := req.Write(&wire); err != nil {
		return nil, fmt.Errorf("make request: %w", err)
	}
	h := &httpAsker{
		target: t, network: "tcp", address: address(req.URL), request: wire.Bytes(), parsed: req,
		open: map[*conn]struct{}{},
	}
	if req.URL.Scheme == "https" {
		h.tls = &tls.Config{
			ServerName: req.URL.Hostname(), Time: clock.Wall, MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"},
			ClientSessionCache: tls.NewLRUClientSessionCache(1),
		}
	}
	h.ctx, h.cancel = context.WithCancel(context.Background())
	return h, nil
}

func address(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = u.Scheme // "http" and "https" are service names
	}
	return net.JoinHostPort(u.Hostname(), port)
}

func (h *httpAsker) ask(fresh bool) answer {
	start := time.Now()
	deadline := start.Add(h.target.Timeout)
	if !fresh {
		if c := h.take(); c != nil {
			a, stale := h.exchange(c, start, deadline)
			if !stale {
				return a
			}
			// The server closed the connection while the question was on its way: no fault of the service.
		}
	}
	c, err := h.dial(deadline)
	if err != nil {
		return answer{err: err}
	}
	a, _ := h.exchange(c, start, deadline)
	return a
}

// exchange asks over c. stale is true when c was lost before the first byte of an answer, and not
// because the time was over.
func (h *httpAsker) exchange(c *conn, start, deadline time.Time) (a answer, stale bool) {
	keep := false
	defer func() { h.put(c, keep) }()
	_ = c.SetDeadline(deadline) // fails only on a closed connection, and then so does Write
	c.limit.N = headerLimit + bodyLimit
	_, err := c.Write(h.request)
	if err == nil {
		_, err = c.in.Peek(1)
	}
	if err != nil {
		return answer{err: fmt.Errorf("ask: %w", err)}, !timedOut(err)
	}
	res, err := h.head(c)
	if err != nil {
		return answer{err: fmt.Errorf("read answer: %w", err)}, false
	}
	found, whole, err := h.body(c, res.Body)
	if err != nil {
		return answer{err: fmt.Errorf("read answer: %w", err)}, false
	}
	keep = whole && !res.Close && res.StatusCode >= 200 && c.in.Buffered() == 0
	a = answer{answered: true, latency: time.Since(start), status: res.StatusCode, hasStatus: true}
	switch {
	case !h.accepts(res.StatusCode):
		a.err = fmt.Errorf("status %d", res.StatusCode)
	case !found:
		a.err = errors.New("the expected text is not in the answer")
	}
	return a, false
}

// head reads the head of the answer and skips informational ones.
func (h *httpAsker) head(c *conn) (*http.Response, error) {
	for range interim {
		res, err := http.ReadResponse(c.in, h.parsed)
		if err != nil || res.StatusCode >= 200 || res.StatusCode == http.StatusSwitchingProtocols {
			return res, err
		}
	}
	return nil, errors.New("too many informational answers")
}

// body reads at most bodyLimit of the body. It reports whether the expected text is there, and
// whether this was the whole body. The body is not closed, because closing reads on to its end: a
// connection with an unread rest is dropped instead.
func (h *httpAsker) body(c *conn, r io.Reader) (found, whole bool, err error) {
	if h.target.Body == "" {
		n, err := c.skip(r)
		return true, n <= bodyLimit, err
	}
	text, err := io.ReadAll(io.LimitReader(r, bodyLimit+1))
	whole = len(text) <= bodyLimit
	text = text[:min(len(text), bodyLimit)]
	return bytes.Contains(text, []byte(h.target.Body)), whole, err
}

func (h *httpAsker) accepts(status int) bool {
	if len(h.target.Status) == 0 {
		return status >= 200 && status <= 299
	}
	return slices.Contains(h.target.Status, status)
}

// take gives the idle connection if there is one and it is sound.
func (h *httpAsker) take() *conn {
	h.mu.Lock()
	c := h.idle
	h.idle = nil
	h.mu.Unlock()
	if c != nil && !c.quiet() {
		h.put(c, false)
		return nil
	}
	return c
}

// put keeps a connection for the next attempt, or closes it.
func (h *httpAsker) put(c *conn, keep bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if keep && h.idle == nil && h.ctx.Err() == nil {
		h.idle = c
		return
	}
	delete(h.open, c)
	_ = c.Close()
}

func (h *httpAsker) dial(deadline time.Time) (*conn, error) {
	// Keep-alive packets are off: the next question is the better one.
	d := net.Dialer{Deadline: deadline, KeepAlive: -1}
	raw, err := d.DialContext(h.ctx, h.network, h.address)
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	c := newConn(raw)
	h.mu.Lock()
	h.open[c] = struct{}{}
	closed := h.ctx.Err() != nil
	h.mu.Unlock()
	if closed {
		h.put(c, false)
		return nil, net.ErrClosed
	}
	if h.tls != nil {
		if err := c.secure(h.tls, deadline); err != nil {
			h.put(c, false)
			return nil, fmt.Errorf("connect: %w", err)
		}
	}
	return c, nil
}

// close ends running attempts at once.
func (h *httpAsker) close() {
	h.cancel()
	h.mu.Lock()
	defer h.mu.Unlock()
	for c := range h.open {
		_ = c.socket.Close()
	}
	h.idle = nil
}

func timedOut(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}
