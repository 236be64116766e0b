package probe

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"time"
)

const (
	// bodyLimit is how much of an answer's body is read.
	bodyLimit = 64 << 10
	// headerLimit is how much the head of an answer may take, with the overhead of chunks.
	headerLimit = 64 << 10
	// interim is how many informational answers (1xx) may come before the real one.
	interim = 5
)

// httpProtocol asks over HTTP/1.1. The messages are those of net/http; the connection is not, because http.Transport
// gives each one two goroutines, and the way through them costs as much as half a question: BenchmarkProbeHTTP shows
// one and a half times the CPU of this and three times the allocations.
type httpProtocol struct {
	endpoint
	target  Target
	request []byte // as it goes over the wire
	parsed  *http.Request
}

func newHTTP(t Target) (*httpProtocol, error) {
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
	h := &httpProtocol{
		endpoint: endpoint{network: "tcp", address: address(req.URL)}, target: t, request: wire.Bytes(), parsed: req,
	}
	if req.URL.Scheme == "https" {
		h.endpoint = h.secured(req.URL.Hostname(), "http/1.1")
	}
	return h, nil
}

func address(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = u.Scheme // "http" and "https" are service names
	}
	return net.JoinHostPort(u.Hostname(), port)
}

func (h *httpProtocol) dial(ctx context.Context, deadline time.Time) (*conn, error) {
	return h.open(ctx, deadline)
}

func (h *httpProtocol) sound(c *conn) bool { return c.quiet() }

func (h *httpProtocol) exchange(_ context.Context, c *conn, deadline time.Time) (answer, fate) {
	_ = c.SetDeadline(deadline) // fails only on a closed connection, and then so does Write
	c.limit.N = headerLimit + bodyLimit
	_, err := c.Write(h.request)
	if err == nil {
		_, err = c.in.Peek(1)
	}
	if err != nil {
		return answer{err: fmt.Errorf("ask: %w", err)}, lost(err)
	}
	res, err := h.head(c)
	if err != nil {
		return answer{err: fmt.Errorf("read answer: %w", err)}, drop
	}
	found, whole, err := h.body(c, res.Body)
	if err != nil {
		return answer{err: fmt.Errorf("read answer: %w", err)}, drop
	}
	a, f := answer{answered: true, figure: float64(res.StatusCode)}, drop
	if whole && !res.Close && res.StatusCode >= 200 && c.in.Buffered() == 0 {
		f = keep
	}
	switch {
	case !h.accepts(res.StatusCode):
		a.err = fmt.Errorf("status %d", res.StatusCode)
	case !found:
		a.err = errors.New("the expected text is not in the answer")
	}
	return a, f
}

// head reads the head of the answer and skips informational ones.
func (h *httpProtocol) head(c *conn) (*http.Response, error) {
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
func (h *httpProtocol) body(c *conn, r io.Reader) (found, whole bool, err error) {
	if h.target.Body == "" {
		n, err := c.skip(r)
		return true, n <= bodyLimit, err
	}
	text, err := io.ReadAll(io.LimitReader(r, bodyLimit+1))
	whole = len(text) <= bodyLimit
	text = text[:min(len(text), bodyLimit)]
	return bytes.Contains(text, []byte(h.target.Body)), whole, err
}

func (h *httpProtocol) accepts(status int) bool {
	if len(h.target.Status) == 0 {
		return status >= 200 && status <= 299
	}
	return slices.Contains(h.target.Status, status)
}
