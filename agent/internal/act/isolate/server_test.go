package isolate_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/salveops/salve/agent/agenttest"
	"github.com/salveops/salve/agent/internal/act/acttest"
	"github.com/salveops/salve/agent/internal/act/backend"
	"github.com/salveops/salve/agent/internal/act/kind"
	"github.com/salveops/salve/pkg/config"
	"github.com/salveops/salve/pkg/incident"
)

// balanced is a rig whose circuit is server a of a real HAProxy, beside b; c is down.
type balanced struct {
	*rig
	*agenttest.Balancer
	at backend.Server
}

func newBalanced(t *testing.T) balanced {
	t.Helper()
	g := balanced{rig: newRig(t)}
	a, b := httptest.NewServer(http.NotFoundHandler()), httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(func() { a.Close(); b.Close() })
	g.Balancer = agenttest.HAProxy(t, " server a "+a.Listener.Addr().String()+"\n server b "+b.Listener.Addr().String()+
		"\n server c 127.0.0.1:1 check inter 50ms fall 1")
	g.at = backend.Server{Socket: g.Stats, Backend: "web", Name: "a"}
	g.circuit = &config.Circuit{Name: "payments", HAProxy: g.Stats, Backend: "web", Server: "a", State: "maint"}
	agenttest.Eventually(t, func() bool { return !g.servers()[2].Running }, "c is down")
	return g
}

func (g balanced) servers() backend.States {
	g.t.Helper()
	all, err := g.at.Look(g.t.Context())
	if err != nil || len(all) != 3 {
		g.t.Fatalf("%+v, %v", all, err)
	}
	return all
}

func (g balanced) put(name, state string) {
	g.t.Helper()
	s := g.at
	s.Name = name
	if err := s.Put(g.t.Context(), state); err != nil {
		g.t.Fatal(err)
	}
}

func TestServerOut(t *testing.T) {
	g := newBalanced(t)
	before := g.servers()
	for state, bit := range map[string]int{"maint": backend.ForcedMaint, "drain": backend.ForcedDrain} {
		g.circuit.State = state
		a := g.must(g.request())
		now := g.servers()
		if now[0].Admin != bit || !cmp.Equal(now[1:], before[1:]) || a.For != g.length {
			t.Errorf("%s: %+v, %+v", state, now, a)
		}
		g.refused(g.request(), "in maintenance or drained already")
		for range 2 {
			if _, err := g.Undo(t.Context(), a.ID); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(before, g.servers()); diff != "" {
				t.Errorf("%s is not as before: %s", state, diff)
			}
		}
	}
}

// TestLastServerStays: nothing takes out the last one, two at once neither.
func TestLastServerStays(t *testing.T) {
	g := newBalanced(t)
	one, _ := acttest.Stage(t, g.kind, g.request())
	g.circuit.Server = "b"
	other, _ := acttest.Stage(t, g.kind, g.request())
	if err := g.kind.Act(t.Context(), one); err != nil {
		t.Fatal(err)
	}
	if err := g.kind.Act(t.Context(), other); err == nil || !strings.Contains(err.Error(), "no other server") || other.Undo != nil || other.For != 0 {
		t.Errorf("the last server: %v, with %v to be taken back", err, other.Undo)
	}
	if now := g.servers(); now[0].Admin != backend.ForcedMaint || !now[1].Up() {
		t.Errorf("%+v", now)
	}
	g.refused(g.request(), "is the last one")
	g.circuit.Server = "c"
	g.refused(g.request(), "is down")
	g.circuit.Server = "d"
	g.refused(g.request(), `has no server "d"`)
	g.circuit.Server = ""
	g.refused(g.request(), "names nothing to cut off")
}

// TestRefusedByHAProxy: what was not done is not taken back, least of all from a person who does it later.
func TestRefusedByHAProxy(t *testing.T) {
	g := newBalanced(t)
	another := agenttest.HAProxy(t, " server z 127.0.0.1:1")
	link := filepath.Join(t.TempDir(), "stats")
	if err := os.Symlink(g.Stats, link); err != nil {
		t.Fatal(err)
	}
	g.circuit.HAProxy = link
	s, _ := acttest.Stage(t, g.kind, g.request())
	if err := errors.Join(os.Remove(link), os.Symlink(another.Stats, link)); err != nil {
		t.Fatal(err)
	}
	if err := g.kind.Act(t.Context(), s); err == nil || errors.Is(err, kind.ErrLost) || s.Undo != nil || s.For != 0 {
		t.Errorf("by a HAProxy without that server: %v, with %v to be taken back", err, s.Undo)
	}
}

// TestHAProxyHangs: what one was told that hung it may do later, and it is taken back then.
func TestHAProxyHangs(t *testing.T) {
	g := newBalanced(t)
	before := g.servers()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	g.circuit.HAProxy = acttest.Tap(t, g.Stats, "state maint", func() {
		if err := g.Freeze(); err != nil {
			t.Error(err)
		}
		cancel()
	})
	s, a := acttest.Stage(t, g.kind, g.request())
	if err := g.kind.Act(ctx, s); !errors.Is(err, kind.ErrLost) || s.Undo == nil || s.For != g.length {
		t.Errorf("by one that hangs: %v, %+v", err, s)
	}
	var refusal *kind.Refusal
	if err := g.kind.Undo(ctx, a); err == nil || errors.As(err, &refusal) {
		t.Errorf("nobody would try again: %v", err)
	}
	if err := g.Thaw(); err != nil {
		t.Fatal(err)
	}
	agenttest.Eventually(t, func() bool { return g.servers()[0].Admin == backend.ForcedMaint }, "it does what it was told")
	if err := g.kind.Undo(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, g.servers()); diff != "" {
		t.Errorf("HAProxy is not as before: %s", diff)
	}
}

// TestServerOfAPerson: what a person made of it meanwhile stands.
func TestServerOfAPerson(t *testing.T) {
	g := newBalanced(t)
	a := g.must(g.request())
	g.put("a", "drain")
	if _, err := g.Undo(t.Context(), a.ID); err != nil {
		t.Fatal(err)
	}
	if now := g.servers(); now[0].Admin != backend.ForcedDrain {
		t.Errorf("%+v", now)
	}
}

func TestServerOutlivesTheAgent(t *testing.T) {
	g := newBalanced(t)
	s, a := acttest.Stage(t, g.kind, g.request())
	if phase, why := g.kind.Settle(t.Context(), a); phase != incident.NotDone {
		t.Errorf("before it ran: %s, %s", phase, why)
	}
	g.outlives(incident.Acted)
	if now := g.servers(); !now[0].Up() {
		t.Errorf("%+v", now)
	}
	g.Stop()
	if err := g.kind.Act(t.Context(), s); !errors.Is(err, kind.ErrLost) {
		t.Errorf("without HAProxy: %v", err)
	}
	if phase, why := g.kind.Settle(t.Context(), a); phase != incident.Unknown {
		t.Errorf("without HAProxy: %s, %s", phase, why)
	}
	if err := g.kind.Undo(t.Context(), a); err == nil {
		t.Error("taken back without HAProxy")
	}
	g.refused(g.request(), "cannot be known now")
}
