package scrape

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"go.uber.org/goleak"

	"github.com/salveops/salve/agent/agenttest"
	"github.com/salveops/salve/agent/internal/observe/source"
	"github.com/salveops/salve/pkg/clock"
)

func TestMain(m *testing.M) {
	if os.Getenv(serverVariable) != "" {
		serve()
		return
	}
	goleak.VerifyTestMain(m)
}

// round is one delivered batch; unknown values are absent.
type round map[string]float64

// watched is a running watcher of real pages.
type watched struct {
	t *testing.T
	*Watcher
	rounds chan round
}

func watch(t *testing.T, targets ...Target) *watched {
	c, err := clock.System()
	if err != nil {
		t.Fatal(err)
	}
	w := &watched{t: t, rounds: make(chan round, 64)}
	w.Watcher = New(Options{
		Clock: c, Log: hclog.NewNullLogger(), Book: source.NewBook(),
		Deliver: func(b *source.Batch) {
			r := round{}
			for _, s := range b.Samples {
				if s.Known {
					r[s.Handle.Key.String()] = s.Value
				}
			}
			b.Release()
			select {
			case w.rounds <- r:
			default: // nobody looks any more
			}
		},
	})
	w.SetTargets(targets)
	run(t, w.Watcher)
	return w
}

// run runs a watcher until the end of the test.
func run(t testing.TB, w *Watcher) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		w.Run(ctx)
		close(done)
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
}

// until waits for a round for which ok holds.
func (w *watched) until(what string, ok func(round) bool) {
	w.t.Helper()
	timeout := time.After(20 * time.Second)
	var last round
	for {
		select {
		case last = <-w.rounds:
			if ok(last) {
				return
			}
		case <-timeout:
			w.t.Fatalf("not seen: %s; last %v, %+v", what, last, w.Stats())
		}
	}
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
	w := watch(t, target)
	healthy := func(r round) bool {
		return r["metric.error_rate{shop}"] == 0.25 && r["metric.traffic{shop}"] > 0 && r["metric.queue{shop}"] == 5
	}
	w.until("the golden signals", healthy)
	w.SetTargets([]Target{target})
	w.until("figures at once, because nothing has changed", func(r round) bool { return len(r) == 4 })
	ill.Store(true)
	w.until("unknown while the page cannot be had", func(r round) bool { return len(r) == 0 })
	agenttest.Eventually(t, 10*time.Second, func() bool {
		st := w.Stats()[0]
		return st.Failures > 0 && st.Name == "scrape.app{shop}" && strings.Contains(st.Err, "status 500")
	}, "the source tells that it fails")
	ill.Store(false)
	w.until("figures again", healthy)
	target.Metrics = target.Metrics[:1]
	w.SetTargets([]Target{target})
	w.until("one figure", func(r round) bool { return len(r) == 1 && r["metric.error_rate{shop}"] == 0.25 })
	w.SetTargets(nil)
	w.until("unknown once nobody watches", func(r round) bool { return len(r) == 0 })
	if n := len(w.Stats()); n != 0 {
		t.Errorf("%d pages after all went", n)
	}
}

// A metric that cannot be made does not take the others of its page with it.
func TestOneMetricIsAtFault(t *testing.T) {
	metrics := golden(t, 200*time.Millisecond)
	metrics[0].Of, metrics[0].All = sel(t, "failures_total"), sel(t, "requests_total")
	target := Target{Service: "shop", Name: "app", URL: texts(t, "queue_depth 5\n"), Every: 50 * time.Millisecond,
		Timeout: 50 * time.Millisecond, Metrics: []source.Metric{metrics[0], metrics[3]}}
	w := watch(t, target)
	w.until("the other metric", func(r round) bool { return len(r) == 1 && r["metric.queue{shop}"] == 5 })
	agenttest.Eventually(t, 10*time.Second, func() bool {
		return w.Stats()[0].Err == "metric error_rate: no series matches failures_total"
	}, "the source tells which metric, and why")
}

func TestUnreachablePageIsUnknown(t *testing.T) {
	var targets []Target
	for service, url := range map[string]string{"a": "http://127.0.0.1:1/", "b": "http://[::1", "c": "ftp://127.0.0.1/"} {
		targets = append(targets, Target{Service: service, Name: "app", URL: url, Every: 50 * time.Millisecond,
			Timeout: 50 * time.Millisecond, Metrics: golden(t, time.Second)})
	}
	w := watch(t, targets...)
	for range targets {
		w.until("unknown", func(r round) bool { return len(r) == 0 })
	}
	agenttest.Eventually(t, 10*time.Second, func() bool {
		for _, s := range w.Stats() {
			if s.Failures == 0 || s.Err == "" {
				return false
			}
		}
		return true
	}, "every page tells why it fails")
}
