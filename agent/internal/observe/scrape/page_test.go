package scrape

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/salveops/salve/agent/internal/observe/source"
	"github.com/salveops/salve/pkg/clock"
	"github.com/salveops/salve/pkg/metric"
	"github.com/salveops/salve/pkg/signal"
)

func sel(t testing.TB, text string) metric.Selector {
	t.Helper()
	s, err := metric.ParseSelector(text)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// golden are the golden signals of a service that counts its requests as most do.
func golden(t testing.TB, window time.Duration) []source.Metric {
	return []source.Metric{
		{Name: "error_rate",
			Definition: metric.Definition{Kind: metric.Ratio, Of: sel(t, "http_requests_total{code=~'5..'}"),
				All: sel(t, "http_requests_total"), Window: window, Dim: signal.Ratio}},
		{Name: "traffic",
			Definition: metric.Definition{Kind: metric.Rate, Of: sel(t, "http_requests_total"), Window: window,
				Dim: signal.PerSecond}},
		{Name: "p90",
			Definition: metric.Definition{Kind: metric.Quantile, Share: 0.9, Of: sel(t, "http_request_duration_seconds"),
				Window: window, Dim: signal.Seconds}},
		{Name: "queue",
			Definition: metric.Definition{Kind: metric.Gauge, Of: sel(t, "queue_depth"), Fold: metric.Sum, Dim: signal.Count}},
	}
}

// reader reads a page once for each second of a clock of its own.
type reader struct {
	t testing.TB
	*page
	now clock.Instant
}

func newReader(t testing.TB, url string) *reader {
	p := newPage(Target{URL: url, Every: time.Second, Metrics: golden(t, 3*time.Second)})
	t.Cleanup(p.close)
	return &reader{t, p, clock.Instant{Boot: time.Hour, Wall: time.Now()}}
}

func (r *reader) next() error {
	r.now = r.now.Add(time.Second)
	ctx, cancel := context.WithTimeout(r.t.Context(), 10*time.Second)
	defer cancel()
	return r.read(ctx, r.now)
}

// figures are those of the page that was read last: a number, "unknown", or what is at fault.
func (r *reader) figures() []string {
	out := make([]string, 4)
	for i := range out {
		f := r.figure(i)
		switch out[i] = "unknown"; {
		case f.Fault != nil:
			out[i] = f.Fault.Error()
		case f.Known:
			out[i] = fmt.Sprintf("%.3g", f.Value)
		}
	}
	return out
}

func (r *reader) want(figures ...string) {
	r.t.Helper()
	if err := r.next(); err != nil {
		r.t.Fatal(err)
	}
	if got := r.figures(); strings.Join(got, ", ") != strings.Join(figures, ", ") {
		r.t.Errorf("figures %q, want %q", got, figures)
	}
}

// shop is a service with the metrics of Prometheus' own library.
type shop struct {
	requests *prometheus.CounterVec
	latency  *prometheus.HistogramVec
	queue    *prometheus.GaugeVec
	handler  http.Handler
}

func newShop(open bool) *shop {
	r := prometheus.NewRegistry()
	s := &shop{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "http_requests_total"}, []string{"code"}),
		latency: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "http_request_duration_seconds", Buckets: []float64{0.1, 0.5, 1}}, []string{"path"}),
		queue: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "queue_depth"}, []string{"queue"}),
	}
	r.MustRegister(s.requests, s.latency, s.queue)
	s.handler = promhttp.HandlerFor(r, promhttp.HandlerOpts{EnableOpenMetrics: open})
	return s
}

// serves lets so many requests pass, with exemplars.
func (s *shop) serves(code string, n int, latency float64) {
	for range n {
		trace := prometheus.Labels{"trace_id": "a}b\""}
		s.requests.WithLabelValues(code).(prometheus.ExemplarAdder).AddWithExemplar(1, trace)
		s.latency.WithLabelValues("/").(prometheus.ExemplarObserver).ObserveWithExemplar(latency, trace)
	}
}

func TestGoldenSignals(t *testing.T) {
	for name, kind := range map[string]string{"text": "", "OpenMetrics": "application/openmetrics-text"} {
		t.Run(name, func(t *testing.T) {
			s := newShop(kind != "")
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if kind != "" {
					r.Header.Set("Accept", kind+";version=1.0.0")
				}
				s.handler.ServeHTTP(w, r)
			}))
			defer server.Close()
			s.serves("200", 1000, 0.05)
			s.queue.WithLabelValues("mail").Set(3)
			s.queue.WithLabelValues("fax").Set(4)
			r := newReader(t, server.URL)
			r.want("unknown", "unknown", "unknown", "7")
			s.serves("200", 9, 0.05)
			r.want("unknown", "unknown", "unknown", "7")
			r.want("0", "4.5", "0.09", "7")
			s.serves("503", 3, 0.7) // the first ever
			r.want("0.25", "4", "0.8", "7")
			*s = *newShop(kind != "") // another process
			s.serves("200", 6, 2)
			s.queue.WithLabelValues("mail").Set(0)
			r.want("0.333", "3", "1", "0")
		})
	}
}

func TestConnectionIsKept(t *testing.T) {
	var mu sync.Mutex
	opened := 0
	s := newShop(false)
	server := httptest.NewUnstartedServer(s.handler)
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		mu.Lock()
		defer mu.Unlock()
		if state == http.StateNew {
			opened++
		}
	}
	server.Start()
	defer server.Close()
	r := newReader(t, server.URL)
	for range 5 {
		if err := r.next(); err != nil {
			t.Fatal(err)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	if opened != 1 {
		t.Errorf("%d connections for five pages", opened)
	}
}

// flood writes a text until nobody reads any more.
func flood(w io.Writer, text string) {
	for {
		if _, err := io.WriteString(w, text); err != nil {
			return
		}
	}
}

func TestPagesThatCannotBeRead(t *testing.T) {
	for _, c := range []struct {
		name  string
		serve http.HandlerFunc
		want  string
	}{
		{"status", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }, "status 503"},
		{"moved", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/other", http.StatusFound) }, "status 302"},
		{"HTML", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html><body>hello") },
			"the page is text/html; charset=utf-8, and not text/plain"},
		{"HTML that says it is text", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/plain")
			_, _ = io.WriteString(w, "<html>\n")
		}, "read page: line 1: neither a comment nor the name of a metric"},
		{"compressed", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = io.WriteString(w, "\x1f\x8b")
		}, "the page is compressed (gzip)"},
		{"endless", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/plain")
			flood(w, strings.Repeat("some_other_metric 1\n", 1000))
		}, "read page: the page is longer than 16 MiB"},
		{"a line without an end", func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "queue_depth{queue=\"")
			flood(w, strings.Repeat("x", 1000))
		}, "read page: line 1: the line is longer than 16 KiB"},
		{"endless head", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X", strings.Repeat("x", 2*maxHeader))
		}, "ask: "},
		{"cut short", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/plain")
			w.Header().Set("Content-Length", "1000")
			_, _ = io.WriteString(w, "queue_depth 12")
		}, "read page: unexpected EOF"},
		{"OpenMetrics cut short", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/openmetrics-text; version=1.0.0")
			_, _ = io.WriteString(w, "queue_depth 12\n")
		}, "read page: the page ends before its last line"},
		{"broken text", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/plain")
			_, _ = io.WriteString(w, "queue_depth{queue=\"\xff\"} 12\n")
		}, "read page: queue_depth{queue=\"\xff\"}: the value of the label queue is not UTF-8"},
		{"no number", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "queue_depth many\n") },
			`read page: line 1: "many" is not the value of a sample`},
		{"exploding labels", func(w http.ResponseWriter, _ *http.Request) {
			for i := range 50_000 {
				_, _ = fmt.Fprintf(w, "queue_depth{queue=\"%d\"} 1\n", i)
			}
		}, "read page: queue_depth: more than 10000 series match"},
		{"a bucket without a bound", func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "http_request_duration_seconds_bucket 1\n")
		}, "read page: http_request_duration_seconds_bucket: the bucket has no label le"},
	} {
		t.Run(c.name, func(t *testing.T) {
			server := httptest.NewServer(c.serve)
			defer server.Close()
			r := newReader(t, server.URL)
			err := r.next()
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %s", err, c.want)
			}
			if got := strings.Join(r.figures(), " "); got != "unknown unknown unknown unknown" {
				t.Errorf("figures: %s", got)
			}
		})
	}
}

func TestExplodingLabelsThatDoNotMatch(t *testing.T) {
	var b strings.Builder
	for i := range maxLines + 1 {
		fmt.Fprintf(&b, "queue_depth{queue=\"%d\"} 1\n", i)
	}
	r := newReader(t, texts(t, b.String()))
	r.page.close()
	metrics := golden(t, time.Second)[3:]
	metrics[0].Of = sel(t, "queue_depth{queue='1'}")
	r.page = newPage(Target{URL: r.target.URL, Every: time.Second, Metrics: metrics})
	defer r.page.close()
	if err := r.next(); err == nil || !strings.Contains(err.Error(), "more than 20000 samples are of the names") {
		t.Errorf("error %v", err)
	}
}

func TestSlowPage(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "queue_depth 12\n")
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	}))
	defer server.Close()
	r := newReader(t, server.URL)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := r.read(ctx, r.now); err == nil || !strings.Contains(err.Error(), "deadline exceeded") {
		t.Errorf("error %v", err)
	}
	if got := r.figures()[3]; got != "unknown" {
		t.Errorf("the figure of a page that did not come to its end: %s", got)
	}
}

// texts is a server that shows one page after another.
func texts(t testing.TB, pages ...string) string {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, pages[0])
		pages = pages[min(1, len(pages)-1):]
	}))
	t.Cleanup(server.Close)
	return server.URL
}

func TestOldSamplesDoNotCount(t *testing.T) {
	now := time.Now()
	old, young := now.Add(-2*late).UnixMilli(), now.UnixMilli()
	r := newReader(t, texts(t, fmt.Sprintf("queue_depth{queue=\"a\"} 3 %d\nqueue_depth{queue=\"b\"} 4 %d\n", old, young),
		fmt.Sprintf("queue_depth 3 %d\n", old)))
	if err := r.next(); err != nil || r.figures()[3] != "4" || r.old != 1 {
		t.Errorf("%v, %q, %d old", err, r.figures(), r.old)
	}
	if err := r.next(); err != nil || r.figures()[3] != "no series matches queue_depth" || r.old != 1 {
		t.Errorf("%v, %q, %d old", err, r.figures(), r.old)
	}
}

// A page that breaks off changes nothing, and the next one counts as if it had not been.
func TestPageBreaksOff(t *testing.T) {
	r := newReader(t, texts(t, "queue_depth 1\n", "queue_depth 2\nqueue_depth many\n", "queue_depth 3\n"))
	for _, want := range []string{"1", "unknown", "3"} {
		if err := r.next(); (err != nil) != (want == "unknown") || r.figures()[3] != want {
			t.Errorf("%q, want %s; error %v", r.figures(), want, err)
		}
	}
}

// Only lines that are there are remembered, and only of names that some metric wants.
func TestMemoryIsBounded(t *testing.T) {
	r := newReader(t, texts(t, "queue_depth{queue=\"a\"} 1\nother{queue=\"a\"} 1\n", "queue_depth{queue=\"b\"} 1\n"))
	for range 2 {
		if err := r.next(); err != nil {
			t.Fatal(err)
		}
		if len(r.lines) != 1 {
			t.Errorf("%d lines are remembered", len(r.lines))
		}
	}
	if r.lines[`queue_depth{queue="b"}`] == nil {
		t.Error("the line that is there is not remembered")
	}
}

// A page with more series than there may be says so, and costs the pages after it nothing.
func TestPageThatWasTooLarge(t *testing.T) {
	large := func(from, n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, "queue_depth{queue=\"%d\"} 1\n", from+i)
		}
		return b.String()
	}
	r := newReader(t, texts(t, large(0, 10_001), large(20_000, 3)))
	if err := r.next(); err == nil || !strings.Contains(err.Error(), "more than 10000 series match") {
		t.Errorf("of too many series: %v", err)
	}
	if err := r.next(); err != nil || r.figures()[3] != "3" {
		t.Errorf("the page after it: %v, %q", err, r.figures())
	}
}

// Lines that are gone make room for those that come, also where nearly every line is another one.
func TestEveryLineChanges(t *testing.T) {
	lines := func(round string) string {
		var b strings.Builder
		for i := range maxLines - 1 {
			fmt.Fprintf(&b, "queue_depth{queue=\"%s%d\"} 1\n", round, i)
		}
		return b.String() + "queue_depth{queue=\"here\"} 7\n"
	}
	p := newPage(Target{URL: texts(t, lines("a"), lines("b")), Every: time.Second, Metrics: []source.Metric{{Name: "depth",
		Definition: metric.Definition{Kind: metric.Gauge, Of: sel(t, `queue_depth{queue="here"}`), Dim: signal.Count}}}})
	defer p.close()
	for i := range 2 {
		err := p.read(t.Context(), clock.Instant{Boot: time.Duration(i+1) * time.Second, Wall: time.Now()})
		if f := p.set.Figure(0); err != nil || f.Value != 7 || len(p.lines) != maxLines {
			t.Errorf("page %d: %v, %+v, %d lines", i+1, err, f, len(p.lines))
		}
	}
}
