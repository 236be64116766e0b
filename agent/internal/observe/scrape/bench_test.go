package scrape

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/salveops/salve/pkg/clock"
)

// large is a page of 5,000 series of 50 names, three of which the golden signals are made of.
func large() []byte {
	var b bytes.Buffer
	names := []string{"http_requests_total", "queue_depth"}
	for i := len(names); i < 48; i++ {
		names = append(names, fmt.Sprintf("app_figure_%d_total", i))
	}
	for n, name := range names {
		fmt.Fprintf(&b, "# HELP %s How many there were.\n# TYPE %s counter\n", name, name)
		for i := range 100 {
			fmt.Fprintf(&b, "%s{code=\"%d\",method=\"GET\",path=\"/api/v1/item/%d\"} %d\n", name, 200+i%5, i, 1000*i+n)
		}
	}
	for i := range 200 {
		le := []string{"0.1", "0.5", "1", "+Inf"}[i%4]
		fmt.Fprintf(&b, "http_request_duration_seconds_bucket{path=\"/api/v1/item/%d\",le=\"%s\"} %d\n", i/4, le, i)
	}
	return b.Bytes()
}

// BenchmarkPage reads a page of 5,000 series from a server in this process, which the figure includes,
// and makes four figures of 400 of them.
func BenchmarkPage(b *testing.B) {
	page := large()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4")
		_, _ = w.Write(page)
	}))
	defer server.Close()
	p := newPage(Target{URL: server.URL, Every: time.Second, Metrics: golden(b, 10*time.Second)})
	defer p.close()
	now := clock.Instant{Wall: time.Now()}
	b.ReportAllocs()
	for b.Loop() {
		now = now.Add(time.Second)
		if err := p.read(b.Context(), now); err != nil {
			b.Fatal(err)
		}
	}
	if f := p.set.Figure(3); !f.Known || f.Fault != nil || len(p.lines) != 400 {
		b.Fatalf("%+v, %d lines", f, len(p.lines))
	}
}
