package scrape

import (
	"bytes"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	dto "github.com/prometheus/client_model/go"
	"google.golang.org/protobuf/encoding/protodelim"
	"google.golang.org/protobuf/encoding/prototext"

	"github.com/salveops/salve/pkg/exposition"
)

// histogramPage is a page of histograms of latency, each written as text of its message Metric.
func histogramPage(t testing.TB, metrics ...string) []byte {
	t.Helper()
	f := &dto.MetricFamily{}
	text := bytes.NewBufferString(`name: "http_request_duration_seconds" `)
	for _, m := range metrics {
		_, _ = fmt.Fprintf(text, "metric {%s} ", m)
	}
	if err := prototext.Unmarshal(text.Bytes(), f); err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if _, err := protodelim.MarshalTo(&b, f); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// nativeText is a histogram in which all events but those about zero are in one bucket.
func nativeText(label string, schema, index, events int, more string) string {
	return fmt.Sprintf(`label { name: "path" value: %q } histogram { sample_count: %d schema: %d
		positive_span { offset: %d length: 1 } positive_delta: %d %s }`, label, events, schema, index, events, more)
}

// nativePage is a page of which the 0.9 quantile of the latency is made.
func nativePage(t testing.TB) *page {
	return newPage(Target{Native: true, Exemplars: true, Every: time.Second, Metrics: golden(t, 2*time.Second)[2:3]})
}

// step reads a page as of that second; what cannot be read is told as the error.
func (p *page) step(second int, body []byte, f exposition.Format) string {
	p.parser.Reset(bytes.NewReader(body), f)
	if err := p.take(0); err != nil {
		p.set.Undo()
		return err.Error()
	}
	p.end(time.Duration(second) * time.Second)
	switch f := p.figure(0); {
	case f.Fault != nil:
		return f.Fault.Error()
	case f.Known:
		return fmt.Sprintf("%.3g", f.Value)
	case f.Idle:
		return "idle"
	}
	return "unknown"
}

// Buckets of schema 2 lie between the quarters of powers of two, as the steps do: the 0.9 quantile of the i-th is 0.9 of the
// way to 2^(i/4).
func TestNativeHistograms(t *testing.T) {
	name := "http_request_duration_seconds"
	hist := func(schema, index, events int) []byte {
		return histogramPage(t, nativeText("/", schema, index, events, ""))
	}
	zero := func(events int, threshold float64) []byte {
		return histogramPage(t, fmt.Sprintf(`histogram { zero_threshold: %g zero_count: %d }`, threshold, events))
	}
	classic := func(path string, events int) string {
		return fmt.Sprintf(`label { name: "path" value: %q } histogram { sample_count: %d
			bucket { cumulative_count: %d upper_bound: 0.1 } }`, path, events, events)
	}
	two := func(a, b string) []byte { return histogramPage(t, a, b) }
	below := nativeText("/", 2, 4, 1, `negative_span { length: 1 } negative_delta: 1`)
	for _, c := range []struct {
		name  string
		pages [][]byte
		want  []string
	}{
		{"grows", [][]byte{hist(2, 4, 1000), hist(2, 4, 1000), hist(2, 4, 1010), hist(2, 4, 1020)},
			[]string{"unknown", "idle", "1.97", "1.97"}},
		{"moves", [][]byte{hist(2, 4, 1000), two(nativeText("/", 2, 4, 1000, ""), nativeText("/new", 2, 8, 10, ""))},
			[]string{"unknown", "3.94"}},
		{"is finer than the steps", [][]byte{hist(8, 256, 10), hist(8, 256, 20)}, []string{"unknown", "1.97"}},
		{"is as fine, and then less", [][]byte{hist(3, 8, 1000), hist(2, 4, 1010)}, []string{"unknown", "1.97"}},
		{"is coarser", [][]byte{hist(0, 1, 10), hist(0, 1, 20)}, []string{"unknown", "1.87"}},
		{"becomes coarser", [][]byte{hist(2, 4, 1000), hist(0, 1, 1010), hist(0, 1, 1020)}, []string{"unknown", "idle", "1.87"}},
		{"begins again", [][]byte{hist(2, 4, 1000), hist(2, 8, 7)}, []string{"unknown", "3.94"}},
		{"is about zero", [][]byte{zero(5, 1e-100), zero(9, 1e-100)}, []string{"unknown", "8.58e-07"}},
		{"is about a wide zero", [][]byte{zero(5, 1), zero(105, 1)}, []string{"unknown", "0.9"}},
		{"is about a zero that becomes wider", [][]byte{zero(5, 1), zero(105, 1.05), zero(205, 1.05)}, []string{"unknown", "idle", "0.945"}},
		{"is about a tiny zero that becomes wider", [][]byte{zero(5, 1e-100), zero(9, 1e-90)}, []string{"unknown", "8.58e-07"}},
		{"is above all steps", [][]byte{hist(-4, 1000, 1), hist(-4, 1000, 2)}, []string{"unknown", "1.1e+12"}},
		{"is away", [][]byte{hist(2, 4, 10), histogramPage(t), hist(2, 4, 20), hist(2, 4, 20)},
			[]string{"unknown", "no series matches " + name + "_bucket", "1.97", "idle"}},
		{"is away for long", [][]byte{hist(2, 4, 10), nil, hist(2, 4, 20), hist(2, 4, 21)},
			[]string{"unknown", "no series matches " + name + "_bucket", "unknown", "1.97"}},
		{"has events below zero", [][]byte{histogramPage(t, below)}, []string{name + `{path="/"}: it has events below zero, of which no quantile is made`}},
		{"is there twice", [][]byte{two(nativeText("/", 2, 4, 1, ""), nativeText("/", 2, 4, 1, ""))}, []string{name + `{path="/"} is there twice`}},
		{"stands beside a classic one", [][]byte{two(classic("/a", 3), nativeText("/", 2, 4, 1, ""))},
			[]string{"histograms with native buckets match, and such without; match one kind"}},
		{"has both kinds of buckets", [][]byte{histogramPage(t, nativeText("/", 2, 4, 1, "bucket { upper_bound: 9 }")),
			histogramPage(t, nativeText("/", 2, 4, 9, "bucket { cumulative_count: 8 upper_bound: 9 }"))}, []string{"unknown", "1.97"}},
		{"is classic", [][]byte{histogramPage(t, classic("/", 1)), histogramPage(t, classic("/", 9))}, []string{"unknown", "0.09"}},
		{"breaks off", [][]byte{hist(2, 4, 10), hist(2, 8, 50)[:20], hist(2, 4, 20)},
			[]string{"unknown", `read page: `, "1.97"}},
	} {
		p := nativePage(t)
		second := 0
		for i, body := range c.pages {
			second++
			if body == nil { // for long
				second += int(forget/time.Second) + 1
			}
			got := p.step(second, body, exposition.Protobuf)
			if c.want[i] == "read page: " && strings.Contains(got, "ends in the middle") && !p.figure(0).Known {
				continue
			}
			if got != c.want[i] {
				t.Errorf("%s: page %d: %s, want %s", c.name, i+1, got, c.want[i])
			}
		}
	}
}

// What a page in text did not tell was there before it all the same.
func TestNativeAfterText(t *testing.T) {
	p := nativePage(t)
	p.step(1, []byte("up 1\n"), exposition.Text)
	for i, want := range []string{"unknown", "1.97"} {
		second := 2 + i
		if got := p.step(second, histogramPage(t, nativeText("/", 2, 4, 10*second, "")), exposition.Protobuf); got != want {
			t.Errorf("second %d: %s, want %s", second, got, want)
		}
	}
}

// How much one grew while it was away for long, nobody knows, and it is not counted among the others.
func TestNativeAwayAmongOthers(t *testing.T) {
	p, second := nativePage(t), 0
	step := func(metrics ...string) string {
		second++
		return p.step(second, histogramPage(t, append(metrics, nativeText("/other", 2, 4, 10, ""))...), exposition.Protobuf)
	}
	step(nativeText("/", 2, 8, 10, ""))
	for range int(forget/time.Second) + 1 {
		step()
	}
	for i, want := range []string{"idle", "3.94"} {
		if got := step(nativeText("/", 2, 8, 20+i, "")); got != want {
			t.Errorf("page %d: %s, want %s", i, got, want)
		}
	}
}

// A page is asked for in the only format that has what is wanted of it, and read in that in which it comes.
func TestNativeIsAskedFor(t *testing.T) {
	for _, c := range []struct {
		native, exemplars bool
		want              string
	}{
		{false, false, "text/plain;version=0.0.4;q=1.0, application/openmetrics-text;version=1.0.0;q=0.7"},
		{false, true, "application/openmetrics-text;version=1.0.0;q=1.0, text/plain;version=0.0.4;q=0.7"},
		{true, true, "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=1.0, " +
			"application/openmetrics-text;version=1.0.0;q=0.7, text/plain;version=0.0.4;q=0.4"},
	} {
		if got := accept(Target{Native: c.native, Exemplars: c.exemplars}); got != c.want {
			t.Errorf("%+v: %s", c, got)
		}
	}
	for kind, want := range map[string]bool{
		"application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited": true,
		"application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=text":      false,
		"application/vnd.google.protobuf; proto=other; encoding=delimited":                             false,
	} {
		for _, native := range []bool{true, false} {
			_, err := formatOf(&http.Response{StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {kind}}}, native)
			if (err == nil) != (want && native) {
				t.Errorf("%s where native is %t: %v", kind, native, err)
			}
		}
	}
}

// A program that tells native histograms is understood by all of its metrics; where it comes to tell text, by those
// that text has.
func TestNativeOfAProgram(t *testing.T) {
	s := newShop(false)
	registry := prometheus.NewRegistry()
	latency := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "http_request_duration_seconds",
		NativeHistogramBucketFactor: 1.1}, []string{"path"})
	registry.MustRegister(s.requests, s.queue, latency)
	text := false
	handler := promhttp.HandlerFor(registry, promhttp.HandlerOpts{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if text {
			r.Header.Set("Accept", "text/plain")
		}
		handler.ServeHTTP(w, r)
	}))
	defer server.Close()
	serves := func(code string, n int, seconds float64) {
		for range n {
			s.requests.WithLabelValues(code).Inc()
			latency.WithLabelValues("/").(prometheus.ExemplarObserver).ObserveWithExemplar(seconds, prometheus.Labels{"trace_id": "4bf9"})
		}
	}
	s.queue.WithLabelValues("mail").Set(7)
	serves("200", 1000, 0.05)
	r := newReader(t, server.URL)
	r.target.Native, r.target.Exemplars = true, true
	r.page.begin()
	r.want("unknown", "unknown", "unknown", "7")
	serves("200", 9, 0.5)
	r.want("unknown", "unknown", "unknown", "7")
	r.want("0", "4.5", "0.492", "7")
	serves("503", 3, 0.5)
	r.want("0.25", "4", "0.492", "7")
	if links := r.links.kept[2]; len(links) != 1 || links[0].Labels != "trace_id=4bf9" || links[0].Value != "500 ms" {
		t.Errorf("exemplars %+v", links)
	}
	text = true
	r.want("1", "1", "http_request_duration_seconds needs a bucket with a bound and one for all, le=\"+Inf\"", "7")
	text = false
	serves("200", 5, 2)
	r.want("0.375", "2.67", "1.95", "7")
}

// What is kept of native histograms is bounded, and a page with too many costs those after it nothing.
func TestNativeIsBounded(t *testing.T) {
	many := func(path string, n int) []byte {
		all := make([]string, n)
		for i := range all {
			all[i] = nativeText(fmt.Sprint(path, i), 2, 4, 10, "")
		}
		return histogramPage(t, all...)
	}
	p := nativePage(t)
	if got := p.step(1, many("a", maxHistograms+1), exposition.Protobuf); !strings.Contains(got, "more than 1000 native histograms match") {
		t.Error(got)
	}
	p.step(2, many("b", 3), exposition.Protobuf)
	if got := p.step(3, many("b", maxHistograms), exposition.Protobuf); got != "1.97" || len(p.natives.all) != maxHistograms {
		t.Errorf("%s, of %d", got, len(p.natives.all))
	}
	p.step(4+int(forget/time.Second), many("c", 0), exposition.Protobuf)
	if got := p.step(1000, many("c", maxHistograms), exposition.Protobuf); got != "unknown" || p.natives.kept != maxHistograms {
		t.Errorf("%s, %d kept: those before are forgotten", got, p.natives.kept)
	}

	p.target.Metrics[0].Of = sel(t, "http_request_duration_seconds{path='a1'}")
	p.begin()
	for i, label := range []string{"a", "b"} { // together more than there may be
		if got := p.step(2000+i, many(label, maxLines/2+1), exposition.Protobuf); strings.Contains(got, "more than") {
			t.Errorf("page %d: %s", i, got)
		}
	}
	if got := p.step(2003, many("d", maxLines+1), exposition.Protobuf); !strings.Contains(got, "are of the names that metrics are made of") {
		t.Error(got)
	}
}

// FuzzNative: whatever several pages in a row hold, reading them ends, what is known is a number, and no more is kept
// than may be.
func FuzzNative(f *testing.F) {
	pages := [][]byte{histogramPage(f, nativeText("/", 2, 4, 10, "")),
		histogramPage(f, nativeText("/", 0, 1, 30, "zero_threshold: 1 zero_count: 3"), nativeText("/b", 8, 1, 3, ""))}
	f.Add(bytes.Join(pages, []byte("\x00\x00\x00")))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, second := nativePage(t), 0
		for body := range bytes.SplitSeq(b, []byte("\x00\x00\x00")) {
			second++
			p.step(second, body, exposition.Protobuf)
			if v := p.figure(0); v.Known && (v.Fault != nil || math.IsNaN(v.Value) || math.IsInf(v.Value, 0)) {
				t.Errorf("%+v", v)
			}
			if p.natives.kept > maxHistograms {
				t.Errorf("%d are kept", p.natives.kept)
			}
		}
	})
}
