package scrape

import (
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/salveops/salve/agent/internal/observe/source/sourcetest"
	"github.com/salveops/salve/pkg/exposition"
)

// linked reads pages in a row, and gives what is kept after the last.
func linked(t *testing.T, wanted bool, pages ...string) (words []string) {
	p := newPage(Target{Exemplars: wanted, Every: time.Second, Metrics: golden(t, 3*time.Second)})
	for _, text := range pages {
		p.parser.Reset(strings.NewReader(text+"# EOF\n"), exposition.OpenMetrics)
		if err := p.take(0); err != nil {
			t.Fatal(err)
		}
		p.set.End(time.Duration(p.round) * time.Second)
	}
	for _, kept := range p.links.kept {
		for _, l := range kept {
			words = append(words, fmt.Sprintf("%s %s (%s, %d)", l.Metric, l.Labels, l.Value, l.At.Unix()))
		}
	}
	return words
}

func TestLinks(t *testing.T) {
	line := func(id string, at int) string {
		return fmt.Sprintf("http_requests_total{code=\"500\"} 1 # {trace_id=%q} 1 %d\n", id, at)
	}
	tests := []struct {
		name  string
		pages []string
		want  []string
	}{
		{"what an error is counted by, and what a request is", []string{line("a", 5)},
			[]string{"error_rate trace_id=a (1, 5)", "traffic trace_id=a (1, 5)"}},
		{"not what errors are a share of", []string{strings.Replace(line("a", 5), "500", "200", 1)},
			[]string{"traffic trace_id=a (1, 5)"}},
		{"of a bucket", []string{"http_request_duration_seconds_bucket{le=\"5\"} 1 # {trace_id=\"a b\",span_id=\"c\"} 4.97 5\n"},
			[]string{`p90 trace_id="a b" span_id=c (4.97 s, 5)`}},
		{"the newest four", []string{line("a", 5), line("b", 4), line("c", 7), line("d", 6), line("e", 3), line("f", 8)},
			[]string{"error_rate trace_id=a (1, 5)", "error_rate trace_id=d (1, 6)", "error_rate trace_id=c (1, 7)",
				"error_rate trace_id=f (1, 8)", "traffic trace_id=a (1, 5)", "traffic trace_id=d (1, 6)",
				"traffic trace_id=c (1, 7)", "traffic trace_id=f (1, 8)"}},
		{"each once", []string{line("a", 5), line("a", 5), line("a", 6)},
			[]string{"error_rate trace_id=a (1, 6)", "traffic trace_id=a (1, 6)"}},
		{"not without a time", []string{"http_requests_total 1 # {trace_id=\"a\"} 1\n"}, nil},
		{"not without a label", []string{"http_requests_total 1 # {} 1 5\n"}, nil},
		{"not what is too long", []string{line(strings.Repeat("x", longestLink), 5)}, nil},
		{"not of what nobody counts", []string{"other_total 1 # {trace_id=\"a\"} 1 5\n"}, nil},
	}
	for _, tt := range tests {
		if diff := cmp.Diff(tt.want, linked(t, true, tt.pages...)); diff != "" {
			t.Errorf("%s (-want +got)\n%s", tt.name, diff)
		}
	}
	if found := linked(t, false, line("a", 5)); len(found) > 0 {
		t.Errorf("nobody wants them: %v", found)
	}
}

// A program that has exemplars is asked for them only where somebody wants them.
func TestExemplarsOfAProgram(t *testing.T) {
	registry := prometheus.NewRegistry()
	h := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "http_request_duration_seconds"}, []string{"path"})
	registry.MustRegister(h)
	h.WithLabelValues("/").(prometheus.ExemplarObserver).ObserveWithExemplar(4.97, prometheus.Labels{"trace_id": "4bf9"})
	s := httptest.NewServer(promhttp.HandlerFor(registry, promhttp.HandlerOpts{EnableOpenMetrics: true}))
	defer s.Close()
	target := Target{Service: "shop", Unit: "shop@*.service", Except: []string{"shop@2.service"}, Name: "app", URL: s.URL,
		Exemplars: true, Every: 50 * time.Millisecond, Timeout: 50 * time.Millisecond, Metrics: golden(t, time.Second)[2:3]}
	w := sourcetest.Watch(t, New, target)
	page := func() {
		w.Until("a page", func(sourcetest.Round) bool { return w.Stats()[0].Runs > w.Stats()[0].Failures })
	}
	page()
	for unit, want := range map[string]int{"shop@1.service": 1, "shop@2.service": 0, "web.service": 0, "": 0} {
		found := Links(w.Group, unit)
		if len(found) != want || want > 0 && (found[0].Metric != "p90" || found[0].Labels != "trace_id=4bf9" ||
			found[0].Value != "4.97 s" || time.Since(found[0].At) > time.Minute) {
			t.Errorf("%s: %+v", unit, found)
		}
	}
	target.Exemplars = false
	w.SetTargets([]Target{target})
	page()
	if found := Links(w.Group, "shop@1.service"); len(found) > 0 {
		t.Errorf("not asked for: %+v", found)
	}
}
