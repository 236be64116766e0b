package notify

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/salveops/salve/pkg/clock"
)

// Bounds of an answer.
const (
	maxAnswer     = 64 << 10
	maxAnswerText = 200
	maxRetryAfter = time.Hour
)

// leastSecret is the length from which a part of a URL is taken for a secret: shorter ones are in every text.
const leastSecret = 8

// httpClient follows no redirects: they could lead a signed message, or a request from inside the network,
// to a place that nobody configured. Messages are rare, so no connection is kept.
func httpClient(d Deps) *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			TLSClientConfig:        &tls.Config{RootCAs: d.Roots, Time: clock.Wall, MinVersion: tls.VersionTLS12},
			DisableKeepAlives:      true,
			DisableCompression:     true,
			MaxResponseHeaderBytes: maxAnswer,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// poster posts JSON to one URL.
type poster struct {
	url     string
	client  *http.Client
	now     func() time.Time
	secrets []string // never shown, even where an answer repeats them
}

// newPoster checks the URL, which is not shown: it may hold a secret.
func newPoster(address string, d Deps, secrets ...string) (*poster, error) {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, errors.New("url is not one of http or https")
	}
	p := &poster{url: address, client: httpClient(d), now: d.Now}
	for _, s := range append(secrets, address, u.RequestURI(), u.Path, u.RawQuery) {
		if len(s) >= leastSecret {
			p.secrets = append(p.secrets, s)
		}
	}
	slices.SortFunc(p.secrets, func(a, b string) int { return len(b) - len(a) }) // one may be a part of another
	return p, nil
}

// answer is what the place said.
type answer struct {
	code       int
	retryAfter time.Duration // 0: it did not say
	text       string        // one line, without secrets
}

// post sends the body once. An error is that there was no answer.
func (p *poster) post(ctx context.Context, header http.Header, body []byte) (answer, error) {
	wrote := false
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		WroteRequest: func(i httptrace.WroteRequestInfo) { wrote = i.Err == nil },
	})
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.url, bytes.NewReader(body))
	if err != nil {
		return answer{}, permanentf("make request: %w", bare(err))
	}
	for name, values := range header {
		req.Header[name] = values
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "salve")
	resp, err := p.client.Do(req)
	if err != nil {
		return answer{}, &Error{Reached: wrote, Err: fmt.Errorf("post message: %w", bare(err))}
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(resp.Body, maxAnswer)) // the status decides, the text only explains
	return answer{
		code: resp.StatusCode, text: p.explain(string(text)),
		retryAfter: retryAfter(resp.Header.Get("Retry-After"), p.now()),
	}, nil
}

// explain makes an answer fit for a log.
func (p *poster) explain(text string) string {
	for _, s := range p.secrets {
		text = strings.ReplaceAll(text, s, "(secret)")
	}
	return clip(oneLine(text), maxAnswerText)
}

// judge turns an answer into success, a failure that may pass, or a refusal.
func (a answer) judge() error {
	err := fmt.Errorf("answer was %d %s", a.code, a.text)
	switch {
	case a.code >= 200 && a.code <= 299:
		return nil
	case a.code == http.StatusTooManyRequests, a.code == http.StatusRequestTimeout, a.code == http.StatusTooEarly,
		a.code >= 500:
		return &Error{RetryAfter: a.retryAfter, Err: err}
	case a.code >= 300 && a.code <= 399:
		return permanentf("answer was %d: redirects are not followed", a.code)
	}
	return Permanent(err)
}

// retryAfter reads seconds or a date; what cannot be read or is past counts as not said.
func retryAfter(text string, now time.Time) time.Duration {
	var wait time.Duration
	if s, err := strconv.ParseUint(text, 10, 31); err == nil {
		wait = time.Duration(s) * time.Second
	} else if at, err := http.ParseTime(text); err == nil {
		wait = at.Sub(now)
	}
	return min(max(0, wait), maxRetryAfter)
}

// bare takes the URL out of an error of net/http: the paths of many webhooks are secrets.
func bare(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		return e.Err
	}
	return err
}
