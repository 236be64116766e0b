package probe

import (
	"context"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"

	"github.com/salveops/salve/agent/agenttest"
)

// grpcServer serves on the listener until the test ends.
func grpcServer(t testing.TB, l net.Listener, o ...grpc.ServerOption) (*grpc.Server, *health.Server) {
	t.Helper()
	s, h := grpc.NewServer(o...), health.NewServer()
	grpc_health_v1.RegisterHealthServer(s, h)
	done := make(chan struct{})
	go func() {
		_ = s.Serve(l)
		close(done)
	}()
	t.Cleanup(func() {
		s.Stop()
		<-done
	})
	return s, h
}

func listen(t testing.TB, network, address string) net.Listener {
	t.Helper()
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

func askedGRPC(t testing.TB, target Target) *line[*grpc.ClientConn] {
	t.Helper()
	target.Timeout = 5 * time.Second
	a, err := newAsker(target.normal(), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.close)
	return a.(*line[*grpc.ClientConn])
}

func TestGRPC(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s")
	for _, address := range []struct{ network, at, as string }{
		{"tcp", "127.0.0.1:0", ""}, {"unix", socket, "unix:" + socket},
	} {
		l := listen(t, address.network, address.at)
		if address.as == "" {
			address.as = l.Addr().String()
		}
		_, h := grpcServer(t, l)
		h.SetServingStatus("shop", grpc_health_v1.HealthCheckResponse_SERVING)
		h.SetServingStatus("ill", grpc_health_v1.HealthCheckResponse_NOT_SERVING)
		for _, tt := range []struct {
			service string
			status  float64
			err     string
		}{
			{"", 1, ""}, {"shop", 1, ""}, {"ill", 2, "health is NOT_SERVING"}, {"none", 3, "health is SERVICE_UNKNOWN"},
		} {
			a := askedGRPC(t, Target{GRPC: address.as, Health: tt.service})
			for range 2 {
				got := a.ask(false)
				if !got.answered || got.figure != tt.status || (got.err == nil) != (tt.err == "") ||
					got.err != nil && got.err.Error() != tt.err {
					t.Errorf("%s, service %q: %+v", address.network, tt.service, got)
				}
			}
			if a.idle == nil {
				t.Errorf("service %q: the connection is not kept", tt.service)
			}
		}
	}
}

// A server that restarts between two questions does not miss; one that is gone does, and one without health tells why.
func TestGRPCRestarts(t *testing.T) {
	l := listen(t, "tcp", "127.0.0.1:0")
	address := l.Addr().String()
	s, _ := grpcServer(t, l)
	a := askedGRPC(t, Target{GRPC: address})
	if got := a.ask(false); got.err != nil {
		t.Fatal(got.err)
	}
	s.Stop()
	s, _ = grpcServer(t, listen(t, "tcp", address))
	if got := a.ask(false); got.err != nil {
		t.Errorf("after a restart: %v", got.err)
	}
	s.Stop()
	if got := a.ask(false); got.err == nil || got.answered || !strings.Contains(got.err.Error(), "refused") {
		t.Errorf("gone: %+v", got)
	}
	bare := grpc.NewServer()
	t.Cleanup(bare.Stop)
	l = listen(t, "tcp", "127.0.0.1:0")
	go func() { _ = bare.Serve(l) }()
	if got := askedGRPC(t, Target{GRPC: l.Addr().String()}).ask(false); got.err == nil || got.answered ||
		!strings.Contains(got.err.Error(), "grpc.health.v1") {
		t.Errorf("without health: %+v", got)
	}
}

func TestGRPCSecure(t *testing.T) {
	pair := agenttest.Certificate(t, time.Hour)
	l := listen(t, "tcp", "127.0.0.1:0")
	grpcServer(t, l, grpc.Creds(credentials.NewServerTLSFromCert(&pair)))
	got := askedGRPC(t, Target{GRPC: l.Addr().String(), Secure: true}).ask(false)
	if got.err == nil || !strings.Contains(got.err.Error(), "unknown authority") {
		t.Errorf("a certificate that nobody vouches for: %+v, %v", got, got.err)
	}
	if got := askedGRPC(t, Target{GRPC: l.Addr().String()}).ask(false); got.err == nil {
		t.Error("plain text to a secured port is good")
	}
}

// hangingHealth answers when the question is over.
type hangingHealth struct {
	grpc_health_v1.UnimplementedHealthServer
	arrived chan string // the services that were asked for
}

func (h hangingHealth) Check(
	ctx context.Context, r *grpc_health_v1.HealthCheckRequest,
) (*grpc_health_v1.HealthCheckResponse, error) {
	h.arrived <- r.Service
	<-ctx.Done()
	return nil, ctx.Err()
}

func TestGRPCHangs(t *testing.T) {
	s, h := grpc.NewServer(), hangingHealth{arrived: make(chan string, 64)}
	grpc_health_v1.RegisterHealthServer(s, h)
	l := listen(t, "tcp", "127.0.0.1:0")
	go func() { _ = s.Serve(l) }()
	t.Cleanup(s.Stop)
	late := askedGRPC(t, Target{GRPC: l.Addr().String(), Health: "late"})
	late.timeout = 50 * time.Millisecond
	for len(h.arrived) == 0 { // a slow machine takes longer to connect
		if got := late.ask(false); got.err == nil || got.answered || late.idle != nil {
			t.Fatalf("%+v", got)
		}
		late.timeout *= 2
	}
	a := askedGRPC(t, Target{GRPC: l.Addr().String(), Health: "closed"})
	a.timeout = time.Hour
	done := make(chan answer)
	go func() { done <- a.ask(false) }()
	for <-h.arrived != "closed" {
	}
	a.close()
	if got := <-done; got.err == nil {
		t.Error("a closed question is good")
	}
}

// A server that speaks no HTTP/2, or too much of it, is a miss and no more.
func FuzzGRPCAnswer(f *testing.F) {
	f.Add([]byte("HTTP/1.1 400 Bad Request\r\n\r\n"))
	f.Add([]byte("\x00\x00\x00\x04\x00\x00\x00\x00\x00"))
	f.Add([]byte("\x00\x00\x00\x04\x00\x00\x00\x00\x00\xff\xff\xff\x01\x04\x00\x00\x00\x01"))
	address, says := rawServer(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		says.Store(&b)
		a, err := newAsker(Target{GRPC: address, Timeout: 200 * time.Millisecond}.normal(), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer a.close()
		if got := a.ask(false); got.err == nil {
			t.Errorf("%+v", got)
		}
	})
}
