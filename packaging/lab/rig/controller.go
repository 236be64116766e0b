package rig

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"time"
)

// Controller is one node of the controller.
type Controller struct {
	*Process
	Log  string
	http string
}

// ControllerOptions say how to run a node.
type ControllerOptions struct {
	Binary string // salve-controller
	Config string // controller.hcl
	HTTP   string // address of /readyz that the configuration names
	Log    string // file that takes what the node logs
}

// NewController describes a node; nothing is started.
func NewController(o ControllerOptions) *Controller {
	argv := []string{o.Binary, "--config", o.Config}
	return &Controller{Process: NewProcess(argv, o.Log), Log: o.Log, http: o.HTTP}
}

// AwaitReady waits until the node knows a leader and answers for its cluster.
func (c *Controller) AwaitReady(ctx context.Context) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	var why error
	for {
		err := c.unready(ctx)
		if err == nil {
			return nil
		}
		if ctx.Err() == nil || why == nil {
			why = err // and not that the time was up in the middle of a question
		}
		if c.PID() == 0 {
			return fmt.Errorf("wait for the controller: %w\n%s", errNotRunning, LastLines(c.Log, 15))
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("wait for the controller: %w\n%s", why, LastLines(c.Log, 15))
		}
	}
}

// unready says why the node cannot be asked, nil if it can.
func (c *Controller) unready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	_, err := Get(ctx, "http://"+c.http+"/readyz")
	return err
}

// Get is what a program says of itself over HTTP. Any status but 200 is an error.
func Get(ctx context.Context, url string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", resp.Status, body)
	}
	return body, err
}
