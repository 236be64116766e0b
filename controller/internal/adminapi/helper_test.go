package adminapi_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/salveops/salve/controller/internal/adminapi/admintest"
	"github.com/salveops/salve/controller/internal/adminapi/reason"
	"github.com/salveops/salve/controller/internal/state"
	"github.com/salveops/salve/pkg/transport"
	"github.com/salveops/salve/proto/adminpb"
)

// rig is a world with a client of its API.
type rig struct {
	adminpb.AdminClient
	*admintest.Server
	t    *testing.T
	ctx  context.Context
	conn *grpc.ClientConn
}

func newRig(t *testing.T) *rig {
	t.Helper()
	w, err := admintest.NewWorld()
	if err != nil {
		t.Fatal(err)
	}
	s, err := admintest.Serve(w)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Stop)
	lines, err := transport.New(transport.Options{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	conn, err := lines.Client(ctx, s.Address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return &rig{adminpb.NewAdminClient(conn), s, t, ctx, conn}
}

// index is that of the last entry.
func (r *rig) index() (n uint64) {
	r.View(func(s *state.State) { n = s.Index() })
	return n
}

// wants checks how a call failed: its code, its reason, and words of its text.
func wants(t *testing.T, err error, code codes.Code, why, text string) {
	t.Helper()
	got, _ := reason.Of(err)
	if status.Code(err) != code || got != why || !strings.Contains(status.Convert(err).Message(), text) {
		t.Errorf("got %v (reason %q), want %s, reason %q, %q in it", err, got, code, why, text)
	}
}

// must stops the test at an error.
func must[R any](t *testing.T) func(R, error) R {
	return func(r R, err error) R {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
}
