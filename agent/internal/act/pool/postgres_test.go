package pool_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/salveops/salve/agent/agenttest"
	"github.com/salveops/salve/agent/internal/act/acttest"
	"github.com/salveops/salve/agent/internal/act/kind"
	"github.com/salveops/salve/agent/internal/act/pool"
	"github.com/salveops/salve/agent/internal/postgres"
	"github.com/salveops/salve/pkg/config"
	"github.com/salveops/salve/pkg/incident"
	"github.com/salveops/salve/pkg/remedy"
)

// base is a rig whose pool is a database of PostgreSQL.
type base struct {
	*rig
	clients map[string]*postgres.Conn
}

func newBase(t *testing.T, r *rig) *base {
	t.Helper()
	g := &base{r, map[string]*postgres.Conn{}}
	g.service.Pools = []*config.Pool{{Name: "db", Postgres: g.Postgres, Database: g.Database, User: "salve"}}
	g.connect("root", "postgres", g.Database)
	for _, role := range []string{"salve", "other", "weak", "self"} {
		g.ask("root", "CREATE ROLE "+role+" LOGIN")
	}
	t.Cleanup(func() {
		root, err := postgres.Connect(context.Background(), postgres.Target{Address: g.Postgres, Database: "postgres", User: "postgres"})
		if err != nil {
			return // PostgreSQL is gone with all of them
		}
		defer root.Close()
		if _, err := root.Ask(context.Background(), "DROP ROLE salve, other, weak, self"); err != nil {
			t.Error(err)
		}
	})
	g.ask("root", "GRANT pg_signal_backend, pg_read_all_stats TO salve, self")
	g.ask("root", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'app'") // PgBouncer's
	agenttest.Eventually(t, func() bool {
		left, err := g.clients["root"].Ask(t.Context(), "SELECT 1 FROM pg_stat_activity WHERE usename = 'app'")
		return err == nil && len(left.Rows) == 0
	}, "nobody else has a session")
	return g
}

// connect makes a client of that name, which is its application_name, too.
func (g *base) connect(name, user, database string) {
	g.t.Helper()
	c, err := postgres.Connect(g.t.Context(), postgres.Target{Address: g.Postgres, Database: database, User: user})
	if err != nil {
		g.t.Fatal(err)
	}
	g.t.Cleanup(func() { _ = c.Close() })
	g.clients[name] = c
	g.ask(name, "SET application_name = '"+name+"'")
}

func (g *base) ask(name, sql string) {
	g.t.Helper()
	if _, err := g.clients[name].Ask(g.t.Context(), sql); err != nil {
		g.t.Fatalf("%s: %v", name, err)
	}
}

// idle connects clients that do nothing within a transaction, one after the other.
func (g *base) idle(user, database string, names ...string) {
	g.t.Helper()
	for _, name := range names {
		g.connect(name, user, database)
		g.ask(name, "BEGIN")
	}
}

// gone are the clients of these that have no session any more.
func (g *base) gone(names ...string) (gone []string) {
	for _, name := range names {
		if _, err := g.clients[name].Ask(g.t.Context(), "SELECT 1"); err != nil {
			gone = append(gone, name)
		}
	}
	return gone
}

func terminate(change func(*remedy.PoolArgs)) *remedy.PoolArgs {
	a := &remedy.PoolArgs{Pool: "db", Mode: "terminate", OlderThan: time.Millisecond, Most: 10}
	change(a)
	return a
}

func testTerminate(t *testing.T, r *rig) {
	g := newBase(t, r)
	g.idle("app", g.Database, "oldest", "older", "web")
	g.idle("other", g.Database, "other")
	g.idle("postgres", g.Database, "super")
	g.idle("salve", g.Database, "own")
	g.idle("app", "postgres", "elsewhere")
	g.connect("resting", "app", g.Database)
	spared := []string{"root", "super", "own", "elsewhere"}
	all := append([]string{"oldest", "older", "web", "other", "resting"}, spared...)
	check := func(what string, args *remedy.PoolArgs, want ...string) {
		t.Helper()
		plan, err := g.Prepare(t.Context(), g.with(args))
		if len(want) == 0 {
			if err == nil || !strings.Contains(err.Error(), "no session that is to be ended") {
				t.Errorf("%s: %v", what, err)
			}
			return
		}
		if err != nil || len(plan.Detail) != len(want) {
			t.Fatalf("%s: %v, %q", what, err, plan.Detail)
		}
		a, err := g.Run(t.Context(), plan)
		if err != nil || a.Error != "" || a.Phase != incident.Acted || len(a.Undo) > 0 {
			t.Fatalf("%s: %+v, %v", what, a, err)
		}
		gone := g.gone(all...)
		if diff := cmp.Diff(want, gone); diff != "" {
			t.Errorf("%s: %s", what, diff)
		}
		for i, name := range gone {
			if !strings.Contains(plan.Detail[i], fmt.Sprintf("%q", name)) || strings.Contains(plan.Detail[i], "BEGIN") {
				t.Errorf("%s: the dry run lists %q, not %s", what, plan.Detail[i], name)
			}
		}
		all = slices.DeleteFunc(all, func(name string) bool { return slices.Contains(gone, name) })
	}
	check("of an age", terminate(func(a *remedy.PoolArgs) { a.OlderThan = time.Hour }))
	check("of nobody", terminate(func(a *remedy.PoolArgs) { a.User = "nobody"; a.IdleInTransaction = true }))
	check("idle in a transaction, by application", terminate(func(a *remedy.PoolArgs) { a.IdleInTransaction, a.Application = true, "web" }), "web")
	check("the oldest two of a user", terminate(func(a *remedy.PoolArgs) { a.User, a.Most = "app", 1; a.IdleInTransaction = true }), "oldest")
	check("idle in a transaction", terminate(func(a *remedy.PoolArgs) { a.IdleInTransaction = true }), "older", "other")
	check("any of the pool", terminate(func(*remedy.PoolArgs) {}), "resting")
	if gone := g.gone(spared...); len(gone) > 0 {
		t.Errorf("gone are also %q", gone)
	}
}

// Who has done something since, and who has only the process ID of somebody else, is spared.
func testSessionThatIsAnother(t *testing.T, r *rig) {
	g := newBase(t, r)
	k := pool.New(nil)
	g.idle("app", g.Database, "a", "b")
	q := g.with(terminate(func(a *remedy.PoolArgs) { a.User = "app" }))

	s, _ := acttest.Stage(t, k, q)
	g.ask("a", "SELECT 1")
	pool.Born(s, 1, "2000-01-01 00:00:00.000000")
	if err := k.Act(t.Context(), s); err != nil || s.After != nil {
		t.Errorf("%v, after %+v", err, s.After)
	}
	if gone := g.gone("a", "b"); len(gone) > 0 {
		t.Fatalf("gone are %q", gone)
	}

	s, a := acttest.Stage(t, k, q)
	stop := make(chan struct{})
	close(stop)
	s.Halt = stop
	if err := k.Act(t.Context(), s); !errors.Is(err, kind.ErrHalt) || s.After != nil {
		t.Errorf("told to stop: %v, after %+v", err, s.After)
	}
	s.Halt = nil
	if phase, why := k.Settle(t.Context(), a); phase != incident.NotDone {
		t.Errorf("before it ran: %s, %s", phase, why)
	}
	if err := k.Act(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	if phase, why := k.Settle(t.Context(), a); phase != incident.Acted || why != "2 of 2 sessions are gone" {
		t.Errorf("after it ran: %s, %s", phase, why)
	}
	if err := k.Act(t.Context(), s); err != nil { // twice
		t.Error(err)
	}
}

func testSessionsThatMustNotBeEnded(t *testing.T, r *rig) {
	g := newBase(t, r)
	p := g.service.Pools[0]
	some := terminate(func(a *remedy.PoolArgs) { a.User = "app" })
	g.idle("app", g.Database, "a")
	refused := func(args *remedy.PoolArgs, want string, unknown bool) {
		t.Helper()
		_, err := g.do(g.with(args))
		refusal, _ := err.(*kind.Refusal)
		if refusal == nil || !strings.Contains(refusal.Reason, want) || refusal.Unknown != unknown {
			t.Errorf("%v, want %q", err, want)
		}
	}
	refused(terminate(func(a *remedy.PoolArgs) { a.OlderThan = 0 }), "says of no sessions", false) // empty-means-all
	refused(terminate(func(a *remedy.PoolArgs) { a.Most = 0 }), "says of no sessions", false)
	p.User = "weak"
	refused(some, "GRANT pg_signal_backend, pg_read_all_stats", false)
	g.ask("root", "GRANT pg_read_all_stats TO weak")
	refused(some, "GRANT pg_signal_backend, pg_read_all_stats", false)
	p.User = "self"
	g.idle("self", g.Database, "b")
	refused(terminate(func(a *remedy.PoolArgs) { a.User = "self" }), "no session that is to be ended", false) // its own
	p.User = "nobody"
	refused(some, `role "nobody" does not exist`, true)
	p.User, p.Database = "salve", "none"
	refused(some, "cannot be known now", true)
	p.Database = g.Database
	pair := agenttest.Certificate(t, time.Hour)
	p.Postgres, p.Secure = agenttest.Front(t, p.Postgres, &pair), true
	refused(some, "unknown authority", true)
	if gone := g.gone("a", "b"); len(gone) > 0 {
		t.Errorf("gone are %q", gone)
	}
}
