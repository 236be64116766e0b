// Package web is what the controller serves over HTTP: the operators' API as JSON, metrics, and whether
// the node works and is ready.
package web

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/salveops/salve/controller/internal/access"
	"github.com/salveops/salve/proto/adminpb"
)

// Bounds. An answer that a slow reader does not take in time is given up.
const (
	maxBody     = 1 << 20
	readWithin  = 10 * time.Second
	callWithin  = 45 * time.Second // a pause may wait 30 s for its hosts
	writeWithin = 30 * time.Second // of one message
	stopGrace   = 2 * time.Second
	maxScrapes  = 4
)

// Listener makes the one HTTP server; pkg/transport has it.
type Listener interface {
	HTTP(ctx context.Context, address string, h http.Handler) (*http.Server, net.Listener, error)
}

// Options of a Server. All must be set, but for Log, Metrics and Gate.
type Options struct {
	Admin   adminpb.AdminServer
	Address string // such as "127.0.0.1:7602"
	Listen  Listener
	Metrics prometheus.Gatherer // nil: there are none
	// Gate decides who may call what. nil: everybody may do anything.
	Gate *access.Gate
	// Unready says why this node cannot answer for the cluster, "" if it can.
	Unready func() string
	Log     hclog.Logger
}

// Server serves HTTP.
type Server struct {
	o     Options
	log   hclog.Logger
	ready chan struct{}
	addr  net.Addr
}

// New makes a server; nothing is opened before Run.
func New(o Options) *Server {
	if o.Log == nil {
		o.Log = hclog.NewNullLogger()
	}
	return &Server{o: o, log: o.Log.Named("web"), ready: make(chan struct{})}
}

// Ready is closed once the address is open.
func (s *Server) Ready() <-chan struct{} { return s.ready }

// Addr is where it listens; valid after Ready.
func (s *Server) Addr() net.Addr { return s.addr }

// Run serves until ctx ends; then calls in flight get a moment to end. It can be called once.
func (s *Server) Run(ctx context.Context) error {
	streams, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	srv, l, err := s.o.Listen.HTTP(ctx, s.o.Address, s.handler(streams))
	if err != nil {
		return fmt.Errorf("serve HTTP: %w", err)
	}
	s.addr = l.Addr()
	s.log.Info("serving", "address", s.addr.String())
	close(s.ready)
	stopped := make(chan error, 1)
	go func() {
		<-ctx.Done()
		end()
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopGrace)
		defer cancel()
		stopped <- srv.Shutdown(grace)
	}()
	if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve HTTP: %w", err)
	}
	if err := <-stopped; err != nil {
		return errors.Join(fmt.Errorf("stop HTTP: %w", err), srv.Close())
	}
	return nil
}

// handler answers every request. Streams end with their context.
func (s *Server) handler(streams context.Context) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { say(w, http.StatusOK, "ok") })
	mux.HandleFunc("GET /readyz", s.serveReady)
	if s.o.Metrics != nil {
		mux.Handle("GET /metrics", s.viewers(promhttp.HandlerFor(s.o.Metrics, promhttp.HandlerOpts{
			ErrorLog:            s.log.StandardLogger(&hclog.StandardLoggerOptions{ForceLevel: hclog.Warn}),
			ErrorHandling:       promhttp.HTTPErrorOnError,
			MaxRequestsInFlight: maxScrapes,
		})))
	}
	api := newAPI(s.o.Admin, s.o.Gate, s.log, streams)
	mux.Handle("GET /api/v1/{$}", s.viewers(http.HandlerFunc(api.list)))
	mux.HandleFunc("/api/v1/{method}", api.serve)
	return guard(mux)
}

func (s *Server) serveReady(w http.ResponseWriter, _ *http.Request) {
	if why := s.o.Unready(); why != "" {
		say(w, http.StatusServiceUnavailable, why)
		return
	}
	say(w, http.StatusOK, "ok")
}

func say(w http.ResponseWriter, code int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(code)
	fmt.Fprintln(w, text)
}

// guard keeps the pages of other sites from using a person's browser to get at this node: a request that a
// page of another origin makes is refused, and so is, in plain text, a name that is not of loopback, for a
// name can be made to mean 127.0.0.1.
func guard(next http.Handler) http.Handler {
	cross := http.NewCrossOriginProtection()
	cross.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		say(w, http.StatusForbidden, "a page of another site may not do that")
	}))
	checked := cross.Handler(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		if r.TLS == nil && !onLoopback(r.Host) {
			say(w, http.StatusForbidden, "in plain text this node answers to localhost and loopback addresses only")
			return
		}
		checked.ServeHTTP(w, r)
	})
}

func onLoopback(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}
