package pool

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/salveops/salve/agent/agenttest"
	"github.com/salveops/salve/agent/internal/observe/source/sourcetest"
)

// watch watches pools of all signals of PgBouncer, unless they say which they have.
func watch(t *testing.T, targets ...Target) *sourcetest.Watched[Target] {
	for i := range targets {
		if targets[i].Signals == nil {
			targets[i].Signals = []string{"active", "idle", "waiting", "used_ratio", "max_wait"}
		}
	}
	return sourcetest.Watch(t, New, targets...)
}

func TestRealPool(t *testing.T) {
	p := agenttest.PgBouncer(t)
	w := watch(t, Target{
		Service: "shop", Name: "db", PgBouncer: p.Socket, Database: p.Database, User: p.Stats,
		Every: 50 * time.Millisecond,
	})
	w.Until("an idle pool", func(r sourcetest.Round) bool { return r["pool.db.used_ratio{shop}"] == 0 && len(r) == 5 })

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
	w.Until("a full pool with one client waiting", func(r sourcetest.Round) bool {
		return r["pool.db.used_ratio{shop}"] == 1 && r["pool.db.waiting{shop}"] == 1 &&
			r["pool.db.active{shop}"] == 2 && r["pool.db.max_wait{shop}"] > 0
	})

	if err := p.Freeze(); err != nil {
		t.Fatal(err)
	}
	w.Until("unknown while PgBouncer hangs", func(r sourcetest.Round) bool { return len(r) == 0 })
	if err := p.Thaw(); err != nil {
		t.Fatal(err)
	}
	w.Until("figures again", func(r sourcetest.Round) bool { return len(r) == 5 })
	cancel()
	<-third
	w.SetTargets(nil)
	if n := len(w.Stats()); n != 0 {
		t.Errorf("%d pools after all went", n)
	}
}

func TestUnreachablePoolIsUnknown(t *testing.T) {
	pair := agenttest.Certificate(t, time.Hour)
	stranger := agenttest.Front(t, "", &pair)
	targets := []Target{
		{Service: "d", Name: "db", PgBouncer: stranger, Database: "x", Secure: true},
		{Service: "e", Name: "db", Postgres: stranger, Database: "x", Secure: true},
		{Service: "a", Name: "db", PgBouncer: t.TempDir() + "/.s.PGSQL.6432", Database: "x"},
		{Service: "b", Name: "db", PgBouncer: "nonsense", Database: "x"},
		{Service: "c", Name: "db", PgBouncer: "127.0.0.1:1", Database: "x", PasswordFile: "/does/not/exist"},
	}
	w := watch(t, targets...)
	for range targets {
		w.Until("unknown", func(r sourcetest.Round) bool { return len(r) == 0 })
	}
	agenttest.Eventually(t, func() bool {
		for _, s := range w.Stats() {
			secure := strings.HasSuffix(s.Name, "{d}") || strings.HasSuffix(s.Name, "{e}")
			if s.Failures == 0 || s.Err == "" || secure && !strings.Contains(s.Err, "unknown authority") {
				return false
			}
		}
		return true
	}, "every pool tells why it fails")
}
