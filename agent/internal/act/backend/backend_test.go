package backend_test

import (
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/salveops/salve/agent/agenttest"
	"github.com/salveops/salve/agent/internal/act/backend"
)

// An order that waits in a HAProxy that hung is carried out beside the question that waits with it, before it or after: no
// server is left drained because the question came first.
func TestLateOrder(t *testing.T) {
	t.Parallel()
	const rounds = 40
	var servers strings.Builder
	for i := range rounds {
		fmt.Fprintf(&servers, " server s%d 127.0.0.1:1\n", i)
	}
	b := agenttest.HAProxy(t, servers.String())
	for i := range rounds {
		at := backend.Server{Socket: b.Stats, Backend: "web", Name: fmt.Sprintf("s%d", i)}
		if err := b.Freeze(); err != nil {
			t.Fatal(err)
		}
		conn, err := net.Dial("unix", b.Stats)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintln(conn, "set server "+at.String()+" state drain")
		conn.Close() // its answer is lost
		done := make(chan error, 1)
		go func() { done <- at.Restore(t.Context(), backend.ForcedDrain) }()
		if err := b.Thaw(); err != nil {
			t.Fatal(err)
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	all, err := backend.Server{Socket: b.Stats, Backend: "web"}.Look(t.Context())
	if err != nil || len(all) != rounds {
		t.Fatalf("%+v, %v", all, err)
	}
	for _, s := range all {
		if s.Admin != 0 {
			t.Errorf("%s is left drained", s.Name)
		}
	}
}
