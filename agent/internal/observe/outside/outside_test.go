package outside

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/salveops/salve/agent/agenttest"
	"github.com/salveops/salve/agent/internal/observe/source"
	"github.com/salveops/salve/pkg/clock"
	"github.com/salveops/salve/pkg/jsonpath"
	"github.com/salveops/salve/pkg/signal"
)

// round is one delivered batch; unknown values are absent.
type round map[string]float64

// watched is a running watcher of real documents.
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
	return w
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

func (w *watched) fails(want string) {
	w.t.Helper()
	agenttest.Eventually(w.t, 10*time.Second, func() bool {
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
	healthy := func(r round) bool { return len(r) == 2 && r[volatility] == -0.5 && r[orders] == 3 }
	unknown := func(r round) bool { return len(r) == 0 }
	w.until("both figures", healthy)
	w.SetTargets([]Target{target})
	w.until("figures at once, because nothing has changed", func(r round) bool { return len(r) == 2 })

	answer.Store("")
	w.until("unknown while the document cannot be had", unknown)
	w.fails("status 503")
	answer.Store("slow")
	w.fails("deadline exceeded")
	for _, lost := range []string{`"0.5"`, "null", "true", "1e999", "{}"} {
		answer.Store(`{"orders": 3, "volatility": ` + lost + "}")
		w.until("the other figure beside "+lost, func(r round) bool { return len(r) == 1 && r[orders] == 3 })
		w.fails("field volatility: ")
	}
	answer.Store(`{"volatility": -0.5, "orders": 3}`)
	w.until("figures again", healthy)

	target.Fields = target.Fields[:1]
	w.SetTargets([]Target{target})
	w.until("one figure", func(r round) bool { return len(r) == 1 && r[volatility] == -0.5 })
	w.SetTargets(nil)
	w.until("unknown once nobody watches", unknown)
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
	target.File, target.Timeout = path, 0
	w := watch(t, target)
	w.until("the figure", func(r round) bool { return r[volatility] == 0.5 })
	write(`{"volatility": 0.7}`)
	w.until("the new figure", func(r round) bool { return r[volatility] == 0.7 })
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	w.until("unknown without the file", func(r round) bool { return len(r) == 0 })
	w.fails("no such file")
}
