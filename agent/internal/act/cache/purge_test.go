package cache_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/salveops/salve/agent/agenttest"
	"github.com/salveops/salve/agent/internal/act/acttest"
	"github.com/salveops/salve/agent/internal/act/kind"
	"github.com/salveops/salve/pkg/config"
	"github.com/salveops/salve/pkg/incident"
)

// newSite is a runner with a server that forgets by HTTP.
func newSite(t *testing.T, base string, paths ...string) *rig {
	t.Helper()
	g := on(t, &config.Cache{Name: "site", Purge: base, Method: "PURGE", Host: "example.org", Paths: paths})
	g.args.Prefix, g.args.Rate = "/old/", 1000
	return g
}

// Of a real Varnish exactly the pages go that are declared and meant.
func TestVarnish(t *testing.T) {
	v := agenttest.Varnish(t)
	g := newSite(t, "http://"+v.Address, "/old/1", "/old/2?a=b", "/new/1")
	all := []string{"/old/1", "/old/2?a=b", "/old/3", "/new/1", "/new/2"}
	// anew fetches all pages, and says which Varnish did not have any more.
	anew := func() (fetched []string) {
		t.Helper()
		for _, path := range all {
			was := v.Fetched.Load()
			g.must(v.Ask("example.org", path))
			if v.Fetched.Load() > was {
				fetched = append(fetched, path)
			}
		}
		return fetched
	}
	expect := func(when string, want ...string) {
		t.Helper()
		if got := anew(); !slices.Equal(got, want) {
			t.Errorf("%s: forgotten are %v, want %v", when, got, want)
		}
	}
	expect("at first", all...)
	expect("once more")
	p, err := g.Runner.Prepare(t.Context(), g.request())
	g.must(err)
	want := []string{"PURGE http://" + v.Address + "/old/1", "PURGE http://" + v.Address + "/old/2?a=b"}
	if !slices.Equal(p.Detail, want) || !p.Shared || !p.Disruptive {
		t.Errorf("plan %+v", p)
	}
	expect("a plan")
	a := g.Must(g.request())
	expect("those with the prefix", "/old/1", "/old/2?a=b")
	if text := string(a.After); !strings.Contains(text, `"count":2`) || !strings.Contains(text, `"removed":2`) {
		t.Errorf("evidence %s", text)
	}
	g.args.Prefix, g.args.All, g.args.Most = "", true, 1
	g.Must(g.request())
	expect("one at most", "/old/1")
	g.args.Most = 1000
	g.Must(g.request())
	expect("all that are declared", "/old/1", "/old/2?a=b", "/new/1")
	g.cache.Method, g.cache.Paths = "BAN", []string{"/old/[13]$"}
	g.Must(g.request())
	expect("a ban", "/old/1", "/old/3")

	g.cache.Host = "elsewhere.org"
	if a, err := g.Run(g.request()); err != nil || !strings.Contains(a.Error, "after 0 keys were removed: BAN /old/[13]$ is refused: \"405") {
		t.Errorf("who may not: %q, %v", a.Error, err)
	}
	g.args.AtOnce = true
	g.Refused(g.request(), "pages go one by one", false)
	g.args.AtOnce, g.args.All, g.args.Prefix = false, false, "/other"
	g.Refused(g.request(), "no path that cache site declares", false)
	g.args.Prefix = "/"
	g.cache.Paths = nil // empty-means-all
	g.Refused(g.request(), "no path that cache site declares", false)
	expect("what is refused")
	g.cache.Paths = []string{"/old/1"}
	v.Stop()
	g.Refused(g.request(), "cannot be known now", true)
}

// server remembers what it was asked.
type server struct {
	*httptest.Server
	mu    sync.Mutex
	asked []string
}

// was gives what it was asked so far.
func (s *server) was() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.asked)
}

func serve(t *testing.T, answer http.HandlerFunc) *server {
	t.Helper()
	s := &server{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.asked = append(s.asked, fmt.Sprint(r.Method, " ", r.Host, r.URL))
		s.mu.Unlock()
		answer(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

// A page that is in no cache is gone; whatever else is no success ends the run, and nothing is asked twice or elsewhere.
func TestAnswers(t *testing.T) {
	cut := func(http.ResponseWriter) { panic(http.ErrAbortHandler) }
	status := func(code int) func(http.ResponseWriter) {
		return func(w http.ResponseWriter) {
			w.Header().Set("Location", "/new/1")
			w.WriteHeader(code)
		}
	}
	for _, tt := range []struct {
		name   string
		answer func(http.ResponseWriter)
		fails  string // "": it does not
		phase  incident.Phase
	}{
		{"done", status(204), "", incident.Acted},
		{"not there", status(404), "", incident.Acted},
		{"not there, as nginx says it", status(412), "", incident.Acted},
		{"elsewhere", status(302), "302", incident.Acted},
		{"not allowed", status(403), "403", incident.Acted},
		{"overloaded", status(503), "503", incident.Acted},
		{"cut", cut, "EOF", incident.Unknown},
	} {
		s := serve(t, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/old/2" {
				tt.answer(w)
			}
		})
		g := newSite(t, s.URL, "/old/1", "/old/2", "/old/3", "/new/1")
		a, err := g.Run(g.request())
		if err != nil || !strings.Contains(a.Error, tt.fails) || (a.Error == "") != (tt.fails == "") || a.Phase != tt.phase {
			t.Errorf("%s: %s, %q, %v", tt.name, a.Phase, a.Error, err)
		}
		want := []string{"PURGE example.org/old/1", "PURGE example.org/old/2"}
		if tt.fails == "" {
			want = append(want, "PURGE example.org/old/3")
		}
		if !slices.Equal(s.was(), want) {
			t.Errorf("%s: it was asked %v", tt.name, s.was())
		}
	}
}

// cold-cache: what stands behind gets no more to do than the rate allows.
func TestColdCacheByPurge(t *testing.T) {
	s := serve(t, func(http.ResponseWriter, *http.Request) {})
	g := newSite(t, s.URL, "/old/1", "/old/2", "/old/3")
	g.args.Rate = 20
	began := time.Now()
	g.Must(g.request())
	if took := time.Since(began); took < 100*time.Millisecond {
		t.Errorf("three pages at 20 a second took %s", took)
	}
}

// A server that hangs is asked for nothing more, and nobody knows what became of it: also not after the agent has died.
func TestPurgeHangs(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	over := make(chan struct{})
	s := serve(t, func(http.ResponseWriter, *http.Request) {
		cancel()
		<-over
	})
	defer close(over)
	g := newSite(t, s.URL, "/old/1", "/old/2")
	step, a := acttest.Stage(t, g.kind, g.request())
	g.settles(a, "before", incident.Unknown)
	if len(s.was()) > 0 {
		t.Errorf("it was asked %v before", s.was())
	}
	if err := g.kind.Act(ctx, step); !errors.Is(err, kind.ErrLost) || !errors.Is(err, context.Canceled) || len(s.was()) != 1 {
		t.Errorf("%v, asked %v", err, s.was())
	}
}
