package local_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"
	"go.uber.org/goleak"
	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	reflectionpb "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"

	"github.com/salveops/salve/agent/internal/local"
	"github.com/salveops/salve/agent/internal/local/localtest"
	"github.com/salveops/salve/proto/localpb"
)

func TestSocketIsForTheGroup(t *testing.T) {
	w := serve(t, localtest.New(), local.Options{})
	info, err := os.Stat(w.socket)
	if err != nil {
		t.Fatal(err)
	}
	if got := info.Mode().Perm(); got != 0o660 {
		t.Errorf("mode is %o, want 660", got)
	}
	if err := w.stop(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(w.socket); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("socket stays after the stop: %v", err)
	}
}

func TestSecondAgentLeavesTheFirstAlone(t *testing.T) {
	w := serve(t, localtest.New(), local.Options{})
	err := local.New(localtest.New(), local.Options{Socket: w.socket}).Run(t.Context())
	if !errors.Is(err, local.ErrInUse) {
		t.Fatalf("got %v, want ErrInUse", err)
	}
	if _, err := w.agent.Status(patient(t), &localpb.StatusRequest{}); err != nil {
		t.Errorf("the first agent no longer answers: %v", err)
	}
}

func TestStaleSocketIsReplaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "agent.sock")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false) // as a killed agent leaves it
	l.Close()
	w := serve(t, localtest.New(), local.Options{Socket: path})
	if _, err := w.agent.Status(patient(t), &localpb.StatusRequest{}); err != nil {
		t.Error(err)
	}
}

func TestSocketRefusals(t *testing.T) {
	open := t.TempDir()
	if err := os.Chmod(open, 0o777); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "agent.sock")
	if err := os.WriteFile(file, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct{ name, socket, want string }{
		{"folder writable by everybody", filepath.Join(open, "agent.sock"), "writable by everybody"},
		{"a file is in the way", file, "not a socket"},
		{"folder cannot be made", filepath.Join(file, "sub", "agent.sock"), "make folder"},
		{"path too long for a socket", filepath.Join(t.TempDir(), strings.Repeat("x", 120)), "listen on agent socket"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := local.New(localtest.New(), local.Options{Socket: tt.socket}).Run(t.Context())
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
	if text, err := os.ReadFile(file); err != nil || string(text) != "mine" {
		t.Errorf("the file in the way is now %q, %v", text, err)
	}
}

func TestPanicIsLoggedAndTheAgentLivesOn(t *testing.T) {
	fake := localtest.New()
	fake.Panic = true
	var logged bytes.Buffer
	w := serve(t, fake, local.Options{Log: hclog.New(&hclog.LoggerOptions{Output: &logged})})
	_, err := w.agent.Doctor(patient(t), &localpb.DoctorRequest{})
	if status.Code(err) != codes.Internal || strings.Contains(err.Error(), "ill") {
		t.Errorf("got %v", err)
	}
	if _, err := w.agent.Status(patient(t), &localpb.StatusRequest{}); err != nil {
		t.Errorf("after the panic: %v", err)
	}
	if err := w.stop(); err != nil { // from here on nobody writes the log
		t.Fatal(err)
	}
	for _, want := range []string{"panic in handler", "the doctor is ill", "fake.go"} {
		if !strings.Contains(logged.String(), want) {
			t.Errorf("log lacks %q:\n%s", want, &logged)
		}
	}
}

// streamPanic is a backend whose streams panic.
type streamPanic struct{ *localtest.Fake }

func (streamPanic) Watch(context.Context, int, func(local.Event) error) error { panic("watch is ill") }

func TestPanicInStream(t *testing.T) {
	w := serve(t, streamPanic{localtest.New()}, local.Options{})
	s, err := w.agent.Watch(patient(t), &localpb.WatchRequest{})
	if err == nil {
		_, err = s.Recv()
	}
	if status.Code(err) != codes.Internal {
		t.Errorf("got %v", err)
	}
}

func TestHealthAndReflection(t *testing.T) {
	w := serve(t, localtest.New(), local.Options{})
	h, err := healthpb.NewHealthClient(w.conn).Check(patient(t),
		&healthpb.HealthCheckRequest{Service: "salve.local.v1.Agent"})
	if err != nil || h.GetStatus() != healthpb.HealthCheckResponse_SERVING {
		t.Errorf("health %v, %v", h, err)
	}
	s, err := reflectionpb.NewServerReflectionClient(w.conn).ServerReflectionInfo(patient(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Send(&reflectionpb.ServerReflectionRequest{
		MessageRequest: &reflectionpb.ServerReflectionRequest_ListServices{},
	}); err != nil {
		t.Fatal(err)
	}
	r, err := s.Recv()
	if err != nil || !strings.Contains(r.String(), "salve.local.v1.Agent") {
		t.Errorf("reflection %v, %v", r, err)
	}
}

func TestStopLeavesNothingBehind(t *testing.T) {
	before := goleak.IgnoreCurrent()
	w := serve(t, localtest.New(), local.Options{Metrics: "127.0.0.1:0"})
	if _, err := w.agent.Status(patient(t), &localpb.StatusRequest{}); err != nil {
		t.Fatal(err)
	}
	w.conn.Close()
	if err := w.stop(); err != nil {
		t.Fatal(err)
	}
	goleak.VerifyNone(t, before)
}
