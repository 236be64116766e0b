package pool

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/salveops/salve/agent/agenttest"
	"github.com/salveops/salve/agent/internal/observe/source/sourcetest"
	"github.com/salveops/salve/agent/internal/postgres"
)

func TestRealDatabase(t *testing.T) {
	p := agenttest.PgBouncer(t)
	session := func(user string) *postgres.Conn {
		c, err := postgres.Connect(t.Context(), postgres.Target{Address: p.Postgres, Database: p.Database, User: user})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		return c
	}
	run := func(c *postgres.Conn, sql string) {
		t.Helper()
		if _, err := c.Ask(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	root := session("postgres")
	run(root, "CREATE ROLE watcher LOGIN")
	run(root, "CREATE TABLE things ()")
	run(root, "GRANT ALL ON things TO app")
	pair := agenttest.Certificate(t, time.Hour)
	w := watch(t, Target{
		Service: "shop", Name: "db", Postgres: agenttest.Front(t, p.Postgres, &pair), Database: p.Database, User: "watcher",
		Secure: true, CAFile: agenttest.CAFile(t, pair), Every: 50 * time.Millisecond,
	})
	agenttest.Eventually(t, func() bool {
		return strings.Contains(w.Stats()[0].Err, "GRANT pg_read_all_stats")
	}, "it says which right is missing")
	run(root, "GRANT pg_read_all_stats TO watcher")
	run(root, "ALTER DATABASE "+p.Database+" CONNECTION LIMIT 10")

	// One holds a lock, another waits for it, a third does nothing; root is idle, too.
	holder, waiter := session(p.User), session(p.User)
	session(p.User)
	run(holder, "BEGIN; LOCK things")
	done := make(chan error)
	go func() {
		_, err := waiter.Ask(t.Context(), "BEGIN; LOCK things; COMMIT")
		done <- err
	}()
	w.Until("two at work, one of them waiting", func(r sourcetest.Round) bool {
		return r["pool.db.active{shop}"] == 2 && r["pool.db.waiting{shop}"] == 1 && r["pool.db.idle{shop}"] >= 2 &&
			r["pool.db.max_wait{shop}"] > .1 && r["pool.db.used_ratio{shop}"] >= .4 && r["pool.db.used_ratio{shop}"] <= .5
	})
	run(holder, "COMMIT")
	if err := <-done; err != nil {
		t.Error(err)
	}
	w.Until("nobody waits", func(r sourcetest.Round) bool {
		return len(r) == 5 && r["pool.db.waiting{shop}"] == 0 && r["pool.db.max_wait{shop}"] == 0
	})
	p.StopPostgres()
	w.Until("unknown without a server", func(r sourcetest.Round) bool { return len(r) == 0 })
}

const sessionColumns = "sees active idle waiting max_wait used room used_here room_here\n"

func TestParseSessions(t *testing.T) {
	got, err := parseSessions(made(sessionColumns + "t 3 2 1 2.5 50 100 3 -1"))
	want := reading{"active": 3, "idle": 2, "waiting": 1, "max_wait": 2.5, "used_ratio": .5}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v -want +got:\n%s", err, diff)
	}
	for row, ratio := range map[string]float64{
		"t 0 0 0 0 50 100 3 4": .75, "t 0 0 0 0 50 100 3 10": .5, "t 0 0 0 0 200 100 3 0": 1, "t 0 0 0 -1 0 0 3 4": .75,
	} {
		if got, err := parseSessions(made(sessionColumns + row)); err != nil || got["used_ratio"] != ratio || got["max_wait"] != 0 {
			t.Errorf("%s: %v, %v; want %v", row, got, err, ratio)
		}
	}
	if got, err := parseSessions(made(sessionColumns + "t 0 0 0 0 5 0 3 -1")); err != nil || len(got) != 4 {
		t.Errorf("without any limit: %v, %v", got, err)
	}
	for _, text := range []string{
		sessionColumns, sessionColumns + "t 0 0 0 0 5 0 3 -1\nt 0 0 0 0 5 0 3 -1", sessionColumns + "f 0 0 0 0 5 10 3 -1",
		sessionColumns + "t 0 0 0 x 5 10 3 -1", sessionColumns + "t 0 0 0 NaN 5 10 3 -1",
		sessionColumns + "t 0 0 0 +Inf 5 10 3 -1",
		sessionColumns + "t -1 0 0 0 5 10 3 -1", "sees active\nt 1",
	} {
		if got, err := parseSessions(made(text)); err == nil {
			t.Errorf("%q: %v", text, got)
		}
	}
}

func FuzzSessions(f *testing.F) {
	f.Add(sessionColumns + "t 3 2 1 2.5 50 100 3 -1")
	f.Add(sessionColumns + "t 3 2 1 1e308 50 0 3 4")
	f.Fuzz(func(t *testing.T, text string) {
		r, err := parseSessions(made(text))
		for name, v := range r {
			if err != nil || !(v >= 0) || name == "used_ratio" && v > 1 {
				t.Errorf("%s is %v, %v", name, v, err)
			}
		}
	})
}
