package dump_test

import (
	"net"
	"net/http"
	_ "net/http/pprof"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

const serviceEnv = "DUMP_TEST_SERVICE"

func TestMain(m *testing.M) {
	if file := os.Getenv(serviceEnv); file != "" {
		service(file)
	}
	goleak.VerifyTestMain(m)
}

// service is a service in Go, which writes its address into the file. It shows its stacks, and pages that go wrong.
func service(file string) {
	filler := strings.Repeat("x", 64<<10)
	http.HandleFunc("/private", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, filler, http.StatusUnauthorized) })
	http.HandleFunc("/elsewhere", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/debug/pprof/", http.StatusFound) })
	http.HandleFunc("/silent", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	http.HandleFunc("/stuck", func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write([]byte(filler))
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
	http.HandleFunc("/endless", func(w http.ResponseWriter, _ *http.Request) {
		for err := error(nil); err == nil; {
			_, err = w.Write([]byte(filler))
		}
	})
	http.HandleFunc("/gone", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "1000000")
		_, _ = w.Write([]byte(filler))
		panic(http.ErrAbortHandler)
	})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err == nil {
		err = os.WriteFile(file+".new", []byte(l.Addr().String()), 0o644)
	}
	if err == nil {
		err = os.Rename(file+".new", file)
	}
	if err == nil {
		err = (&http.Server{ReadHeaderTimeout: time.Minute}).Serve(l)
	}
	panic(err)
}
