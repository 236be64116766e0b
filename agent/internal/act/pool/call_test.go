package pool_test

import (
	"context"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/salveops/salve/agent/internal/act/acttest"
	"github.com/salveops/salve/agent/internal/act/kind"
	"github.com/salveops/salve/agent/internal/act/pool"
	"github.com/salveops/salve/pkg/config"
	"github.com/salveops/salve/pkg/incident"
	"github.com/salveops/salve/pkg/remedy"
)

// admin is a service with a pool of its own and a page that resets it, as strict as Jolokia: by POST, with a password, and
// only the operation that there is.
type admin struct {
	*httptest.Server
	mu      sync.Mutex
	answer  http.HandlerFunc // of who may ask; nil: it evicts
	evicted int
	asked   int
}

const operation = `{"type": "exec", "mbean": "com.zaxxer.hikari:type=Pool (db)", "operation": "softEvictConnections"}`

func (s *admin) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked++
	body, _ := io.ReadAll(q.Body)
	user, password, _ := q.BasicAuth()
	switch {
	case q.Method != http.MethodPost:
		w.WriteHeader(http.StatusMethodNotAllowed)
	case user != "salve" || password != "hush-hush":
		http.Error(w, password, http.StatusUnauthorized)
	case q.Header.Get("Content-Type") != "application/json":
		w.WriteHeader(http.StatusUnsupportedMediaType)
	case s.answer != nil:
		s.answer(w, q)
	case string(body) != operation: // with 200, as Jolokia does
		_, _ = io.WriteString(w, `{"error_type": "java.lang.IllegalArgumentException", "status": 404}`)
	default:
		s.evicted++
		_, _ = io.WriteString(w, `{"value": null, "timestamp": 1, "status": 200, "done": true, "how": "softly"}`)
	}
}

// answers makes it answer so from now on, and forgets what it was asked.
func (s *admin) answers(answer http.HandlerFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answer, s.asked = answer, 0
}

// was is how often it was asked, and has evicted connections.
func (s *admin) was() (asked, evicted int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked, s.evicted
}

type callRig struct {
	*rig
	server *admin
	pool   *config.Pool
}

func newCallRig(t *testing.T) *callRig {
	t.Helper()
	s := &admin{}
	s.Server = httptest.NewUnstartedServer(s)
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.Start()
	t.Cleanup(s.Close)
	file := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte("hush-hush\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	j := acttest.OpenJournal(t, t.TempDir())
	p := &config.Pool{Name: "db", HTTP: s.URL, Reset: &config.Reset{Call: config.Call{URL: s.URL + "/jolokia", Method: "POST",
		Type: "application/json", Body: operation, User: "salve", SecretFile: file}}}
	return &callRig{&rig{Runner: newRunner(t, j), journal: j, t: t, service: &config.Service{Pools: []*config.Pool{p}}}, s, p}
}

func (g *callRig) request() kind.Request {
	return g.with(&remedy.PoolArgs{Pool: "db", Mode: remedy.CallReset})
}

// ends expects an attempt of that phase and error, "" being none, after so many requests.
func (g *callRig) ends(name string, phase incident.Phase, text string, asked int) {
	g.t.Helper()
	before, _ := g.server.was()
	a, err := g.do(g.request())
	after, _ := g.server.was()
	if err != nil || a.Phase != phase || (a.Error == "") != (text == "") || !strings.Contains(a.Error, text) || after-before != asked {
		g.t.Errorf("%s: %v, %s, %q after %d requests", name, err, a.Phase, a.Error, after-before)
	}
	if all := a.Error + string(a.Before) + string(a.After) + string(a.Undo); strings.Contains(all, "hush") || len(a.Undo) > 0 || a.For != 0 {
		g.t.Errorf("%s: the record has %s", name, all)
	}
}

// TestCall: the service is asked once, and says itself that it has done it.
func TestCall(t *testing.T) {
	t.Parallel()
	g := newCallRig(t)
	p, err := g.Prepare(t.Context(), g.request())
	if err != nil || !strings.HasSuffix(p.Text, "reset pool db: POST "+g.server.URL+"/jolokia") || !p.Disruptive {
		t.Fatalf("%+v, %v", p, err)
	}
	if asked, _ := g.server.was(); asked > 0 {
		t.Errorf("for the plan it was asked %d times", asked)
	}
	g.ends("done", incident.Acted, "", 1)
	g.pool.Reset.Expect = map[string]string{"status": "200", "done": "true", "how": "softly"}
	g.ends("done, in words", incident.Acted, "", 1)
	if _, evicted := g.server.was(); evicted != 2 {
		t.Errorf("evicted %d times", evicted)
	}
	plain := *g.pool.Reset
	g.pool.Reset.Body = strings.Replace(operation, "soft", "hard", 1)
	g.ends("another operation", incident.Acted, "does not say that it is done: done: there is no done", 1)
	g.pool.Reset.Expect = map[string]string{"status": "200"}
	g.ends("another operation", incident.Acted, `status is not "200"`, 1)
	for name, c := range map[string]func(*config.Reset){
		"405": func(r *config.Reset) { r.Method = "DELETE" },
		"401": func(r *config.Reset) { r.User = "another" },
		"415": func(r *config.Reset) { r.Type = "text/plain" },
	} {
		one := plain
		g.pool.Reset = &one
		one.Repeatable = true
		c(&one)
		g.ends(name, incident.Acted, "nothing was done: "+one.Method+" "+g.server.URL+"/jolokia: the server says "+name, 1)
	}
	one := plain
	g.pool.Reset = &one
	one.SecretFile += "!"
	g.ends("no password", incident.Acted, "nothing was done", 0)
	if _, evicted := g.server.was(); evicted != 2 {
		t.Errorf("evicted %d times", evicted)
	}
}

// TestCallAnswers: what an answer means, and that only what is declared repeatable is asked again.
func TestCallAnswers(t *testing.T) {
	t.Parallel()
	g := newCallRig(t)
	status := func(code int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "/jolokia")
			w.WriteHeader(code)
		}
	}
	cut := func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }
	half := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		_, _ = io.WriteString(w, "{")
	}
	echo := func(w http.ResponseWriter, _ *http.Request) {
		c, _, err := w.(http.Hijacker).Hijack()
		if err == nil {
			_, _ = io.WriteString(c, "HTTP/1.1 403 hush-hush\r\nX: hush-hush\r\nContent-Length: 9\r\n\r\nhush-hush")
			_ = c.Close()
		}
	}
	expect := map[string]string{"status": "200"}
	for _, c := range []struct {
		name   string
		answer http.HandlerFunc
		reset  config.Reset
		phase  incident.Phase
		text   string
		asked  int
	}{
		{"no content", status(204), config.Reset{}, incident.Acted, "", 1},
		{"elsewhere", status(307), config.Reset{}, incident.Acted, "nothing was done", 1},
		{"elsewhere is well", status(303), config.Reset{Status: []int{303}}, incident.Acted, "", 1},
		{"what was sent", echo, config.Reset{}, incident.Acted, "403 Forbidden", 1},
		{"later", status(202), config.Reset{Status: []int{200, 303}}, incident.Acted, "202 Accepted, which is not what it says", 1},
		{"overloaded", status(503), config.Reset{}, incident.Unknown, "503 Service Unavailable, and whether it did anything is not known", 1},
		{"cut", cut, config.Reset{}, incident.Unknown, "the connection was lost", 1},
		{"half an answer", half, config.Reset{}, incident.Acted, "", 1},
		{"half a document", half, config.Reset{Expect: expect}, incident.Unknown, "200 OK: the answer broke off, and whether", 1},
		{"no document", status(200), config.Reset{Expect: expect}, incident.Unknown, "200 OK: read JSON", 1},
		{"again and again", cut, config.Reset{Repeatable: true}, incident.Unknown, "the connection was lost", 3},
		{"refused, again", status(429), config.Reset{Repeatable: true}, incident.Acted, "nothing was done", 1},
	} {
		g.server.answers(c.answer)
		c.reset.Call = g.pool.Reset.Call
		g.pool.Reset = &c.reset
		g.ends(c.name, c.phase, c.text, c.asked)
	}
	first := true
	g.server.answers(func(http.ResponseWriter, *http.Request) {
		if first {
			first = false
			panic(http.ErrAbortHandler)
		}
	})
	g.pool.Reset.Repeatable = true
	g.ends("once more", incident.Acted, "", 2)
}

// TestCallIsRefused: nothing named is nothing, and who does not listen is asked nothing.
func TestCallIsRefused(t *testing.T) {
	t.Parallel()
	g := newCallRig(t)
	refused := func(want string) {
		t.Helper()
		_, err := g.Prepare(t.Context(), g.request())
		var refusal *kind.Refusal
		if !errors.As(err, &refusal) || !strings.Contains(refusal.Reason, want) {
			t.Errorf("%v, want a refusal because %q", err, want)
		}
	}
	reset := g.pool.Reset
	g.pool.Reset = nil
	refused("has no reset block")
	g.pool.Reset, g.pool.HTTP, g.pool.Postgres = reset, "", "127.0.0.1:5432"
	refused("has no mode")
	g.pool.HTTP, g.pool.Postgres = g.server.URL, ""
	k := pool.New(&kind.Host{})
	s, _ := acttest.Stage(t, k, g.request())
	g.server.Close()
	refused("cannot be known now")
	if err := k.Act(t.Context(), s); err == nil || errors.Is(err, kind.ErrLost) {
		t.Errorf("when nobody listens any more: %v", err)
	}
	if asked, _ := g.server.was(); asked > 0 {
		t.Errorf("it was asked %d times", asked)
	}
}

// TestCallDies: nobody can tell whether a request arrived, and it is not sent again.
func TestCallDies(t *testing.T) {
	t.Parallel()
	g := newCallRig(t)
	k := pool.New(&kind.Host{})
	s, a := acttest.Stage(t, k, g.request())
	for _, when := range []string{"before", "during", "after"} {
		switch when {
		case "during":
			ctx, cancel := context.WithCancel(t.Context())
			g.server.answers(func(_ http.ResponseWriter, q *http.Request) {
				cancel()
				<-q.Context().Done()
			})
			if err := k.Act(ctx, s); !errors.Is(err, kind.ErrLost) {
				t.Errorf("%s: %v", when, err)
			}
		case "after":
			g.server.answers(nil)
			if err := k.Act(t.Context(), s); err != nil {
				t.Error(err)
			}
		}
		asked, _ := g.server.was()
		one := *a
		one.ID += when
		if err := g.journal.PutAttempt(&one); err != nil {
			t.Fatal(err)
		}
		settled := newRunner(t, g.journal).Settle(t.Context())
		if again, _ := g.server.was(); len(settled) != 1 || settled[0].Phase != incident.Unknown || again != asked {
			t.Errorf("%s: %+v, asked %d more times", when, settled, again-asked)
		}
		var refusal *kind.Refusal
		if _, err := g.Undo(t.Context(), one.ID); !errors.As(err, &refusal) {
			t.Errorf("%s: taken back: %v", when, err)
		}
	}
}
