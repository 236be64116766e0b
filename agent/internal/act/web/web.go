// Package web is how remedies speak HTTP: with what the configuration names, and with nobody else.
package web

import (
	"cmp"
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/url"

	"github.com/salveops/salve/pkg/clock"
)

// MaxHead bounds the head of an answer, in bytes.
const MaxHead = 64 << 10

// Client uses no proxy, follows no redirection, and bounds the head of an answer. It has no timeout. Whoever has asked all that
// there is to ask closes its idle connections.
func Client() *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			MaxResponseHeaderBytes: MaxHead, DisableCompression: true,
			TLSClientConfig: &tls.Config{Time: clock.Wall, MinVersion: tls.VersionTLS12},
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// Listens returns nil if somebody listens where the URL leads: all that can be asked without any effect.
func Listens(ctx context.Context, u *url.URL) error {
	var d net.Dialer
	c, err := d.DialContext(ctx, "tcp", net.JoinHostPort(u.Hostname(), cmp.Or(u.Port(), u.Scheme))) // "http" is the name of a port, too
	if err == nil {
		_ = c.Close()
	}
	return err
}
