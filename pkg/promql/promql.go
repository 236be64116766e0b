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
)

// most bounds an answer: one number, or one of each host of a large fleet.
const most = 1 << 20

// Query is what is asked, and of whom.
type Query struct {
	URL     string        // of the server; /api/v1/query comes after it
	Expr    string        // in PromQL; its answer is one number, or with Label one for each value of that
	Timeout time.Duration // of one answer, more than 0; the server gives up by then as well
	// Label and Value choose one element of several: the one whose label has the value, or has it before a colon and a port.
	// "": there is one element.
	Label, Value string
	User         string                 // of basic authentication; "": none
	Secret       func() (string, error) // read with each question: User's password, or without a User a bearer token; nil: none
}

// Answer is what a server said.
type Answer struct {
	Value    float64
	Known    bool      // false: there is no element, or no finite number; Value means nothing then
	At       time.Time // the moment that was asked about, by the server's clock
	Warnings []string  // reservations of the server: such as that it could not ask everybody
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

// Ask asks once. No error holds the secret or the address.
func (c *Client) Ask(ctx context.Context) (Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, c.query.Timeout)
	defer cancel()
	req, err := c.request(ctx)
	if err != nil {
		return Answer{}, err
	}
	res, err := c.http.Do(req)
	if err != nil {
		if u := (*url.Error)(nil); errors.As(err, &u) {
			err = u.Err
		}
		return Answer{}, fmt.Errorf("ask: %w", err)
	}
	defer func() { _ = res.Body.Close() }() // all that counts was read before
	raw, err := io.ReadAll(io.LimitReader(res.Body, most+1))
	switch {
	case err != nil:
		return Answer{}, fmt.Errorf("read answer: %w", err)
	case len(raw) > most:
		return Answer{}, fmt.Errorf("read answer: it has more than %d bytes; aggregate, as with sum() or max()", most)
	}
	answer, err := c.query.read(raw)
	if err != nil && res.StatusCode != http.StatusOK {
		return Answer{}, fmt.Errorf("status %d: %w", res.StatusCode, err)
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
	if c.query.Secret == nil {
		return req, nil
	}
	secret, err := c.query.Secret()
	switch {
	case err != nil:
		return nil, err
	case c.query.User != "":
		req.SetBasicAuth(c.query.User, secret)
	default:
		req.Header.Set("Authorization", "Bearer "+secret)
	}
	return req, nil
}
