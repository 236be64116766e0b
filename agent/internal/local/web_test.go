package local_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/salveops/salve/agent/internal/local"
	"github.com/salveops/salve/agent/internal/local/localtest"
)

// get asks the server's web side.
func get(t *testing.T, w *world, path string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(patient(t), http.MethodGet, "http://"+w.srv.MetricsAddr().String()+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	r, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return r.StatusCode, string(text)
}

func TestMetrics(t *testing.T) {
	agent := localtest.New()
	agent.State.Sources[0].Points = map[string]uint64{"accepted": 7, "old": 1}
	w := serve(t, agent, local.Options{Metrics: "127.0.0.1:0"})
	code, text := get(t, w, "/metrics")
	if code != http.StatusOK {
		t.Fatalf("status %d: %s", code, text)
	}
	for _, want := range []string{
		`salve_agent_healthy 1`,
		`salve_agent_journal_healthy 1`,
		`salve_agent_build_info{autonomy="full",host="web-1",version="v0.0.0-test"} 1`,
		`salve_agent_alerts{state="firing"} 2`,
		`salve_agent_alerts{state="clearing"} 0`,
		`salve_agent_incidents{state="escalated"} 1`,
		`salve_agent_incidents{state="healing"} 0`,
		`salve_agent_attempts_total{kind="restart",outcome="verified"} 1`,
		`salve_agent_notifications_total{notifier="email.me",result="delivered"} 1`,
		`salve_agent_source_up{source="pool checkout.db"} 0`,
		`salve_agent_source_age_seconds{source="host"} 0.4`,
		`salve_agent_source_samples_total{result="failure",source="pool checkout.db"} 12`,
		`salve_agent_source_warnings_total{source="pool checkout.db"} 2`,
		`salve_agent_source_points_total{result="accepted",source="host"} 7`,
		`salve_agent_source_points_total{result="old",source="host"} 1`,
		`salve_agent_engine_tick_seconds_count 900`,
		`salve_agent_engine_tick_max_seconds 0.001`,
		`salve_agent_config_reload_ok 1`,
		`salve_agent_remedies_hour_limit 12`,
		`go_goroutines `,
		`process_resident_memory_bytes `,
	} {
		if !strings.Contains(text, "\n"+want) {
			t.Errorf("no %s", want)
		}
	}
	if strings.Contains(text, `source_warnings_total{source="host"}`) {
		t.Error("a source without reservations counts them")
	}
	if strings.Contains(text, `source_age_seconds{source="pool checkout.db"}`) {
		t.Error("a source that never succeeded has an age")
	}
}

func TestHealthz(t *testing.T) {
	well := localtest.New()
	ill := localtest.New()
	ill.State.Problems = []string{"systemd does not answer", "no rules"}
	full := localtest.New()
	full.State.Journal = errors.New("disk full")
	full.State.Problems = []string{"journal: disk full"}
	tests := []struct {
		name string
		b    local.Backend
		code int
		text string
	}{
		{"well", well, http.StatusOK, "ok\n"},
		{"problems", ill, http.StatusServiceUnavailable, "systemd does not answer\nno rules\n"},
		{"journal", full, http.StatusServiceUnavailable, "journal: disk full\n"},
		{
			"stuck", stuck{localtest.New()}, http.StatusServiceUnavailable,
			"the agent does not answer: context deadline exceeded\n",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := serve(t, tt.b, local.Options{Metrics: "localhost:0"})
			if code, text := get(t, w, "/healthz"); code != tt.code || text != tt.text {
				t.Errorf("got %d %q, want %d %q", code, text, tt.code, tt.text)
			}
			_, metrics := get(t, w, "/metrics")
			want := "\nsalve_agent_healthy 0\n"
			if tt.code == http.StatusOK {
				want = "\nsalve_agent_healthy 1\n"
			}
			if !strings.Contains(metrics, want) {
				t.Errorf("metrics lack %q", want)
			}
		})
	}
}

// stuck is an agent whose engine stands still.
type stuck struct{ *localtest.Fake }

func (stuck) Status(ctx context.Context) (local.Status, error) {
	<-ctx.Done()
	return local.Status{}, ctx.Err()
}

func TestMetricsOnLoopbackOnly(t *testing.T) {
	for addr, want := range map[string]string{
		"0.0.0.0:7610":     "not a loopback address",
		":7610":            "not a loopback address",
		"192.0.2.1:7610":   "not a loopback address",
		"example.org:7610": "not a loopback address",
		"[::]:7610":        "not a loopback address",
		"127.0.0.1":        "read metrics address",
		"127.0.0.1:99999":  "listen for metrics",
	} {
		t.Run(addr, func(t *testing.T) {
			socket := t.TempDir() + "/agent.sock"
			err := local.New(localtest.New(), local.Options{Socket: socket, Metrics: addr}).Run(t.Context())
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("got %v, want %q", err, want)
			}
		})
	}
}

func TestMetricsOff(t *testing.T) {
	w := serve(t, localtest.New(), local.Options{})
	if a := w.srv.MetricsAddr(); a != nil {
		t.Errorf("metrics are served on %s", a)
	}
}
