package local

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/reflection"

	"github.com/salveops/salve/proto/localpb"
)

// Limits on what comes in and goes out. Requests are a few short strings; the greatest answer is one
// incident with its whole timeline and evidence.
const (
	maxRequest = 64 << 10
	maxAnswer  = 16 << 20
	maxStreams = 64 // of one connection
	stopGrace  = 2 * time.Second
)

// Options of a Server.
type Options struct {
	Socket  string // path of the unix socket; must be set
	Metrics string // loopback address of /metrics and /healthz, such as "127.0.0.1:7610"; "" is off
	Log     hclog.Logger
}

// Server serves one Backend.
type Server struct {
	backend Backend
	opts    Options
	log     hclog.Logger
	ready   chan struct{}
	metrics net.Addr
}

// New makes a server; nothing is opened before Run.
func New(b Backend, o Options) *Server {
	log := o.Log
	if log == nil {
		log = hclog.NewNullLogger()
	}
	return &Server{backend: b, opts: o, log: log.Named("local"), ready: make(chan struct{})}
}

// Ready is closed once socket and metrics are open.
func (s *Server) Ready() <-chan struct{} { return s.ready }

// MetricsAddr is where metrics are served, nil if they are not. It is valid after Ready.
func (s *Server) MetricsAddr() net.Addr { return s.metrics }

// Run opens socket and metrics and serves until ctx ends; then calls in flight get a moment to end.
// It can be called once. The error is nil after a clean stop, and wraps ErrInUse if another agent has
// the socket.
func (s *Server) Run(ctx context.Context) error {
	web, err := listenMetrics(s.opts.Metrics)
	if err != nil {
		return err
	}
	socket, err := listenSocket(s.opts.Socket)
	if err != nil {
		if web != nil {
			err = errors.Join(err, web.Close())
		}
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return s.serveSocket(ctx, socket) })
	if web != nil {
		s.metrics = web.Addr()
		g.Go(func() error { return s.serveMetrics(ctx, web) })
	}
	s.log.Info("serving", "socket", s.opts.Socket, "metrics", s.opts.Metrics)
	close(s.ready)
	return g.Wait()
}

// serveSocket serves gRPC until ctx ends.
func (s *Server) serveSocket(ctx context.Context, l net.Listener) error {
	srv := grpc.NewServer(
		grpc.Creds(peerCreds{}),
		grpc.MaxRecvMsgSize(maxRequest),
		grpc.MaxSendMsgSize(maxAnswer),
		grpc.MaxConcurrentStreams(maxStreams),
		grpc.ConnectionTimeout(5*time.Second),
		grpc.UnaryInterceptor(recoverUnary(s.log)),
		grpc.StreamInterceptor(recoverStream(s.log)),
	)
	localpb.RegisterAgentServer(srv, &api{backend: s.backend, stop: ctx.Done()})
	h := health.NewServer()
	h.SetServingStatus(localpb.Agent_ServiceDesc.ServiceName, healthpb.HealthCheckResponse_SERVING)
	healthpb.RegisterHealthServer(srv, h)
	reflection.Register(srv)

	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		<-ctx.Done()
		h.Shutdown()
		stopGRPC(srv)
	}()
	err := srv.Serve(l)
	if ctx.Err() == nil {
		return fmt.Errorf("serve agent socket: %w", err)
	}
	<-stopped
	return nil
}

// stopGRPC lets calls in flight end, but not for ever.
func stopGRPC(srv *grpc.Server) {
	hard := time.AfterFunc(stopGrace, srv.Stop)
	defer hard.Stop()
	srv.GracefulStop()
}

// serveMetrics serves HTTP until ctx ends.
func (s *Server) serveMetrics(ctx context.Context, l net.Listener) error {
	srv := &http.Server{
		Handler:           webHandler(s.backend, s.log),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       5 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    16 << 10,
	}
	stopped := make(chan error, 1)
	go func() {
		<-ctx.Done()
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopGrace)
		defer cancel()
		stopped <- srv.Shutdown(grace)
	}()
	err := srv.Serve(l)
	if !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve metrics: %w", err)
	}
	if err := <-stopped; err != nil {
		return errors.Join(fmt.Errorf("stop metrics: %w", err), srv.Close())
	}
	return nil
}
