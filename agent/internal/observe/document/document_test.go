package document

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/salveops/salve/pkg/jsonpath"
)

// number reads the number at "a".
func number(t *testing.T, s *Source) (float64, error) {
	t.Helper()
	defer s.Close()
	doc, err := s.Read(t.Context())
	if err != nil {
		return 0, err
	}
	path, err := jsonpath.Parse("a")
	if err != nil {
		t.Fatal(err)
	}
	return path.Number(doc)
}

func fails(t *testing.T, s *Source, want string) {
	t.Helper()
	if v, err := number(t, s); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("%v, %v; want %q", v, err, want)
	}
}

func TestHTTP(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/moved":
			http.Redirect(w, r, "/", http.StatusFound)
		case "/ill":
			w.WriteHeader(http.StatusInternalServerError)
			_, _ = io.WriteString(w, `{"a": 1}`)
		case "/endless":
			for _, err := io.WriteString(w, "["); err == nil; {
				_, err = io.WriteString(w, strings.Repeat("1,", 1024))
			}
		case "/half":
			_, _ = io.WriteString(w, `{"a": 1`)
		case "/huge":
			_, _ = io.WriteString(w, `{"a": 1e999}`)
		default:
			_, _ = io.WriteString(w, `{"a": 1}`)
		}
	}))
	defer s.Close()
	if v, err := number(t, HTTP(s.URL+"/")); v != 1 || err != nil {
		t.Errorf("%v, %v", v, err)
	}
	fails(t, HTTP(s.URL+"/moved"), "status 302")
	fails(t, HTTP(s.URL+"/ill"), "status 500")
	fails(t, HTTP(s.URL+"/endless"), "more than 262144 bytes")
	fails(t, HTTP(s.URL+"/half"), "read JSON")
	fails(t, HTTP(s.URL+"/huge"), "too large")
	fails(t, HTTP("http://127.0.0.1:1/"), "refused")
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := HTTP(s.URL + "/").Read(ended); err == nil {
		t.Error("asked after the end")
	}
}

func TestFile(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(at(name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("state", `{"a": 1}`)
	write("empty", "")
	write("long", `"`+strings.Repeat("x", most)+`"`)
	if err := os.Symlink("state", at("link")); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(at("pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"state", "link"} {
		if v, err := number(t, File(at(name), 0)); v != 1 || err != nil {
			t.Errorf("%s: %v, %v", name, v, err)
		}
	}
	fails(t, File(at("none"), 0), "no such file")
	fails(t, File(at("empty"), 0), "read JSON")
	fails(t, File(at("long"), 0), "more than 262144 bytes")
	fails(t, File(at("pipe"), 0), "not a regular file")
	fails(t, File(dir, 0), "not a regular file")
	fails(t, File("/dev/zero", 0), "not a regular file")
}

// A file that nobody writes any more is no document. One of the future was written by another clock: nobody knows when.
func TestFileOfAnotherTime(t *testing.T) {
	name := filepath.Join(t.TempDir(), "state")
	if err := os.WriteFile(name, []byte(`{"a": 1}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for age, want := range map[time.Duration]string{
		0: "", 50 * time.Second: "", 70 * time.Second: "max_age is 1m0s", -70 * time.Second: "max_age is 1m0s",
		-50 * time.Second: "",
	} {
		at := time.Now().Add(-age)
		if err := os.Chtimes(name, at, at); err != nil {
			t.Fatal(err)
		}
		if v, err := number(t, File(name, time.Minute)); (v == 1) != (want == "") ||
			err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%v old: %v, %v; want %q", age, v, err, want)
		}
		if v, err := number(t, File(name, 0)); v != 1 || err != nil {
			t.Errorf("%v old, at any age: %v, %v", age, v, err)
		}
	}
}

// TestTokenInTheQuery: what stands in an address is not told to whoever reads errors.
func TestTokenInTheQuery(t *testing.T) {
	s := httptest.NewServer(http.NotFoundHandler())
	url := s.URL + "/?token=hush"
	s.Close() // so that nobody answers
	if _, err := number(t, HTTP(url)); err == nil || strings.Contains(err.Error(), "hush") {
		t.Errorf("the error is %v", err)
	}
}
