package web

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync/atomic"
	"time"

	"github.com/salveops/salve/agent/internal/act/kind"
	"github.com/salveops/salve/pkg/config"
	"github.com/salveops/salve/pkg/jsonpath"
	"github.com/salveops/salve/pkg/secret"
	"github.com/salveops/salve/pkg/transport"
)

// Patience bounds one request, with its answer.
const Patience = 10 * time.Second

// mostBody bounds what is read of an answer, in bytes.
const mostBody = 256 << 10

// Answer is what a server says to a call.
type Answer struct {
	Status int
	Header http.Header
	body   []byte // the beginning; nil if it broke off
}

// Ask sends a call once, with these headers beside its own. Errors: one that wraps kind.ErrLost says that it may have arrived;
// after any other nothing was sent. A secret never gets into one.
func Ask(ctx context.Context, c config.Call, header http.Header) (Answer, error) {
	q, err := http.NewRequestWithContext(ctx, c.Method, c.URL, strings.NewReader(c.Body))
	if err != nil {
		return Answer{}, err
	}
	if header != nil {
		q.Header = header.Clone()
	}
	q.Header.Set("User-Agent", "salve")
	if c.Body != "" {
		q.Header.Set("Content-Type", c.Type)
	}
	text, err := secret.Read(c.SecretFile)
	switch {
	case err != nil:
		return Answer{}, err
	case c.User != "":
		q.SetBasicAuth(c.User, text)
	case text != "":
		q.Header.Set("Authorization", "Bearer "+text)
	}
	client := Client()
	defer client.CloseIdleConnections()
	if c.CAFile != "" {
		if client.Transport.(*http.Transport).TLSClientConfig.RootCAs, err = transport.Roots(c.CAFile); err != nil {
			return Answer{}, err
		}
	}
	answer, err := Send(client, q)
	if err != nil {
		return Answer{}, err
	}
	defer answer.Body.Close()
	a := Answer{Status: answer.StatusCode, Header: answer.Header}
	if body, err := io.ReadAll(io.LimitReader(answer.Body, mostBody)); err == nil {
		a.body = body
	}
	return a, nil
}

// Send sends a request once and follows no redirection. Errors are those of Ask. The caller closes the body of the answer.
func Send(client *http.Client, q *http.Request) (*http.Response, error) {
	var connected atomic.Bool
	q = q.WithContext(httptrace.WithClientTrace(q.Context(), &httptrace.ClientTrace{
		GotConn: func(httptrace.GotConnInfo) { connected.Store(true) },
	}))
	answer, err := client.Transport.RoundTrip(q)
	switch {
	case err == nil:
		return answer, nil
	case connected.Load():
		return nil, fmt.Errorf("%w: %w", kind.ErrLost, err)
	}
	return nil, err
}

// Says is the status in words of our own, since a server may put there what it was sent.
func (a Answer) Says() string { return fmt.Sprintf("%d %s", a.Status, http.StatusText(a.Status)) }

// Err is nil after 2xx. With 3xx and 4xx the server says that it did nothing. What any other left behind nobody knows: that
// error is a kind.ErrLost.
func (a Answer) Err() error {
	switch said := fmt.Errorf("the server says %s", a.Says()); {
	case a.Status >= 200 && a.Status <= 299:
		return nil
	case a.Status >= 300 && a.Status <= 499:
		return said
	default:
		return Open{said}
	}
}

// Open is the error of an answer that leaves open what was done.
type Open struct{ Because error }

func (o Open) Error() string { return o.Because.Error() + ", and whether it did anything is not known" }

// Is makes it a kind.ErrLost without saying that there was no answer.
func (Open) Is(target error) bool { return target == kind.ErrLost }

// Document is the JSON document of the answer.
func (a Answer) Document() (any, error) {
	switch {
	case a.body == nil:
		return nil, fmt.Errorf("the answer broke off")
	case len(a.body) == mostBody:
		return nil, fmt.Errorf("the answer has %d bytes or more", mostBody)
	}
	return jsonpath.Decode(a.body)
}
