package scrape

import (
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/salveops/salve/agent/agenttest"
	"github.com/salveops/salve/agent/internal/observe/source"
	"github.com/salveops/salve/agent/internal/observe/source/sourcetest"
)

func TestMain(m *testing.M) {
	if os.Getenv(serverVariable) != "" {
		serve()
		return
	}
	goleak.VerifyTestMain(m)
}

func TestWatcher(t *testing.T) {
	s := newShop(false)
	var ill atomic.Bool
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if ill.Load() {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		s.serves("200", 3, 0.05)
		s.serves("500", 1, 0.05)
		s.handler.ServeHTTP(w, r)
	}))
	defer server.Close()
	s.queue.WithLabelValues("mail").Set(5)
	target := Target{Service: "shop", Name: "app", URL: server.URL, Every: 50 * time.Millisecond,
		Timeout: 50 * time.Millisecond, Metrics: golden(t, 200*time.Millisecond)}
	w := sourcetest.Watch(t, New, target)
	healthy := func(r sourcetest.Round) bool {
		return r["metric.error_rate{shop}"] == 0.25 && r["metric.traffic{shop}"] > 0 && r["metric.queue{shop}"] == 5
	}
	w.Until("the golden signals", healthy)
	w.SetTargets([]Target{target})
	w.Until("figures at once, because nothing has changed", func(r sourcetest.Round) bool { return len(r) == 4 })
	ill.Store(true)
	w.Until("unknown while the page cannot be had", func(r sourcetest.Round) bool { return len(r) == 0 })
	agenttest.Eventually(t, func() bool {
		st := w.Stats()[0]
		return st.Failures > 0 && st.Name == "scrape.app{shop}" && strings.Contains(st.Err, "status 500")
	}, "the source tells that it fails")
	ill.Store(false)
	w.Until("figures again", healthy)
	target.Metrics = target.Metrics[:1]
	w.SetTargets([]Target{target})
	w.Until("one figure", func(r sourcetest.Round) bool { return len(r) == 1 && r["metric.error_rate{shop}"] == 0.25 })
	w.SetTargets(nil)
	w.Until("unknown once nobody watches", func(r sourcetest.Round) bool { return len(r) == 0 })
	if n := len(w.Stats()); n != 0 {
		t.Errorf("%d pages after all went", n)
	}
}

// That nobody asks is told as such: no page has failed.
func TestIdle(t *testing.T) {
	target := Target{Service: "shop", Name: "app", URL: texts(t, "http_requests_total{code=\"200\"} 5\n"),
		Every: 50 * time.Millisecond, Timeout: 50 * time.Millisecond, Metrics: golden(t, 200*time.Millisecond)[:1]}
	w := sourcetest.Watch(t, New, target)
	w.Until("idle", func(r sourcetest.Round) bool { return len(r) == 1 && math.IsNaN(r["metric.error_rate{shop}"]) })
}

// A metric that cannot be made does not take the others of its page with it.
func TestOneMetricIsAtFault(t *testing.T) {
	metrics := golden(t, 200*time.Millisecond)
	metrics[0].Of, metrics[0].All = sel(t, "failures_total"), sel(t, "requests_total")
	target := Target{Service: "shop", Name: "app", URL: texts(t, "queue_depth 5\n"), Every: 50 * time.Millisecond,
		Timeout: 50 * time.Millisecond, Metrics: []source.Metric{metrics[0], metrics[3]}}
	w := sourcetest.Watch(t, New, target)
	w.Until("the other metric", func(r sourcetest.Round) bool { return len(r) == 1 && r["metric.queue{shop}"] == 5 })
	agenttest.Eventually(t, func() bool {
		return w.Stats()[0].Err == "metric error_rate: no series matches failures_total"
	}, "the source tells which metric, and why")
}

func TestUnreachablePageIsUnknown(t *testing.T) {
	var targets []Target
	for service, url := range map[string]string{"a": "http://127.0.0.1:1/", "b": "http://[::1", "c": "ftp://127.0.0.1/"} {
		targets = append(targets, Target{Service: service, Name: "app", URL: url, Every: 50 * time.Millisecond,
			Timeout: 50 * time.Millisecond, Metrics: golden(t, time.Second)})
	}
	w := sourcetest.Watch(t, New, targets...)
	for range targets {
		w.Until("unknown", func(r sourcetest.Round) bool { return len(r) == 0 })
	}
	agenttest.Eventually(t, func() bool {
		for _, s := range w.Stats() {
			if s.Failures == 0 || s.Err == "" {
				return false
			}
		}
		return true
	}, "every page tells why it fails")
}
