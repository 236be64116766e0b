package main

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func newServer(t *testing.T, o Options) *Server {
	t.Helper()
	o.Listen = "127.0.0.1:0"
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func ask(s *Server, method, path string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, httptest.NewRequest(method, path, nil))
	return w
}

func wantStatus(t *testing.T, s *Server, method, path string, want int) {
	t.Helper()
	if w := ask(s, method, path); w.Code != want {
		t.Errorf("%s %s answers %d, want %d: %s", method, path, w.Code, want, w.Body)
	}
}

func TestEveryAnswerNamesTheProcess(t *testing.T) {
	s := newServer(t, Options{})
	for _, path := range []string{"/healthz", "/work", "/errors", "/counters", "/nothing"} {
		if got := ask(s, "GET", path).Header().Get(PIDHeader); got != strconv.Itoa(os.Getpid()) {
			t.Errorf("%s says it is process %q", path, got)
		}
	}
}

// /errors answers 503 while too little was done, 200 while little fails, and 500 when much does.
func TestErrorsPage(t *testing.T) {
	s := newServer(t, Options{})
	wantStatus(t, s, "GET", "/errors", http.StatusServiceUnavailable)
	for range minEvents {
		wantStatus(t, s, "GET", "/work", http.StatusOK)
	}
	wantStatus(t, s, "GET", "/errors", http.StatusOK)
	wantStatus(t, s, "POST", "/fault/errors?ratio=1", http.StatusOK)
	for range 5 {
		wantStatus(t, s, "GET", "/work", http.StatusInternalServerError)
	}
	wantStatus(t, s, "GET", "/errors", http.StatusInternalServerError)
	wantStatus(t, s, "GET", "/healthz", http.StatusOK)
}

// Customers' requests are counted by status and by how long they took, and no fault reaches the page that says so.
func TestMetrics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, Options{})
		wantStatus(t, s, "GET", "/work", http.StatusOK)
		wantStatus(t, s, "GET", "/healthz", http.StatusOK) // no work
		wantStatus(t, s, "POST", "/fault/errors?ratio=1", http.StatusOK)
		wantStatus(t, s, "POST", "/fault/slow?delay=3s", http.StatusOK)
		wantStatus(t, s, "GET", "/work", http.StatusInternalServerError)
		start := time.Now()
		page := ask(s, "GET", "/metrics").Body.String()
		if took := time.Since(start); took != 0 {
			t.Errorf("the page of a slow service came after %v", took)
		}
		for _, line := range []string{
			`http_requests_total{code="200"} 1`, `http_requests_total{code="500"} 1`,
			`http_request_duration_seconds_bucket{le="2.5"} 1`, `http_request_duration_seconds_bucket{le="5"} 2`,
		} {
			if !strings.Contains(page, line+"\n") {
				t.Errorf("no %s in\n%s", line, page)
			}
		}
	})
}

func TestRecentForgets(t *testing.T) {
	r := &recent{}
	then := time.Unix(1000, 0)
	for range window + 10 {
		r.add(then, true)
	}
	if share, n := r.ratio(then); share != 1 || n != window {
		t.Errorf("%v of %d failed, want all of %d", share, n, window)
	}
	if _, n := r.ratio(then.Add(horizon + time.Nanosecond)); n != 0 {
		t.Errorf("%d old requests still count", n)
	}
}

func TestHangAndNone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, Options{})
		wantStatus(t, s, "POST", "/fault/hang", http.StatusOK)
		answered := make(chan int, 1)
		go func() { answered <- ask(s, "GET", "/healthz").Code }()
		synctest.Wait()
		if len(answered) > 0 {
			t.Fatal("a hung service answered")
		}
		wantStatus(t, s, "POST", "/fault/none", http.StatusOK)
		if code := <-answered; code != http.StatusOK {
			t.Errorf("after the hang it answers %d", code)
		}
	})
}

func TestSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, Options{})
		wantStatus(t, s, "POST", "/fault/slow?delay=300ms", http.StatusOK)
		start := time.Now()
		wantStatus(t, s, "GET", "/healthz", http.StatusOK)
		if took := time.Since(start); took != 300*time.Millisecond {
			t.Errorf("a slow service answered after %v", took)
		}
	})
}

func TestLeakIsBounded(t *testing.T) {
	s := newServer(t, Options{})
	wantStatus(t, s, "POST", "/fault/leak?mib=3", http.StatusOK)
	if got := s.faults.leaked(); got != 3<<20 {
		t.Errorf("it took %d bytes, want 3 MiB", got)
	}
	s.faults.taken.Store(maxLeak)
	wantStatus(t, s, "POST", "/fault/leak?mib=64", http.StatusOK)
	if got := s.faults.leaked(); got != maxLeak {
		t.Errorf("it took %d bytes, more than it ever may", got)
	}
}

func TestBadFaults(t *testing.T) {
	s := newServer(t, Options{})
	for _, path := range []string{
		"/fault/nothing", "/fault/leak?mib=-1", "/fault/leak?rate=x", "/fault/errors?ratio=NaN", "/fault/slow?delay=soon",
	} {
		wantStatus(t, s, "POST", path, http.StatusBadRequest)
	}
	wantStatus(t, s, "GET", "/healthz", http.StatusOK)
}

// A corrupt cache survives a restart and is gone with the file.
func TestCache(t *testing.T) {
	path := filepath.Join(t.TempDir(), "cache")
	o := Options{Cache: path}
	wantStatus(t, newServer(t, o), "GET", "/work", http.StatusOK)
	if err := os.WriteFile(path, []byte("00000000\nrubbish\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for range 2 { // two processes
		wantStatus(t, newServer(t, o), "GET", "/work", http.StatusInternalServerError)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	wantStatus(t, newServer(t, o), "GET", "/work", http.StatusOK)
}

func TestCheckConfig(t *testing.T) {
	for name, tc := range map[string]struct {
		text string
		line int // of the mistake; 0: none
	}{
		"empty":          {"", 0},
		"good":           {"# hello\n\ngreeting = hi\n", 0},
		"unknown key":    {"greeting = hi\ngreting = oops\n", 2},
		"no assignment":  {"greeting", 1},
		"only an equals": {"\n=\n", 2},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "conf")
			if err := os.WriteFile(path, []byte(tc.text), 0o644); err != nil {
				t.Fatal(err)
			}
			var bad *ConfigError
			switch err := checkConfig(path); {
			case tc.line == 0 && err != nil:
				t.Error(err)
			case tc.line > 0 && (!errors.As(err, &bad) || bad.Line != tc.line):
				t.Errorf("error is %v, want one in line %d", err, tc.line)
			}
		})
	}
	if err := checkConfig(filepath.Join(t.TempDir(), "missing")); err != nil {
		t.Errorf("a missing file is an error: %v", err)
	}
}

func TestRun(t *testing.T) {
	dir := t.TempDir()
	socket, pidfile := filepath.Join(dir, "s"), filepath.Join(dir, "pid")
	s, err := New(Options{Listen: "unix:" + socket, PIDFile: pidfile})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	cancel()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	src, err := os.ReadFile(pidfile)
	if err != nil || strings.TrimSpace(string(src)) != strconv.Itoa(os.Getpid()) {
		t.Errorf("pid file holds %q, %v", src, err)
	}
}

func TestNewRefuses(t *testing.T) {
	if _, err := New(Options{}); err == nil {
		t.Error("a service without an address was made")
	}
}
