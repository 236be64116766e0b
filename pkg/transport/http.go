package transport

import (
	"context"
	"net"
	"net/http"
	"time"

	"github.com/hashicorp/go-hclog"
)

// HTTP makes an HTTP server with bounds, and the listener to serve it on. There is no limit on how long an answer
// takes, for some are streams: a handler that can hang sets its own. Errors: ErrPlainText.
func (t *Transport) HTTP(ctx context.Context, address string, h http.Handler) (*http.Server, net.Listener, error) {
	l, err := t.secured(ctx, address, "h2", "http/1.1")
	if err != nil {
		return nil, nil, err
	}
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          t.o.Log.StandardLogger(&hclog.StandardLoggerOptions{ForceLevel: hclog.Debug}),
	}, l, nil
}
