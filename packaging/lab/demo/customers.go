package main

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/salveops/salve/packaging/lab/rig"
)

// customers ask the two hosts all the time, as a balancer would: whoever answers serves them.
type customers struct {
	stop  context.CancelFunc
	ended chan struct{}

	mu     sync.Mutex
	asked  int
	missed int // times that nobody answered
}

const (
	customerEvery = 20 * time.Millisecond
	customerTime  = 3 * time.Second // how long one waits for an answer, on a busy machine too
)

// serve sends customers to the patients until they leave.
func serve(patients ...*rig.Patient) *customers {
	ctx, cancel := context.WithCancel(context.Background())
	c := &customers{stop: cancel, ended: make(chan struct{})}
	go func() {
		defer close(c.ended)
		tick := time.NewTicker(customerEvery)
		defer tick.Stop()
		for ctx.Err() == nil {
			c.ask(ctx, patients)
			select {
			case <-tick.C:
			case <-ctx.Done():
			}
		}
	}()
	return c
}

// ask asks one after another, each time beginning with the first.
func (c *customers) ask(ctx context.Context, patients []*rig.Patient) {
	served := false
	for _, p := range patients {
		one, cancel := context.WithTimeout(ctx, customerTime)
		a, err := p.Get(one, "/healthz")
		cancel()
		if err == nil && a.Status == http.StatusOK {
			served = true
			break
		}
	}
	if ctx.Err() != nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked++
	if !served {
		c.missed++
	}
}

// begin counts from here.
func (c *customers) begin() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked, c.missed = 0, 0
}

// count is how many asked, and how many of them nobody answered.
func (c *customers) count() (asked, missed int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.asked, c.missed
}

func (c *customers) leave() {
	c.stop()
	<-c.ended
}
