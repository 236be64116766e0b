package pool

import (
	"context"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/salveops/salve/agent/agenttest"
	"github.com/salveops/salve/agent/internal/observe/source"
	"github.com/salveops/salve/pkg/clock"
)

type testClock struct{ start time.Time }

func (c testClock) BootID() string { return "test" }

func (c testClock) Now() clock.Instant {
	return clock.Instant{Boot: time.Since(c.start), Wall: time.Now()}
}

// round is one delivered batch; unknown values are absent.
type round map[string]float64

// watched is a running watcher of one real pool.
type watched struct {
	t *testing.T
	*Watcher
	rounds chan round
}

func watch(t *testing.T, targets ...Target) *watched {
	w := &watched{t: t, rounds: make(chan round, 64)}
	w.Watcher = New(Options{
		Clock: testClock{time.Now()}, Log: hclog.NewNullLogger(), Book: source.NewBook(),
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
	for i := range targets {
		if targets[i].Signals == nil {
			targets[i].Signals = []string{"active", "idle", "waiting", "used_ratio", "max_wait"}
		}
	}
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

func TestRealPool(t *testing.T) {
	p := agenttest.PgBouncer(t)
	w := watch(t, Target{
		Service: "shop", Name: "db", PgBouncer: p.Socket, Database: p.Database, User: p.Stats,
		Every: 50 * time.Millisecond,
	})
	w.until("an idle pool", func(r round) bool { return r["pool.db.used_ratio{shop}"] == 0 && len(r) == 5 })

	// The pool has two server connections: two clients in a transaction take both, a third waits.
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for range 2 {
		c, err := p.Connect(ctx, p.User, p.Database)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close(context.Background())
		if err := c.Exec(ctx, "BEGIN").Close(); err != nil {
			t.Fatal(err)
		}
	}
	third := make(chan struct{})
	go func() {
		defer close(third)
		if c, err := p.Connect(ctx, p.User, p.Database); err == nil {
			_ = c.Exec(ctx, "SELECT 1").Close()
			_ = c.Close(context.Background())
		}
	}()
	w.until("a full pool with one client waiting", func(r round) bool {
		return r["pool.db.used_ratio{shop}"] == 1 && r["pool.db.waiting{shop}"] == 1 &&
			r["pool.db.active{shop}"] == 2 && r["pool.db.max_wait{shop}"] > 0
	})

	if err := p.Freeze(); err != nil {
		t.Fatal(err)
	}
	w.until("unknown while PgBouncer hangs", func(r round) bool { return len(r) == 0 })
	if err := p.Thaw(); err != nil {
		t.Fatal(err)
	}
	w.until("figures again", func(r round) bool { return len(r) == 5 })
	cancel()
	<-third
	w.SetTargets(nil)
	if n := len(w.Stats()); n != 0 {
		t.Errorf("%d pools after all went", n)
	}
}

func TestUnreachablePoolIsUnknown(t *testing.T) {
	targets := []Target{
		{Service: "a", Name: "db", PgBouncer: t.TempDir() + "/.s.PGSQL.6432", Database: "x"},
		{Service: "b", Name: "db", PgBouncer: "nonsense", Database: "x"},
		{Service: "c", Name: "db", PgBouncer: "127.0.0.1:1", Database: "x", PasswordFile: "/does/not/exist"},
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
	}, "every pool tells why it fails")
}
