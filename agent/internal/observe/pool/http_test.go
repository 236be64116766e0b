package pool

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/salveops/salve/agent/internal/observe/source/sourcetest"
	"github.com/salveops/salve/pkg/jsonpath"
)

var documentFields = map[string]string{
	"active": "pool.busy", "size": "pool.size", "waiting": "queue.0", "max_wait_ms": "oldest",
}

const poolDocument = `{"pool": {"busy": 3, "size": 4}, "queue": [2], "oldest": 1500}`

func TestDocument(t *testing.T) {
	var conns, status atomic.Int32
	status.Store(http.StatusOK)
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Location", "/elsewhere")
		if r.URL.Path != "/elsewhere" { // where all would be well
			w.WriteHeader(int(status.Load()))
		}
		if r.Header.Get("Accept") != "application/json" {
			t.Errorf("asked with %v", r.Header)
		}
		_, _ = io.WriteString(w, poolDocument)
	}))
	s.Config.ConnState = func(_ net.Conn, st http.ConnState) {
		if st == http.StateNew {
			conns.Add(1)
		}
	}
	s.Start()
	defer s.Close()
	w := watch(t, Target{
		Service: "shop", Name: "workers", HTTP: s.URL, Fields: documentFields, Every: 20 * time.Millisecond,
		Signals: []string{"active", "max_wait", "used_ratio", "waiting"},
	})
	want := sourcetest.Round{
		"pool.workers.active{shop}": 3, "pool.workers.waiting{shop}": 2, "pool.workers.used_ratio{shop}": .75,
		"pool.workers.max_wait{shop}": 1.5,
	}
	for range 3 {
		w.Until("the figures of the document", func(r sourcetest.Round) bool { return cmp.Equal(want, r) })
	}
	if n := conns.Load(); n != 1 {
		t.Errorf("%d connections", n)
	}
	for _, code := range []int32{http.StatusFound, http.StatusInternalServerError} {
		status.Store(code)
		w.Until("unknown", func(r sourcetest.Round) bool { return len(r) == 0 })
		status.Store(http.StatusOK)
		w.Until("known again", func(r sourcetest.Round) bool { return len(r) == 4 })
	}
}

func TestFindFigures(t *testing.T) {
	paths := map[string]jsonpath.Path{}
	for name, text := range map[string]string{"active": "a", "used_ratio": "u"} {
		p, err := jsonpath.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		paths[name] = p
	}
	for text, want := range map[string]string{
		`{"a": 1, "u": 0.5}`: "", `{"a": 1, "u": 1.5}`: "a share", `{"a": -1, "u": 0}`: "read active: a is negative",
		`{"a": 1}`: "read used_ratio: u: there is no u", `{"a": "1", "u": 0}`: "a text",
	} {
		doc, err := jsonpath.Decode([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		r, err := findFigures(doc, paths)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, %v; want %q", text, r, err, want)
		}
	}
	broken := newOrigin(Target{HTTP: "http://x/", Fields: map[string]string{"active": "a["}})
	if _, err := broken.ask(t.Context()); err == nil {
		t.Error("a path that is none is taken")
	}
}

func FuzzDocument(f *testing.F) {
	d, err := newTold("http://x/", documentFields)
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte(poolDocument))
	f.Add([]byte(`{"pool": {"busy": 1e308, "size": 1e-308}, "queue": [0], "oldest": 0}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		doc, err := jsonpath.Decode(raw)
		if err != nil {
			return
		}
		r, err := findFigures(doc, d.paths)
		for name, v := range r {
			if err != nil || !(v >= 0) || name == "used_ratio" && v > 1 {
				t.Errorf("%s is %v, %v", name, v, err)
			}
		}
	})
}
