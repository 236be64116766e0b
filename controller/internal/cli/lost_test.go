package cli_test

import (
	"context"
	"net"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/grpc"

	"github.com/salveops/salve/controller/internal/cli"
	"github.com/salveops/salve/proto/localpb"
)

// dying is an agent that ends in the middle of every call.
type dying struct {
	localpb.UnimplementedAgentServer
}

// Run implements localpb.AgentServer.
func (dying) Run(_ *localpb.RunRequest, out grpc.ServerStreamingServer[localpb.RunResponse]) error {
	e := &localpb.TimelineEvent{Incident: "1f0c9a4be1d25f86", Text: "restart-app begins"}
	if err := out.Send(&localpb.RunResponse{Step: &localpb.RunResponse_Event{Event: e}}); err != nil {
		return err
	}
	<-out.Context().Done()
	return nil
}

// onWrite is called once something is shown, such as the first event of a run.
type onWrite func()

// Write implements io.Writer.
func (f onWrite) Write(p []byte) (int, error) {
	f()
	return len(p), nil
}

// serveDying serves an agent of which end is called in the middle of every call but a run.
func serveDying(t *testing.T, end func(*grpc.Server)) (socket string, srv *grpc.Server) {
	t.Helper()
	socket = filepath.Join(t.TempDir(), "agent.sock")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	srv = grpc.NewServer(grpc.UnaryInterceptor(
		func(ctx context.Context, _ any, _ *grpc.UnaryServerInfo, _ grpc.UnaryHandler) (any, error) {
			end(srv)
			<-ctx.Done()
			return nil, ctx.Err()
		}))
	localpb.RegisterAgentServer(srv, dying{})
	served := make(chan error, 1)
	go func() { served <- srv.Serve(l) }()
	t.Cleanup(func() {
		srv.Stop()
		<-served
	})
	return socket, srv
}

// A script that takes a lost answer for "not done" does it twice.
func TestLostAnswer(t *testing.T) {
	const maybe = "it may have been done or not"
	const goesOn = "the run goes on; how it ends is told by: salve agent explain 1f0c9a4be1d2"
	kill := func(_ context.CancelFunc, s *grpc.Server) { go s.Stop() }
	interrupt := func(cancel context.CancelFunc, _ *grpc.Server) { cancel() }
	for _, tt := range []struct {
		args string
		end  func(context.CancelFunc, *grpc.Server)
		code int
		text string
	}{
		{"run restart-app", kill, 8, goesOn},
		{"run restart-app", interrupt, 8, goesOn},
		{"pause checkout --for 1m --reason x", kill, 8, maybe},
		{"pause checkout --for 1m -- false", kill, 8, maybe},
		{"resume checkout", kill, 8, maybe},
		{"ack last", kill, 8, maybe},
		{"release last", kill, 8, maybe},
		{"reload", kill, 8, maybe},
		{"change record x", kill, 8, maybe},
		{"pause", kill, 6, "the agent went away"}, // a question
	} {
		t.Run(tt.args, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			socket, srv := serveDying(t, func(s *grpc.Server) { tt.end(cancel, s) })
			var errs strings.Builder
			code := cli.Run(ctx, cli.Options{
				Args: append([]string{"agent", "--socket", socket}, strings.Fields(tt.args)...),
				Out:  onWrite(func() { tt.end(cancel, srv) }), Err: &errs, Getenv: func(string) string { return "" },
			})
			if code != tt.code || !strings.Contains(errs.String(), tt.text) {
				t.Errorf("ended with %d, want %d\n%s", code, tt.code, errs.String())
			}
		})
	}
}
