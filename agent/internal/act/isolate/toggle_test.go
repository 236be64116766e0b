package isolate_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/salveops/salve/agent/internal/act/acttest"
	"github.com/salveops/salve/agent/internal/act/kind"
	"github.com/salveops/salve/pkg/config"
	"github.com/salveops/salve/pkg/incident"
)

// told is a service that can do without the dependency.
type told struct {
	*rig
	server *httptest.Server
	hang   chan struct{}
	gaveUp func()      // called when it hangs
	deaf   atomic.Bool // it fails, whatever it is told

	mu    sync.Mutex
	asked []string
}

func newTold(t *testing.T) *told {
	t.Helper()
	g := &told{rig: newRig(t), hang: make(chan struct{})}
	g.server = httptest.NewServer(g)
	t.Cleanup(func() { close(g.hang); g.server.Close() })
	g.circuit = &config.Circuit{Name: "payments", On: g.server.URL + "/on", Off: g.server.URL + "/off"}
	return g
}

func (g *told) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	g.mu.Lock()
	g.asked = append(g.asked, strings.Join([]string{q.Method, q.URL.Path, q.Header.Get("Salve-For")}, " "))
	g.mu.Unlock()
	if g.deaf.Load() {
		http.Error(w, "not now", http.StatusServiceUnavailable)
		return
	}
	switch q.URL.Path {
	case "/hang":
		g.gaveUp()
		<-g.hang
	case "/moved":
		http.Redirect(w, q, "/on", http.StatusTemporaryRedirect)
	case "/login":
		http.Error(w, "who are you?", http.StatusUnauthorized)
	case "/forbidden":
		http.Error(w, "not you", http.StatusForbidden)
	case "/broken":
		http.Error(w, "no", http.StatusInternalServerError)
	}
}

func (g *told) want(asked ...string) {
	g.t.Helper()
	g.mu.Lock()
	defer g.mu.Unlock()
	if got, want := strings.Join(g.asked, ", "), strings.Join(asked, ", "); got != want {
		g.t.Errorf("the service was asked %q, want %q", got, want)
	}
	g.asked = nil
}

func TestToggle(t *testing.T) {
	g := newTold(t)
	if _, err := g.Prepare(t.Context(), g.request()); err != nil {
		t.Fatal(err)
	}
	g.want()
	a := g.must(g.request())
	g.want("POST /on 60")
	if !g.refused(g.request(), "told to do without payments already").Needless {
		t.Error("a service that was told already is no needless attempt")
	}
	g.want()
	own := *g.circuit
	g.circuit.On, g.circuit.Off = own.On+"?of=another", own.Off+"?of=another" // a service may have a circuit of the same name
	if _, err := g.Prepare(t.Context(), g.request()); err != nil {
		t.Error(err)
	}
	*g.circuit = own
	for range 2 {
		if _, err := g.Undo(t.Context(), a.ID); err != nil {
			t.Fatal(err)
		}
	}
	g.want("POST /off ")
	g.outlives(incident.Unknown)
	g.want("POST /on 60", "POST /off ")
}

// TestToggleFails: a service that says no has done nothing, and is not told to end it later; one that fails or does not answer may
// have done it.
func TestToggleFails(t *testing.T) {
	g := newTold(t)
	for path, want := range map[string]string{"/moved": "says 307", "/login": "says 401", "/forbidden": "says 403"} {
		g.circuit.On = g.server.URL + path
		a, err := g.run(g.request())
		if err != nil || a.Phase != incident.Acted || !strings.Contains(a.Error, want) || len(a.Undo) > 0 || a.For > 0 {
			t.Errorf("%s: %+v, %v", path, a, err)
		}
		g.want("POST " + path + " 60")
	}
	g.circuit.On = g.server.URL + "/broken"
	a, err := g.run(g.request())
	if err != nil || a.Phase != incident.Unknown || !strings.Contains(a.Error, "says 500") || len(a.Undo) == 0 {
		t.Errorf("broken: %+v, %v", a, err)
	}
	if _, err := g.Undo(t.Context(), a.ID); err != nil {
		t.Fatal(err)
	}
	g.want("POST /broken 60", "POST /off ")
	g.circuit.On = g.server.URL + "/hang"
	s, intent := acttest.Stage(t, g.kind, g.request())
	ctx, cancel := context.WithCancel(t.Context())
	g.gaveUp = cancel
	if err := g.kind.Act(ctx, s); !errors.Is(err, kind.ErrLost) {
		t.Errorf("without an answer: %v", err)
	}
	g.server.Listener.Close()
	g.refused(g.request(), "cannot be known now")
	if err := g.kind.Act(t.Context(), s); err == nil || errors.Is(err, kind.ErrLost) || s.Undo != nil || s.For != 0 {
		t.Errorf("when nobody listens: %v, with %v to be taken back", err, s.Undo)
	}
	if err := g.kind.Undo(t.Context(), intent); err == nil {
		t.Error("taken back when nobody listens")
	}
	g.circuit.Off = ""
	g.refused(g.request(), "names nothing to cut off")
}
