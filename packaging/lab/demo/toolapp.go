package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/salveops/salve/packaging/lab/rig"
)

// app is the application of the fourth act: it writes into its ledger and its carts all the time, has jobs done, and tells
// on its page of metrics how that goes.
type app struct {
	addr    string // of the page
	written map[string]*writes
	jobs    atomic.Int64 // waiting
}

// writes counts how it went.
type writes struct{ ok, refused atomic.Int64 }

// openApp opens the page, on which all is zero, and starts units in the place of the application's.
func (s *toolbox) openApp(context.Context) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	s.app = &app{addr: l.Addr().String(), written: map[string]*writes{ledger: {}, cart: {}}}
	page := &http.Server{Handler: s.app, ReadHeaderTimeout: time.Second}
	go func() { _ = page.Serve(l) }() // until it is closed
	s.onClose(page.Close)
	for _, name := range []string{ledger, cart, orders} {
		unit := unitPrefix + name + ".service"
		u := rig.Unit{Description: "Salve demo: " + name, Exec: []string{"/bin/sleep", "infinity"}}
		if err := s.manager.WriteUnit(unit, u.String()); err != nil {
			return err
		}
		if _, err := s.manager.Systemctl("start", unit); err != nil {
			return err
		}
	}
	return nil
}

// ServeHTTP is the page of metrics.
func (a *app) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	fmt.Fprintln(w, "# TYPE writes_total counter")
	for to, n := range a.written {
		fmt.Fprintf(w, "writes_total{to=%q,result=\"ok\"} %d\nwrites_total{to=%[1]q,result=\"refused\"} %[3]d\n",
			to, n.ok.Load(), n.refused.Load())
	}
	fmt.Fprintf(w, "# TYPE jobs_waiting gauge\njobs_waiting %d\n", a.jobs.Load())
}

// keepWriting writes twenty times a second until the act is over.
func (s *toolbox) keepWriting(to string, write func(context.Context) error) {
	n := s.app.written[to]
	s.keep(50*time.Millisecond, func(ctx context.Context) {
		if err := write(ctx); err != nil {
			n.refused.Add(1)
		} else {
			n.ok.Add(1)
		}
	})
}

// keep does something again and again, with a pause between, until the act is over.
func (s *toolbox) keep(pause time.Duration, do func(context.Context)) {
	ctx, cancel := context.WithCancel(context.Background())
	var ended sync.WaitGroup
	ended.Go(func() {
		tick := time.NewTicker(pause)
		defer tick.Stop()
		for ctx.Err() == nil {
			do(ctx)
			select {
			case <-tick.C:
			case <-ctx.Done():
			}
		}
	})
	s.onClose(func() error {
		cancel()
		ended.Wait()
		return nil
	})
}
