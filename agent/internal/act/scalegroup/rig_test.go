package scalegroup_test

import (
	"crypto/subtle"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/salveops/salve/agent/internal/act"
	"github.com/salveops/salve/agent/internal/act/acttest"
	"github.com/salveops/salve/agent/internal/act/kind"
	"github.com/salveops/salve/agent/internal/act/scalegroup"
	"github.com/salveops/salve/pkg/config"
	"github.com/salveops/salve/pkg/remedy"
)

const token = "s3cret-of-the-autoscaler"

// autoscaler is one that takes things as strictly as a real one: over TLS, by token, method and media type, with no field that
// it does not know, within bounds of its own, and only on the version that it has.
type autoscaler struct {
	*httptest.Server
	mu      sync.Mutex
	counts  map[string]int
	version int
	orders  []int  // counts that were set, in order
	tagged  string // "etag", "version", "weak", which is good for no order, or "", which takes an order on whatever version
	most    int
	token   string
	disturb func(*autoscaler, *http.Request) // before anything else, when it may change the counts
	// what becomes of an order: it is lost "before" or "after" it is carried out, or answered with "502", or never ("hang"), or
	// taken and "ignored"
	lose string
	raw  string // what a GET is answered with instead
}

type spec struct {
	Replicas *int `json:"replicas"`
}

type document struct {
	Spec    spec   `json:"spec"`
	Version string `json:"version,omitempty"`
}

func (s *autoscaler) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.disturb != nil {
		s.disturb(s, q)
	}
	name, ok := strings.CutPrefix(q.URL.Path, "/groups/")
	if _, is := s.counts[name]; !ok || !is {
		http.NotFound(w, q)
		return
	}
	given := q.Header.Get("Authorization")
	if subtle.ConstantTimeCompare([]byte(given), []byte("Bearer "+s.token)) != 1 {
		http.Error(w, "who is "+given, http.StatusUnauthorized)
		return
	}
	switch q.Method {
	case http.MethodGet:
		s.show(w, name)
	case http.MethodPut:
		s.put(w, q, name)
	default:
		w.WriteHeader(http.StatusMethodNotAllowed)
	}
}

func (s *autoscaler) show(w http.ResponseWriter, name string) {
	if s.raw != "" {
		_, _ = io.WriteString(w, s.raw)
		return
	}
	n := s.counts[name]
	w.Header().Set("Content-Type", "application/json")
	switch s.tagged {
	case "etag":
		w.Header().Set("ETag", fmt.Sprintf(`"%d"`, s.version))
	case "weak":
		w.Header().Set("ETag", fmt.Sprintf(`W/"%d"`, s.version))
	}
	_ = json.NewEncoder(w).Encode(document{spec{&n}, fmt.Sprint(s.version)})
}

func (s *autoscaler) put(w http.ResponseWriter, q *http.Request, name string) {
	var d document
	in := json.NewDecoder(q.Body)
	in.DisallowUnknownFields()
	err := in.Decode(&d)
	_, more := in.Token()
	switch {
	case q.Header.Get("Content-Type") != "application/json":
		w.WriteHeader(http.StatusUnsupportedMediaType)
	case err != nil || more != io.EOF || d.Spec.Replicas == nil:
		w.WriteHeader(http.StatusBadRequest)
	case s.tagged == "weak" && q.Header.Get("If-Match") != "":
		w.WriteHeader(http.StatusPreconditionFailed)
	case s.tagged == "etag" && q.Header.Get("If-Match") != fmt.Sprintf(`"%d"`, s.version):
		w.WriteHeader(http.StatusPreconditionFailed)
	case s.tagged == "version" && d.Version != fmt.Sprint(s.version):
		w.WriteHeader(http.StatusConflict)
	case *d.Spec.Replicas < 0 || *d.Spec.Replicas > s.most:
		w.WriteHeader(http.StatusUnprocessableEntity)
	case s.lose == "before":
		panic(http.ErrAbortHandler)
	case s.lose == "ignored":
		w.WriteHeader(http.StatusAccepted)
	default:
		s.change(name, *d.Spec.Replicas)
		s.orders = append(s.orders, *d.Spec.Replicas)
		switch s.lose {
		case "after":
			panic(http.ErrAbortHandler)
		case "502":
			w.WriteHeader(http.StatusBadGateway)
			return
		case "hang":
			s.mu.Unlock()
			<-q.Context().Done()
			s.mu.Lock()
			return
		}
		s.show(w, name)
	}
}

func (s *autoscaler) change(name string, n int) { s.counts[name], s.version = n, s.version+1 }

// with changes the autoscaler while it serves nobody.
func (s *autoscaler) with(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
}

type rig struct {
	*act.Runner
	t       *testing.T
	kind    scalegroup.Kind
	journal *acttest.Journal
	server  *autoscaler
	group   *config.Group
	args    *remedy.GroupArgs
	file    string // of the token
}

func newRig(t *testing.T) *rig {
	t.Helper()
	s := &autoscaler{counts: map[string]int{"workers": 3, "others": 5}, version: 7, most: 20, token: token}
	s.Server = httptest.NewUnstartedServer(s)
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	dir := t.TempDir()
	g := &rig{t: t, server: s, journal: acttest.OpenJournal(t, t.TempDir()), file: filepath.Join(dir, "token"),
		args: &remedy.GroupArgs{Group: "workers", Count: remedy.Count{By: 2, Min: 1, Max: 8}}}
	ca := filepath.Join(dir, "ca")
	g.must(os.WriteFile(g.file, []byte(token+"\n"), 0o600))
	g.must(os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}), 0o600))
	at := s.URL + "/groups/workers"
	g.group = &config.Group{Name: "workers", URL: at, Count: "spec.replicas", Set: config.Call{URL: at, Method: "PUT",
		Type: "application/json", Body: `{"spec": {"replicas": ${count}}}`, SecretFile: g.file, CAFile: ca}}
	g.Runner = g.runner()
	return g
}

// runner is an agent's, on the rig's journal.
func (g *rig) runner() *act.Runner {
	g.t.Helper()
	r, err := act.New(act.Options{Systemd: acttest.IdleWatcher(g.t), Journal: g.journal, Clock: acttest.Clock(g.t),
		Allow: []config.Allow{{Groups: []string{"work*"}, Actions: []string{string(remedy.ScaleGroup)}}}})
	g.must(err)
	return r
}

func (g *rig) must(err error) {
	g.t.Helper()
	if err != nil {
		g.t.Fatal(err)
	}
}

func (g *rig) request() kind.Request {
	args := *g.args
	q := acttest.Ask(remedy.ScaleGroup, "", &args)
	q.Remedy.Service = &config.Service{Groups: []*config.Group{g.group}}
	return q
}

// counts expects that of the group, and that no other was changed.
func (g *rig) counts(when string, want int, orders ...int) {
	g.t.Helper()
	g.server.with(func() {
		if diff := cmp.Diff(map[string]int{"workers": want, "others": 5}, g.server.counts); diff != "" {
			g.t.Errorf("%s: %s", when, diff)
		}
		if diff := cmp.Diff(orders, g.server.orders); diff != "" {
			g.t.Errorf("%s, what was set: %s", when, diff)
		}
		g.server.orders = nil
	})
}
