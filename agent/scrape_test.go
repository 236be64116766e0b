package agent

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// shop is the page of a service whose first process answers every request late and with an error. Each time
// that it is looked at, twenty requests more have come.
type shop struct {
	h        *host
	lives    int
	requests *prometheus.CounterVec
	latency  prometheus.Histogram
	page     http.Handler
}

func (s *shop) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if n := len(s.h.starts("web")); n != s.lives { // another process counts from zero
		reg := prometheus.NewRegistry()
		s.lives, s.page = n, promhttp.HandlerFor(reg, promhttp.HandlerOpts{})
		s.requests = prometheus.NewCounterVec(prometheus.CounterOpts{Name: "http_requests_total"}, []string{"code"})
		s.latency = prometheus.NewHistogram(prometheus.HistogramOpts{Name: "http_request_duration_seconds"})
		reg.MustRegister(s.requests, s.latency)
	}
	code, latency := "503", 1.5
	if s.lives > 1 {
		code, latency = "200", 0.01
	}
	for range 20 {
		s.requests.WithLabelValues(code).Inc()
		s.latency.Observe(latency)
	}
	s.page.ServeHTTP(w, r)
}

// What users feel is seen on the service's own page, a restart is tried, and the recovery is proved by figures
// that look back at nothing from before it.
func TestGoldenSignalsAreHealed(t *testing.T) {
	t.Parallel()
	h := newWeb(t)
	server := httptest.NewServer(&shop{h: h})
	defer server.Close()
	h.configure(fmt.Sprintf(`
allow {
  units   = ["web.service"]
  actions = ["restart"]
}
service "web" {
  unit    = "web.service"
  startup = "100ms"
  scrape "app" {
    url     = %q
    every   = "1s"
    timeout = "1s"
    metric "error_rate" {
      ratio      = ["http_requests_total{code=~'5..'}", "http_requests_total"]
      window     = "3s"
      min_events = 20
    }
    metric "p90" {
      quantile = 0.9
      of       = "http_request_duration_seconds"
      window   = "3s"
    }
  }
  remedy "restart" "again" {
    verify {
      within = "15s"
      hold   = "100ms"
    }
  }
}
rule "web-fails" {
  services  = ["web"]
  when      = metric.error_rate > 50 * percent && metric.p90 > 500 * ms
  clear     = metric.error_rate < 1 * percent
  for       = "500ms"
  clear_for = "100ms"
  try       = ["again"]
}
`, server.URL))
	a := h.start(nil)
	in := a.ended("web")
	if in.GetSummary().GetEnd() != "again healed it" {
		t.Errorf("the end is %q", in.GetSummary().GetEnd())
	}
	if at := in.GetAttempts(); len(at) != 1 || at[0].GetOutcome() != "verified" {
		t.Errorf("the attempts are %v", at)
	}
	a.reads("metric.error_rate", "web", 0)
	if s := a.signal("metric.p90", "web"); s.GetDimension() != "seconds" || s.GetHelp() == "" {
		t.Errorf("the latency is listed as %v", s)
	}
}
