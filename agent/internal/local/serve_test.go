package local_test

import (
	"context"
	"net"
	"path/filepath"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/salveops/salve/agent/internal/local"
	"github.com/salveops/salve/proto/localpb"
)

// deadline bounds what waits for a real socket; nothing comes near it when all is well.
const deadline = 30 * time.Second

// world is a served backend and a client of it.
type world struct {
	srv    *local.Server
	socket string
	conn   *grpc.ClientConn
	agent  localpb.AgentClient
	stop   func() error // stops the server and says how Run ended; may be called twice
}

// serve serves b on a socket of the test's own.
func serve(t testing.TB, b local.Backend, opts local.Options) *world {
	t.Helper()
	if opts.Socket == "" {
		opts.Socket = filepath.Join(t.TempDir(), "agent.sock")
	}
	if opts.Log == nil {
		opts.Log = hclog.NewNullLogger()
	}
	ctx, cancel := context.WithCancel(context.Background())
	w := &world{srv: local.New(b, opts), socket: opts.Socket}
	ended := make(chan error, 1)
	go func() { ended <- w.srv.Run(ctx) }()
	w.stop = func() error {
		cancel()
		select {
		case err := <-ended:
			ended <- err
			return err
		case <-time.After(deadline):
			t.Error("server does not stop")
			return nil
		}
	}
	t.Cleanup(func() {
		if err := w.stop(); err != nil {
			t.Errorf("run: %v", err)
		}
	})
	select {
	case <-w.srv.Ready():
	case err := <-ended:
		ended <- err
		t.Fatalf("run: %v", err)
	}
	conn, err := grpc.NewClient("passthrough:///agent",
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", w.socket)
		}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	w.conn, w.agent = conn, localpb.NewAgentClient(conn)
	return w
}

// patient is a context that ends only if the test hangs.
func patient(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	t.Cleanup(cancel)
	return ctx
}
