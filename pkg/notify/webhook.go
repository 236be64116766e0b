package notify

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strconv"
	"time"

	"github.com/salveops/salve/pkg/config"
)

// PayloadVersion is the version of Payload. Fields may be added within a version; none is removed, renamed or
// given another meaning.
const PayloadVersion = 1

// Payload is the body of a webhook and the standard input of a notifier program: one JSON object with
// "version" and the fields of Message.
type Payload struct {
	Version int `json:"version"`
	Message
}

func encodePayload(m Message) ([]byte, error) {
	body, err := json.Marshal(Payload{PayloadVersion, m})
	if err != nil {
		return nil, Permanent(err)
	}
	return body, nil
}

// Headers of a webhook.
const (
	// SignatureHeader is "t=UNIX,v1=HEX", where HEX is the HMAC-SHA256, under the notifier's secret, of UNIX, a
	// dot, and the body. A receiver computes it, compares in constant time, and refuses an old UNIX.
	SignatureHeader = "Salve-Signature"
	// KeyHeader holds Message.Key: requests with the same key are the same message.
	KeyHeader = "Idempotency-Key"
)

// Bounds of an answer.
const (
	maxAnswer     = 64 << 10
	maxAnswerText = 200
	maxRetryAfter = time.Hour
)

type webhook struct {
	url    string
	secret []byte
	now    func() time.Time
	client *http.Client
}

func newWebhook(n *config.Notifier, d Deps) (*webhook, error) {
	u, err := url.Parse(n.URL)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, errors.New("url is not one of http or https") // not shown: it may hold a secret
	}
	return &webhook{url: n.URL, secret: []byte(n.Secret), now: d.Now, client: httpClient(d)}, nil
}

// httpClient follows no redirects: they could lead a signed message, or a request from inside the network,
// to a place that nobody configured. Messages are rare, so no connection is kept.
func httpClient(d Deps) *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			TLSClientConfig:        &tls.Config{RootCAs: d.Roots, MinVersion: tls.VersionTLS12},
			DisableKeepAlives:      true,
			DisableCompression:     true,
			MaxResponseHeaderBytes: maxAnswer,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

func (w *webhook) Send(ctx context.Context, m Message) error {
	body, err := encodePayload(m)
	if err != nil {
		return err
	}
	wrote := false
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		WroteRequest: func(i httptrace.WroteRequestInfo) { wrote = i.Err == nil },
	})
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, w.url, bytes.NewReader(body))
	if err != nil {
		return permanentf("make request: %w", bare(err))
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "salve")
	req.Header.Set(KeyHeader, m.Key)
	if len(w.secret) > 0 {
		req.Header.Set(SignatureHeader, Sign(w.secret, w.now(), body))
	}
	resp, err := w.client.Do(req)
	if err != nil {
		return &Error{Reached: wrote, Err: fmt.Errorf("post message: %w", bare(err))}
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(resp.Body, maxAnswer)) // the status decides, the text only explains
	return judge(resp, clip(oneLine(string(text)), maxAnswerText), w.now())
}

// Sign is the value of SignatureHeader.
func Sign(secret []byte, at time.Time, body []byte) string {
	t := strconv.FormatInt(at.Unix(), 10)
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(t + "."))
	mac.Write(body)
	return "t=" + t + ",v1=" + hex.EncodeToString(mac.Sum(nil))
}

// judge turns an answer into success, a failure that may pass, or a refusal.
func judge(resp *http.Response, text string, now time.Time) error {
	code := resp.StatusCode
	err := fmt.Errorf("answer was %d %s", code, text)
	switch {
	case code >= 200 && code <= 299:
		return nil
	case code == http.StatusTooManyRequests, code == http.StatusRequestTimeout, code == http.StatusTooEarly, code >= 500:
		return &Error{RetryAfter: retryAfter(resp.Header.Get("Retry-After"), now), Err: err}
	case code >= 300 && code <= 399:
		return permanentf("answer was %d: redirects are not followed", code)
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
