package query

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/salveops/salve/agent/agenttest"
	"github.com/salveops/salve/agent/internal/observe/source"
	"github.com/salveops/salve/agent/internal/observe/source/sourcetest"
	"github.com/salveops/salve/pkg/promql"
)

const name = "query.orders"

// tells is a round with that figure; nil is unknown.
func tells(v any) func(sourcetest.Round) bool {
	return func(r sourcetest.Round) bool {
		got, known := r[name]
		return v == nil && !known || known && v == got
	}
}

// open makes a watcher beside that controller.
func open(c Figure) func(source.Options) *source.Group[Target] {
	return func(o source.Options) *source.Group[Target] { return New(o, c) }
}

func fails(t *testing.T, w *sourcetest.Watched[Target], want string) {
	t.Helper()
	agenttest.Eventually(t, func() bool {
		s := w.Stats()[0]
		return s.Name == name && s.Failures > 0 && strings.Contains(s.Err, want)
	}, "the source tells that it fails: "+want)
}

// vector is an answer about the present, or about a moment before it, with a value for each.
func vector(before time.Duration, values ...string) string {
	at, elements := float64(time.Now().Add(-before).UnixMilli())/1e3, make([]string, len(values))
	for i, v := range values {
		elements[i] = fmt.Sprintf(`{"metric":{"instance":"web-%d:9100"},"value":[%f,%q]}`, i, at, v)
	}
	return `{"status":"success","data":{"resultType":"vector","result":[` + strings.Join(elements, ",") + `]}}`
}

func TestWatcher(t *testing.T) {
	var answer, token atomic.Value
	answer.Store(func() string { return vector(0, "3") })
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token.Store(r.Header.Get("Authorization"))
		_, _ = io.WriteString(w, answer.Load().(func() string)())
	}))
	defer s.Close()
	file := filepath.Join(t.TempDir(), "token")
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("first")
	target := Target{Name: "orders", Every: 20 * time.Millisecond, Server: promql.Query{URL: s.URL, Expr: "sum(orders)",
		Timeout: 10 * time.Second, SecretFile: file}}
	w := sourcetest.Watch(t, open(nil), target)
	w.Until("the figure", tells(3.0))
	w.SetTargets([]Target{target})
	write("second")
	agenttest.Eventually(t, func() bool { return token.Load() == "Bearer second" }, "the new token")

	answer.Store(func() string { return vector(0) })
	w.Until("unknown when nothing is there", tells(nil))
	answer.Store(func() string { return vector(0, "3") })
	w.Until("the figure again", tells(3.0))
	answer.Store(func() string { return vector(0, "NaN") })
	w.Until("unknown when it is no number", tells(nil))
	if st := w.Stats()[0]; st.Failures > 0 {
		t.Errorf("nothing to count is no failure: %+v", st)
	}
	answer.Store(func() string { return vector(0, "3", "4") })
	w.Until("unknown when there are several", tells(nil))
	fails(t, w, "2 elements: aggregate")
	answer.Store(func() string { return vector(2*time.Minute, "3") })
	fails(t, w, "2m0s old by the clock of who asked")
	w.Until("unknown when it is old", tells(nil))
	answer.Store(func() string {
		return strings.Replace(vector(0, "3"), `"data"`, `"warnings":["half of them"],"data"`, 1)
	})
	w.Until("the figure, with reservations", tells(3.0))
	agenttest.Eventually(t, func() bool { return w.Stats()[0].Warnings > 1 }, "they are counted")

	answer.Store(func() string { return vector(0, "3", "4") })
	target.Server.Label, target.Host = "instance", "web-1"
	w.SetTargets([]Target{target})
	w.Until("the figure of this host", tells(4.0))
	w.SetTargets(nil)
	w.Until("unknown once nobody asks", tells(nil))
}

// page shows a sample that tells when it is of, while it is to.
type page struct{ show atomic.Bool }

func (p *page) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	if !p.show.Load() {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", "text/plain; version=0.0.4")
	_, _ = fmt.Fprintf(w, "orders 3 %d\n", time.Now().UnixMilli())
}

// Prometheus goes on telling what a series was, for five minutes; within a range it does not.
func TestRealPrometheus(t *testing.T) {
	var p page
	s := httptest.NewServer(&p)
	defer s.Close()
	url := agenttest.Prometheus(t, fmt.Sprintf("scrape_configs:\n- job_name: x\n  scrape_interval: 100ms\n"+
		"  scrape_timeout: 100ms\n  static_configs: [{targets: [%q]}]\n", strings.TrimPrefix(s.URL, "http://")))
	ask := func(expr string) *sourcetest.Watched[Target] {
		return sourcetest.Watch(t, open(nil), Target{Name: "orders", Every: 50 * time.Millisecond,
			Server: promql.Query{URL: url, Expr: expr, Timeout: 5 * time.Second}})
	}
	last := ask("last_over_time(orders[1s])")
	last.Until("nothing so far", tells(nil))
	p.show.Store(true)
	last.Until("the sample", tells(3.0))
	p.show.Store(false)
	last.Until("unknown when its range is over", tells(nil))
	if old := <-ask("sum(orders)").Rounds; old[name] != 3 {
		t.Errorf("without a range: %v", old)
	}
	for expr, want := range map[string]string{
		"sum(":                               "status 400: bad_data: ",
		"prometheus_http_requests_total[1m]": "is a matrix",
		"{__name__=~'scrape_.+'}":            "elements: aggregate, as with sum() or max()",
	} {
		fails(t, ask(expr), want)
	}
	ask("vector(0) / 0").Until("unknown when it is no number", tells(nil))
	ask("up{job='none'}").Until("unknown when nothing is there", tells(nil))
	ask("scalar(vector(7))").Until("a number without a vector", tells(7.0))
}
