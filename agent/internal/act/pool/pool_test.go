package pool_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/salveops/salve/agent/agenttest"
	"github.com/salveops/salve/agent/internal/act"
	"github.com/salveops/salve/agent/internal/act/acttest"
	"github.com/salveops/salve/agent/internal/act/kind"
	"github.com/salveops/salve/agent/internal/act/pool"
	"github.com/salveops/salve/pkg/config"
	"github.com/salveops/salve/pkg/incident"
	"github.com/salveops/salve/pkg/remedy"
)

// rig is a runner that needs no manager, with a real pool.
type rig struct {
	*act.Runner
	*agenttest.Pool
	journal *acttest.Journal
	t       *testing.T
	service *config.Service
}

func newRig(t *testing.T, p *agenttest.Pool) *rig {
	t.Helper()
	j := acttest.OpenJournal(t, t.TempDir())
	return &rig{Runner: newRunner(t, j), Pool: p, journal: j, t: t, service: &config.Service{Pools: []*config.Pool{
		{Name: "db", PgBouncer: p.Socket, Database: p.Database, User: p.Admin},
	}}}
}

// newRunner is that of an agent that begins to live with the journal.
func newRunner(t *testing.T, j *acttest.Journal) *act.Runner {
	t.Helper()
	r, err := act.New(act.Options{
		Systemd: acttest.IdleWatcher(t), Journal: j, Clock: acttest.Clock(t),
		Allow: []config.Allow{{Pools: []string{"db"}, Actions: []string{"reset_pool"}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// serve runs the dead man's switch of a runner to the end of the test.
func serve(t *testing.T, r *act.Runner) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- r.Serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// diesAfter is what the next agent makes of an attempt that was in the middle of its action: it settles it, and does what
// is then due until the attempt is taken back.
func diesAfter(t *testing.T, j *acttest.Journal, a *incident.Attempt) {
	t.Helper()
	if err := j.PutAttempt(a); err != nil {
		t.Fatal(err)
	}
	next := newRunner(t, j)
	settled := next.Settle(t.Context())
	if len(settled) != 1 || settled[0].Phase != incident.Acted || !strings.Contains(settled[0].Reason, "was left") {
		t.Fatalf("settled as %+v", settled)
	}
	serve(t, next)
	agenttest.Eventually(t, func() bool {
		now, err := j.Attempt(a.ID)
		return err == nil && now.Phase == incident.Undone
	}, "the attempt is taken back")
}

func (g *rig) request() kind.Request {
	return g.with(&remedy.PoolArgs{Pool: "db", Mode: "reconnect"})
}

func (g *rig) with(args *remedy.PoolArgs) kind.Request {
	q := acttest.Ask(remedy.ResetPool, "", args)
	q.Remedy.Service = g.service
	return q
}

func (g *rig) run() (incident.Attempt, error) { return g.do(g.request()) }

func (g *rig) do(q kind.Request) (incident.Attempt, error) {
	p, err := g.Prepare(g.t.Context(), q)
	if err != nil {
		return incident.Attempt{}, err
	}
	return g.Run(g.t.Context(), p)
}

// query asks the database through the pool, on a connection of its own.
func (g *rig) query(sql string) string {
	g.t.Helper()
	c, err := g.Connect(g.t.Context(), g.User, g.Database)
	if err != nil {
		g.t.Fatal(err)
	}
	defer c.Close(g.t.Context())
	results, err := c.Exec(g.t.Context(), sql).ReadAll()
	if err != nil {
		g.t.Fatal(err)
	}
	return string(results[0].Rows[0][0])
}

func (g *rig) console(command string) {
	g.t.Helper()
	c, err := g.Connect(g.t.Context(), g.Admin, "pgbouncer")
	if err != nil {
		g.t.Fatal(err)
	}
	defer c.Close(g.t.Context())
	if err := c.Exec(g.t.Context(), command).Close(); err != nil {
		g.t.Fatal(err)
	}
}

// TestOnePool are the tests that leave a pool as it was, so that one is enough: each begins without clients and connections.
func TestOnePool(t *testing.T) {
	t.Parallel()
	p := agenttest.PgBouncer(t)
	for _, c := range []struct {
		name string
		test func(*testing.T, *rig)
	}{
		{"ResetPool", testResetPool},
		{"PoolIsSettledByItsConnections", testPoolIsSettledByItsConnections},
		{"PoolThatMustNotBeReset", testPoolThatMustNotBeReset},
		{"PoolThatHangs", testPoolThatHangs},
		{"PauseAndKill", testPauseAndKill},
		{"AgentDiesInAPause", testAgentDiesInAPause},
		{"StopAfterThePause", testStopAfterThePause},
		{"Terminate", testTerminate},
		{"HalfOfThemEnd", testHalfOfThemEnd},
		{"SessionThatIsAnother", testSessionThatIsAnother},
		{"SessionsThatMustNotBeEnded", testSessionsThatMustNotBeEnded},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := newRig(t, p)
			g.console("KILL app")
			g.console("RESUME app")
			c.test(t, g)
		})
	}
}

func testResetPool(t *testing.T, g *rig) {
	old := g.query(whoami)
	if again := g.query(whoami); again != old {
		t.Fatalf("the pool does not keep its connection: %s, then %s", old, again)
	}
	busy, err := g.Connect(t.Context(), g.User, g.Database) // a client in the middle of its work
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close(t.Context())
	if err := busy.Exec(t.Context(), "BEGIN").Close(); err != nil {
		t.Fatal(err)
	}

	a, err := g.run()
	if err != nil || a.Error != "" || a.Target != "db" {
		t.Fatalf("reset: %+v, %v", a, err)
	}
	if err := busy.Exec(t.Context(), "SELECT 1; COMMIT").Close(); err != nil {
		t.Errorf("a client was cut: %v", err)
	}
	busy.Close(t.Context())
	if now := g.query(whoami); now == old {
		t.Errorf("the connection to the database is still %s", old)
	}
	var before, after struct{ Servers, Closing int }
	if json.Unmarshal(a.Before, &before) != nil || json.Unmarshal(a.After, &after) != nil {
		t.Fatalf("evidence %s, %s", a.Before, a.After)
	}
	if before.Servers != 1 || before.Closing != 0 || after.Servers != after.Closing {
		t.Errorf("connections before %+v, after %+v", before, after)
	}
	if strings.Contains(string(a.Before), "password\":\"") {
		t.Error("a secret is in the evidence")
	}
}

func testPoolIsSettledByItsConnections(t *testing.T, g *rig) {
	front, pair := g.service.Pools[0], agenttest.Certificate(t, time.Hour)
	front.PgBouncer, front.Secure, front.CAFile = agenttest.Front(t, front.PgBouncer, &pair), true, agenttest.CAFile(t, pair)
	g.query("SELECT 1")
	k := pool.New(nil)
	s, a := acttest.Stage(t, k, g.request())
	if phase, why := k.Settle(t.Context(), a); phase != incident.NotDone {
		t.Errorf("before it ran: %s, %s", phase, why)
	}
	for range 2 { // double-run
		if err := k.Act(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	if phase, why := k.Settle(t.Context(), a); phase != incident.Acted {
		t.Errorf("after it ran: %s, %s", phase, why)
	}
}

func testPoolThatMustNotBeReset(t *testing.T, g *rig) {
	expect := func(want string) {
		t.Helper()
		if _, err := g.run(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("reset: %v, want %q", err, want)
		}
	}
	g.console("PAUSE app")
	expect("is paused: a person")
	g.console("RESUME app")
	g.console("DISABLE app")
	expect("is disabled: a person")
	g.console("ENABLE app")
	p := g.service.Pools[0]
	p.Database = `x"; SHUTDOWN; --`
	expect("has no database")
	p.Database, p.User = g.Database, g.Stats
	if a, err := g.run(); err == nil && a.Error == "" {
		t.Error("a user without the right reset the pool")
	}
	p.User = "nobody"
	expect("authentication failed")
	p.User, p.PasswordFile = g.Admin, "/nonexistent"
	expect("read password")
	pair := agenttest.Certificate(t, time.Hour)
	p.PasswordFile, p.PgBouncer, p.Secure = "", agenttest.Front(t, p.PgBouncer, &pair), true
	expect("unknown authority")
	p.PgBouncer, p.Secure = "/nonexistent/.s.PGSQL.6432", false
	expect("cannot be known now")
	p.PgBouncer = "/nonexistent/socket"
	expect("not named .s.PGSQL.PORT")
	for _, mode := range []string{"terminate", "drain", "flush", ""} {
		if _, err := g.do(g.with(&remedy.PoolArgs{Pool: "db", Mode: mode})); err == nil ||
			!strings.Contains(err.Error(), "pgbouncer, which has no mode") {
			t.Errorf("mode %q: %v", mode, err)
		}
	}
	g.service.Pools = nil
	expect(`has no pool "db"`)
	g.SetAllow(nil)
	expect("has no pool")
}

func testPoolThatHangs(t *testing.T, g *rig) {
	k := pool.New(nil)
	s, _ := acttest.Stage(t, k, g.request())
	if err := g.Freeze(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = g.Thaw() }()
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if err := k.Act(ctx, s); err == nil {
		t.Error("a frozen pool was reset")
	}
}
