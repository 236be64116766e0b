package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

// PIDHeader names the answering process in every answer, so that a prober can tell a new one.
const PIDHeader = "Service-Pid"

// Options say what the service answers on and which files it depends on.
type Options struct {
	Listen  string // host:port or unix:/path; required
	PIDFile string // written once it listens; "" is none
	Config  string // checked at the start; "" is none
	Cache   string // read by every piece of work; "" is none
}

func (o Options) validate() error {
	if o.Listen == "" {
		return errors.New("--listen is missing")
	}
	return nil
}

// Server answers until its context ends or a fault ends the process.
//
//	GET  /healthz   200 "ok"
//	GET  /work      does a little; fails by the fault's ratio and while the cache is corrupt
//	GET  /errors    200 while at most 5 % of the recent work failed, 500 above, 503 while too little was done
//	GET  /counters  JSON
//	GET  /metrics   http_requests_total{code} and http_request_duration_seconds of /work, for Prometheus; no fault
//	                reaches it
//	POST /fault/…   see faults
type Server struct {
	opts    Options
	faults  *faults
	recent  *recent
	cache   *cache
	metrics *metrics
	served  atomic.Int64
	failed  atomic.Int64
	started time.Time
}

// New checks the options and the configuration file; a mistake there is a *ConfigError.
func New(o Options) (*Server, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	if err := checkConfig(o.Config); err != nil {
		return nil, err
	}
	return &Server{
		opts:    o,
		faults:  newFaults(),
		recent:  &recent{},
		cache:   &cache{path: o.Cache},
		metrics: newMetrics(),
		started: time.Now(),
	}, nil
}

// Run listens, says READY to systemd if asked to, and answers until ctx ends.
func (s *Server) Run(ctx context.Context) error {
	l, err := listen(s.opts.Listen)
	if err != nil {
		return err
	}
	srv := &http.Server{Handler: s.Handler(), ReadHeaderTimeout: 5 * time.Second}
	// Close and not Shutdown: a hung request must not keep a stop waiting.
	defer context.AfterFunc(ctx, func() { srv.Close() })()
	if s.opts.PIDFile != "" {
		if err := os.WriteFile(s.opts.PIDFile, []byte(strconv.Itoa(os.Getpid())+"\n"), 0o644); err != nil {
			return fmt.Errorf("write pid file: %w", err)
		}
	}
	if _, err := daemon.SdNotify(false, daemon.SdNotifyReady); err != nil {
		return fmt.Errorf("notify systemd: %w", err)
	}
	if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func listen(addr string) (net.Listener, error) {
	if path, ok := strings.CutPrefix(addr, "unix:"); ok {
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
		return net.Listen("unix", path)
	}
	return net.Listen("tcp", addr)
}

// Handler is the whole HTTP face. Faults reach every path except /fault/ itself, so that a
// hung service can be told to go on.
func (s *Server) Handler() http.Handler {
	face := http.NewServeMux()
	face.HandleFunc("GET /healthz", s.healthz)
	face.HandleFunc("GET /work", s.work)
	face.HandleFunc("GET /errors", s.errors)
	face.HandleFunc("GET /counters", s.counters)

	mux := http.NewServeMux()
	mux.Handle("POST /fault/", http.StripPrefix("/fault/", s.faults))
	mux.Handle("GET /metrics", s.metrics.page())
	mux.Handle("GET /work", s.metrics.measure(s.faults.delay(face)))
	mux.Handle("/", s.faults.delay(face))
	pid := strconv.Itoa(os.Getpid())
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set(PIDHeader, pid)
		mux.ServeHTTP(w, r)
	})
}

func (s *Server) healthz(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") }

func (s *Server) work(w http.ResponseWriter, _ *http.Request) {
	err := s.faults.fail()
	if err == nil {
		err = s.cache.use()
	}
	s.served.Add(1)
	s.recent.add(time.Now(), err != nil)
	if err != nil {
		s.failed.Add(1)
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	fmt.Fprintln(w, "done")
}

func (s *Server) errors(w http.ResponseWriter, _ *http.Request) {
	ratio, n := s.recent.ratio(time.Now())
	switch {
	case n < minEvents:
		// Too little data is not a good sign, it is no sign.
		http.Error(w, fmt.Sprintf("only %d requests lately", n), http.StatusServiceUnavailable)
	case ratio > maxErrors:
		http.Error(w, fmt.Sprintf("%.1f %% of %d requests failed", 100*ratio, n), http.StatusInternalServerError)
	default:
		fmt.Fprintf(w, "%.1f %% of %d requests failed\n", 100*ratio, n)
	}
}

func (s *Server) counters(w http.ResponseWriter, _ *http.Request) {
	ratio, n := s.recent.ratio(time.Now())
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{
		"pid":            os.Getpid(),
		"uptime_seconds": time.Since(s.started).Seconds(),
		"requests":       s.served.Load(),
		"failed":         s.failed.Load(),
		"recent":         n,
		"recent_failed":  ratio,
		"leaked_bytes":   s.faults.leaked(),
	})
}
