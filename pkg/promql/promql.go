// Package promql asks a Prometheus server, or one that speaks its API, for one number.
package promql

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/salveops/salve/pkg/clock"
	"github.com/salveops/salve/pkg/secret"
)

// most bounds an answer: one number, or one of each host of a large fleet.
const most = 1 << 20

// Query is what is asked, and of whom.
type Query struct {
	URL     string        // of the server; /api/v1/query comes after it
	Expr    string        // in PromQL; its answer is one number, or with Label one for each host
	Timeout time.Duration // of one answer, more than 0; the server gives up by then as well
	Label   string        // which tells the host that an element of the answer is about; "": there is one element
	User    string        // of basic authentication; "": none
	// SecretFile holds User's password, or without a User a bearer token. It is read with each question; "": none.
	SecretFile string
}

// Client asks one query. Its methods are called one after another.
type Client struct {
	query Query
	http  *http.Client
}

// New makes a client. It keeps a connection; redirects are not followed, for the other place may be anywhere.
func New(q Query) *Client {
	return &Client{query: q, http: &http.Client{
		Transport: &http.Transport{
			MaxIdleConns: 1, DisableCompression: true, MaxResponseHeaderBytes: 64 << 10, ReadBufferSize: 4 << 10,
			WriteBufferSize: 1 << 10, TLSClientConfig: &tls.Config{Time: clock.Wall, MinVersion: tls.VersionTLS12},
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// Close ends what is kept between two questions.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Ask asks once. No error holds the secret or the URL.
func (c *Client) Ask(ctx context.Context) (*Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, c.query.Timeout)
	defer cancel()
	req, err := c.request(ctx)
	if err != nil {
		return nil, err
	}
	res, err := c.http.Do(req)
	if err != nil {
		if u := (*url.Error)(nil); errors.As(err, &u) {
			err = u.Err
		}
		return nil, fmt.Errorf("ask: %w", err)
	}
	defer func() { _ = res.Body.Close() }() // all that counts was read before
	raw, err := io.ReadAll(io.LimitReader(res.Body, most+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("read answer: %w", err)
	case len(raw) > most:
		return nil, fmt.Errorf("read answer: it has more than %d bytes; aggregate, as with sum() or max()", most)
	}
	answer, err := read(raw, c.query.Label)
	if err != nil && res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("status %d: %w", res.StatusCode, err)
	}
	return answer, err
}

// request asks by POST, so that the expression stands in nobody's log of addresses.
func (c *Client) request(ctx context.Context) (*http.Request, error) {
	at, err := url.JoinPath(c.query.URL, "api/v1/query")
	if err != nil {
		return nil, fmt.Errorf("make request: %w", err)
	}
	form := url.Values{"query": {c.query.Expr}, "timeout": {fmt.Sprintf("%dms", c.query.Timeout.Milliseconds())}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, at, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, fmt.Errorf("make request: %w", err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("User-Agent", "salve")
	text, err := secret.Read(c.query.SecretFile)
	switch {
	case err != nil:
		return nil, err
	case c.query.User != "":
		req.SetBasicAuth(c.query.User, text)
	case text != "":
		req.Header.Set("Authorization", "Bearer "+text)
	}
	return req, nil
}
