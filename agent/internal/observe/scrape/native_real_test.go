package scrape

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/salveops/salve/agent/agenttest"
	"github.com/salveops/salve/agent/internal/observe/source"
	"github.com/salveops/salve/pkg/clock"
	"github.com/salveops/salve/pkg/metric"
	"github.com/salveops/salve/pkg/signal"
)

// answer is the one number that a Prometheus answers; NaN if it has none.
func answer(t *testing.T, address, query string) float64 {
	res, err := http.Get(address + "/api/v1/query?query=" + url.QueryEscape(query))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var a struct {
		Data struct{ Result []struct{ Value [2]any } }
	}
	if err := json.NewDecoder(res.Body).Decode(&a); err != nil {
		t.Fatal(err)
	}
	if len(a.Data.Result) != 1 {
		return math.NaN()
	}
	v, err := strconv.ParseFloat(fmt.Sprint(a.Data.Result[0].Value[1]), 64)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// What is said of quantiles is what Prometheus says of the same native histograms, but for the width of a step.
func TestNativeBesidePrometheus(t *testing.T) {
	const events, step = 3000, 1.1893 // the fourth root of two
	registry := prometheus.NewRegistry()
	seed := rand.New(rand.NewPCG(1, 2))
	var metrics []source.Metric
	var observe []func()
	for _, kind := range []struct {
		name   string
		factor float64
	}{{"fine", 1.005}, {"usual", 1.1}, {"coarse", 2}} {
		name := kind.name
		h := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, NativeHistogramBucketFactor: kind.factor,
			NativeHistogramZeroThreshold: 1e-3}, []string{"path"})
		registry.MustRegister(h)
		observe = append(observe, func() {
			for i := range events {
				h.WithLabelValues(fmt.Sprint(i % 3)).Observe(math.Exp(2*seed.NormFloat64() - 4))
			}
		})
		for i := range 3 {
			h.WithLabelValues(fmt.Sprint(i))
		}
		for _, share := range []float64{0.01, 0.5, 0.9, 0.99} {
			metrics = append(metrics, source.Metric{Name: name, Definition: metric.Definition{Kind: metric.Quantile, Share: share,
				Of: sel(t, name), Window: 2 * time.Second, Dim: signal.Seconds}})
		}
	}
	server := httptest.NewServer(promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	defer server.Close()
	p := newPage(Target{URL: server.URL, Native: true, Every: time.Second, Metrics: metrics})
	defer p.close()
	for i := range 2 {
		if err := p.read(t.Context(), clock.Instant{Boot: time.Duration(i+1) * time.Second, Wall: time.Now()}); err != nil {
			t.Fatal(err)
		}
		for i == 0 && len(observe) > 0 {
			observe[0]()
			observe = observe[1:]
		}
	}
	address := agenttest.Prometheus(t, fmt.Sprintf("scrape_configs:\n- job_name: x\n  scrape_interval: 200ms\n"+
		"  scrape_timeout: 200ms\n  static_configs: [{targets: [%q]}]\n", strings.TrimPrefix(server.URL, "http://")),
		"--enable-feature=native-histograms")
	agenttest.Eventually(t, func() bool {
		return answer(t, address, "histogram_count(sum(coarse))") == events
	}, "Prometheus has read the page")
	for i, m := range metrics {
		ours, theirs := p.figure(i), answer(t, address, fmt.Sprintf("histogram_quantile(%g, sum(%s))", m.Share, m.Name))
		t.Logf("%s %g: %g, Prometheus %g, %.3f", m.Name, m.Share, ours.Value, theirs, ours.Value/theirs)
		if far := ours.Value / theirs; !ours.Known || !(far < step && far > 1/step) {
			t.Errorf("%s %g: %+v, Prometheus %g", m.Name, m.Share, ours, theirs)
		}
	}
}
