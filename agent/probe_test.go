package agent

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// Probe targets that hang, talk nonsense, talk for ever, or send the asker in circles: each of them is ill
// or well by itself, the agent stays well, and other services are healed meanwhile.
func TestHostileProbeTargets(t *testing.T) {
	t.Parallel()
	h := newWeb(t)
	asked := make(chan struct{}, 1)
	never := make(chan struct{})
	targets := map[string]string{
		"hang": serve(t, func(_ http.ResponseWriter, r *http.Request) {
			select {
			case <-r.Context().Done():
			case <-never:
			}
		}),
		"huge": serve(t, func(w http.ResponseWriter, _ *http.Request) {
			block := bytes.Repeat([]byte("x"), 1<<20)
			for range 10 {
				if _, err := w.Write(block); err != nil {
					return
				}
			}
		}),
		"circle": serve(t, func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, r.URL.Path+"x", http.StatusFound)
		}),
		"garbage": nonsense(t, asked),
	}
	t.Cleanup(func() { close(never) })
	text := web
	for name, url := range targets {
		h.install(name+".service", h.counted(name))
		text += fmt.Sprintf(`
service %q {
  startup = "100ms"
  probe "health" {
    http    = %q
    every   = "200ms"
    timeout = "200ms"
  }
}
`, name, url)
	}
	h.configure(text)
	a := h.start(nil)
	<-asked
	for name, ok := range map[string]float64{"hang": 0, "huge": 1, "circle": 0, "garbage": 0} {
		a.reads("probe.health.ok", name, ok)
	}
	h.crash("web.service")
	in := a.ended("web")
	if in.GetSummary().GetEnd() != "again healed it" {
		t.Errorf("the end is %q", in.GetSummary().GetEnd())
	}
	if s := a.status(); !s.GetHealthy() {
		t.Errorf("the agent is not well: %s", strings.Join(s.GetProblems(), "; "))
	}
}

func serve(t *testing.T, f http.HandlerFunc) string {
	s := httptest.NewServer(f)
	t.Cleanup(s.Close)
	return s.URL
}

// nonsense answers everything with bytes that are no HTTP.
func nonsense(t *testing.T, asked chan<- struct{}) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = c.Write([]byte("\x00\xff\xfe HTTP? \r\n\r\n" + strings.Repeat("\x80", 4096)))
			_ = c.Close()
			select {
			case asked <- struct{}{}:
			default:
			}
		}
	}()
	return "http://" + l.Addr().String()
}
