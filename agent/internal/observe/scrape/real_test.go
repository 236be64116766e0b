package scrape

import (
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/salveops/salve/agent/agenttest"
	"github.com/salveops/salve/agent/internal/observe/source"
	"github.com/salveops/salve/agent/internal/observe/source/sourcetest"
	"github.com/salveops/salve/pkg/metric"
	"github.com/salveops/salve/pkg/require"
	"github.com/salveops/salve/pkg/signal"
)

// start runs a program until the end of the test.
func start(t testing.TB, name, program string, args ...string) (pid int) {
	t.Helper()
	_, err := os.Stat(program)
	agenttest.Require(t, name, err == nil, "install the package "+filepath.Base(program))
	cmd := exec.Command(program, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return cmd.Process.Pid
}

// figuresOf reads a page of a real program again and again until good holds for its figures.
func figuresOf(t *testing.T, url string, metrics []source.Metric, good func([]metric.Figure) bool) {
	t.Helper()
	w := sourcetest.Watch(t, New, Target{Service: "real", Name: "app", URL: url, Every: 500 * time.Millisecond,
		Timeout: 500 * time.Millisecond, Metrics: metrics})
	w.Until("figures", func(r sourcetest.Round) bool {
		figures := make([]metric.Figure, len(metrics))
		for i, m := range metrics {
			figures[i].Value, figures[i].Known = r["metric."+m.Name+"{real}"]
			if !figures[i].Known {
				return false
			}
		}
		return good(figures)
	})
}

func TestRealNodeExporter(t *testing.T) {
	address := require.Port(t)
	start(t, "node-exporter", "/usr/bin/prometheus-node-exporter", "--web.listen-address="+address)
	figuresOf(t, "http://"+address+"/metrics", []source.Metric{
		{Name: "idle",
			Definition: metric.Definition{Kind: metric.Ratio, Of: sel(t, "node_cpu_seconds_total{mode='idle'}"),
				All: sel(t, "node_cpu_seconds_total"), Window: 2 * time.Second, Dim: signal.Ratio}},
		{Name: "memory",
			Definition: metric.Definition{Kind: metric.Gauge, Of: sel(t, "node_memory_MemAvailable_bytes"), Dim: signal.Bytes}},
	}, func(f []metric.Figure) bool { return f[0].Value >= 0 && f[0].Value <= 1 && f[1].Value > 1<<20 })
}

// Prometheus counts the questions that it answers: two a second are ours.
func TestRealPrometheus(t *testing.T) {
	figuresOf(t, agenttest.Prometheus(t, "")+"/metrics", []source.Metric{
		{Name: "errors",
			Definition: metric.Definition{Kind: metric.Ratio, Of: sel(t, "prometheus_http_requests_total{code=~'5..'}"),
				All: sel(t, "prometheus_http_requests_total"), Window: 2 * time.Second, Dim: signal.Ratio}},
		{Name: "traffic",
			Definition: metric.Definition{Kind: metric.Rate, Of: sel(t, "prometheus_http_requests_total{handler='/metrics'}"),
				Window: 2 * time.Second, Dim: signal.PerSecond}},
		{Name: "p99",
			Definition: metric.Definition{Kind: metric.Quantile, Share: 0.99, Window: 2 * time.Second, Dim: signal.Seconds,
				Of: sel(t, "prometheus_http_request_duration_seconds{handler='/metrics'}")}},
	}, func(f []metric.Figure) bool {
		return f[0].Value == 0 && f[1].Value > 1 && f[1].Value < 3 && f[2].Value > 0 && f[2].Value < 1
	})
}
