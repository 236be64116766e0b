package notify

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/salveops/salve/pkg/defaults"
)

// heartbeatTimeout bounds one ping.
const heartbeatTimeout = 10 * time.Second

// Heartbeat pings an outside dead man's switch: a place that raises the alarm when the pings stay away, also
// when the whole host is gone.
type Heartbeat struct {
	URL   string
	Every time.Duration // 0: defaults.HeartbeatEvery
	Log   hclog.Logger  // nil: silent
}

// Run pings by GET until ctx ends, at once and then every h.Every, but only while healthy returns nil. It logs
// when pings begin to arrive and when they begin to stay away.
func (h Heartbeat) Run(ctx context.Context, healthy func() error) error {
	if h.Every <= 0 {
		h.Every = defaults.HeartbeatEvery
	}
	if h.Log == nil {
		h.Log = hclog.NewNullLogger()
	}
	client := httpClient(Deps{})
	ticker := time.NewTicker(h.Every)
	defer ticker.Stop()
	for first, arrived := true, false; ; first = false {
		err := h.beat(ctx, client, healthy)
		if ctx.Err() != nil {
			return nil
		}
		switch {
		case err == nil && (first || !arrived):
			h.Log.Info("heartbeats arrive")
		case err != nil && (first || arrived):
			h.Log.Warn("heartbeats stay away", "error", err)
		}
		arrived = err == nil
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

func (h Heartbeat) beat(ctx context.Context, client *http.Client, healthy func() error) error {
	if err := healthy(); err != nil {
		return fmt.Errorf("not healthy: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, heartbeatTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, h.URL, nil)
	if err != nil {
		return bare(err)
	}
	req.Header.Set("User-Agent", "salve")
	resp, err := client.Do(req)
	if err != nil {
		return bare(err)
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, maxAnswer))
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return fmt.Errorf("answer was %d", resp.StatusCode)
	}
	return nil
}
