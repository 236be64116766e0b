package outside

import (
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
	"github.com/salveops/salve/agent/internal/observe/source/sourcetest"
	"github.com/salveops/salve/pkg/jsonpath"
	"github.com/salveops/salve/pkg/signal"
)

// watched is a running watcher of real documents.
type watched struct {
	*sourcetest.Watched[Target]
	t *testing.T
}

func watch(t *testing.T, targets ...Target) *watched {
	return &watched{sourcetest.Watch(t, New, targets...), t}
}

func (w *watched) fails(want string) {
	w.t.Helper()
	agenttest.Eventually(w.t, func() bool {
		s := w.Stats()[0]
		return s.Name == "context.market" && s.Failures > 0 && strings.Contains(s.Err, want)
	}, "the source tells that it fails: "+want)
}

// market has its fields at paths of their names.
func market(t *testing.T, fields ...string) Target {
	target := Target{Name: "market", Every: 20 * time.Millisecond, Timeout: 20 * time.Millisecond}
	for _, name := range fields {
		path, err := jsonpath.Parse(name)
		if err != nil {
			t.Fatal(err)
		}
		target.Fields = append(target.Fields, Field{signal.Path{Family: signal.Context, Key: "market", Field: name}, path})
	}
	return target
}

const volatility, orders = "context.market.volatility", "context.market.orders"

func TestWatcher(t *testing.T) {
	var answer atomic.Value
	answer.Store(`{"volatility": -0.5, "orders": 3}`)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch text := answer.Load().(string); text {
		case "":
			w.WriteHeader(http.StatusServiceUnavailable)
		case "slow":
			<-r.Context().Done()
		default:
			_, _ = io.WriteString(w, text)
		}
	}))
	defer s.Close()
	target := market(t, "volatility", "orders")
	target.HTTP = s.URL
	w := watch(t, target)
	healthy := func(r sourcetest.Round) bool { return len(r) == 2 && r[volatility] == -0.5 && r[orders] == 3 }
	unknown := func(r sourcetest.Round) bool { return len(r) == 0 }
	w.Until("both figures", healthy)
	w.SetTargets([]Target{target})
	w.Until("figures at once, because nothing has changed", func(r sourcetest.Round) bool { return len(r) == 2 })

	answer.Store("")
	w.Until("unknown while the document cannot be had", unknown)
	w.fails("status 503")
	answer.Store("slow")
	w.fails("deadline exceeded")
	for _, lost := range []string{`"0.5"`, "null", "true", "1e999", "{}"} {
		answer.Store(`{"orders": 3, "volatility": ` + lost + "}")
		w.Until("the other figure beside "+lost, func(r sourcetest.Round) bool { return len(r) == 1 && r[orders] == 3 })
		w.fails("field volatility: ")
	}
	answer.Store(`{"volatility": -0.5, "orders": 3}`)
	w.Until("figures again", healthy)

	target.Fields = target.Fields[:1]
	w.SetTargets([]Target{target})
	w.Until("one figure", func(r sourcetest.Round) bool { return len(r) == 1 && r[volatility] == -0.5 })
	w.SetTargets(nil)
	w.Until("unknown once nobody watches", unknown)
}

func TestFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(path+".new", path); err != nil {
			t.Fatal(err)
		}
	}
	write(`{"volatility": 0.5}`)
	target := market(t, "volatility")
	target.File, target.Timeout, target.MaxAge = path, 0, time.Minute
	w := watch(t, target)
	w.Until("the figure", func(r sourcetest.Round) bool { return r[volatility] == 0.5 })
	write(`{"volatility": 0.7}`)
	w.Until("the new figure", func(r sourcetest.Round) bool { return r[volatility] == 0.7 })
	old := time.Now().Add(-time.Hour)
	if err := os.Chtimes(path, old, old); err != nil {
		t.Fatal(err)
	}
	w.Until("unknown once nobody writes it", func(r sourcetest.Round) bool { return len(r) == 0 })
	w.fails("max_age")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	w.fails("no such file")
}
