package admintest

import (
	"context"
	"net"
	"time"

	"github.com/hashicorp/go-hclog"
	"google.golang.org/grpc"

	"github.com/salveops/salve/controller/internal/adminapi"
	"github.com/salveops/salve/pkg/clock"
	"github.com/salveops/salve/pkg/transport"
)

// Server is a world that is served over gRPC.
type Server struct {
	*World
	API     *adminapi.Server
	Address string
	grpc    *grpc.Server
}

// Heard implements adminapi.Sessions: every host but db-1 has a session.
func (w *World) Heard(host string) (connected bool, ago time.Duration, ok bool) {
	if host == w.DB1.ID {
		return false, 0, false
	}
	return true, 400 * time.Millisecond, true
}

// Now implements clock.Clock: the wall shows log time.
func (w *World) clock() clock.Clock { return wall{w} }

type wall struct{ w *World }

// Now implements clock.Clock.
func (c wall) Now() clock.Instant { return clock.Instant{Wall: c.w.Log.Now()} }

// BootID implements clock.Clock.
func (wall) BootID() string { return "boot" }

// API makes the API of a world.
func (w *World) API() *adminapi.Server {
	return adminapi.New(adminapi.Options{
		Version: "v0.0.0-test", Proposer: w.Log, Store: w.Log, Node: w.Log, Cluster: w.Log, Backups: w.Log,
		Sessions: w, Evidence: w.Evidence, Clock: w.clock(),
	})
}

// Serve serves a world on a loopback address of its own.
func Serve(w *World) (*Server, error) {
	t, err := transport.New(transport.Options{})
	if err != nil {
		return nil, err
	}
	log := hclog.NewNullLogger()
	g, l, err := t.GRPC(context.Background(), "127.0.0.1:0",
		grpc.ChainUnaryInterceptor(adminapi.Unary(log)), grpc.ChainStreamInterceptor(adminapi.Stream(log)))
	if err != nil {
		return nil, err
	}
	s := &Server{World: w, API: w.API(), Address: l.Addr().String(), grpc: g}
	s.API.Register(g)
	go serve(g, l)
	return s, nil
}

// serve ends when the server is stopped; then there is no error that anybody waits for.
func serve(g *grpc.Server, l net.Listener) { _ = g.Serve(l) }

// Stop ends everything at once.
func (s *Server) Stop() {
	s.API.Stop()
	s.grpc.Stop()
}
