package pool_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/salveops/salve/agent/agenttest"
	"github.com/salveops/salve/agent/internal/act/acttest"
	"github.com/salveops/salve/agent/internal/act/kind"
	"github.com/salveops/salve/agent/internal/act/pool"
	"github.com/salveops/salve/pkg/incident"
	"github.com/salveops/salve/pkg/remedy"
)

func pause(wait time.Duration) *remedy.PoolArgs {
	return &remedy.PoolArgs{Pool: "db", Mode: "pause", Wait: wait}
}

func kill() *remedy.PoolArgs { return &remedy.PoolArgs{Pool: "db", Mode: "kill"} }

func (g *rig) paused() bool {
	g.t.Helper()
	rows, err := g.Show(g.t.Context(), "databases")
	if err != nil {
		g.t.Fatal(err)
	}
	for _, row := range rows {
		if row["name"] == g.Database {
			return row["paused"] == "1"
		}
	}
	g.t.Fatal("the database is gone")
	return false
}

// busy is a client in the middle of its work.
func (g *rig) busy() *pgconn.PgConn {
	g.t.Helper()
	c, err := g.Connect(g.t.Context(), g.User, g.Database)
	if err != nil {
		g.t.Fatal(err)
	}
	g.t.Cleanup(func() { _ = c.Close(g.t.Context()) })
	if err := c.Exec(g.t.Context(), "BEGIN").Close(); err != nil {
		g.t.Fatal(err)
	}
	return c
}

const whoami = "SELECT pg_backend_pid()"

func testPauseAndKill(t *testing.T, g *rig) {
	config := g.settings()
	inService := func(t *testing.T, a incident.Attempt) {
		t.Helper()
		onDisk, err := g.journal.Attempt(a.ID)
		if err != nil || len(onDisk.Undo) > 0 || onDisk.For != 0 {
			t.Errorf("there is something to be taken back: %+v, %v", onDisk, err)
		}
		if g.paused() {
			t.Fatal("the pool is paused")
		}
		if diff := cmp.Diff(config, g.settings()); diff != "" {
			t.Errorf("other things have changed: %s", diff)
		}
	}
	for _, args := range []*remedy.PoolArgs{pause(10 * time.Second), kill()} {
		t.Run(args.Mode, func(t *testing.T) {
			old := g.query(whoami)
			a, err := g.do(g.with(args))
			if err != nil || a.Error != "" || a.Phase != incident.Acted {
				t.Fatalf("%+v, %v", a, err)
			}
			inService(t, a)
			if g.query(whoami) == old {
				t.Error("the connection to the database is the old one")
			}
		})
	}
	t.Run("pause that takes too long", func(t *testing.T) {
		client := g.busy()
		a, err := g.do(g.with(pause(200 * time.Millisecond)))
		if err != nil || a.Phase != incident.Acted || !strings.Contains(a.Error, "did not end in time") {
			t.Fatalf("%+v, %v", a, err)
		}
		inService(t, a)
		if err := client.Exec(t.Context(), "COMMIT").Close(); err != nil {
			t.Errorf("the client was cut off: %v", err)
		}
		client.Close(t.Context())
	})
	t.Run("pause that is told to stop", func(t *testing.T) {
		client := g.busy()
		s, _ := acttest.Stage(t, pool.New(nil), g.with(pause(time.Minute)))
		stop, done := make(chan struct{}), make(chan error, 1)
		s.Halt = stop
		go func() { done <- pool.New(nil).Act(t.Context(), s) }()
		agenttest.Eventually(t, g.paused, "the pool is paused")
		close(stop)
		if err := <-done; !errors.Is(err, kind.ErrHalt) || errors.Is(err, kind.ErrLost) || s.Undo != nil || g.paused() {
			t.Errorf("%v, %+v, paused %v", err, s, g.paused())
		}
		if err := client.Exec(t.Context(), "COMMIT").Close(); err != nil {
			t.Errorf("the client was cut off: %v", err)
		}
		client.Close(t.Context())
	})
	t.Run("kill cuts off who is at work", func(t *testing.T) {
		client := g.busy()
		a, err := g.do(g.with(kill()))
		if err != nil || a.Error != "" {
			t.Fatalf("%+v, %v", a, err)
		}
		inService(t, a)
		if err := client.Exec(t.Context(), "COMMIT").Close(); err == nil {
			t.Error("the client works on")
		}
		g.query(whoami)
	})
}

// settings is what the console says that no reset may change.
func (g *rig) settings() (all []map[string]string) {
	g.t.Helper()
	for _, what := range []string{"config", "databases", "users"} {
		rows, err := g.Show(g.t.Context(), what)
		if err != nil {
			g.t.Fatal(err)
		}
		for _, row := range rows {
			delete(row, "current_connections")
			all = append(all, row)
		}
	}
	return all
}

// dies-in-the-middle: the agent may die before, within and after a pause. What it left paused is resumed once, and never what a person paused.
func testAgentDiesInAPause(t *testing.T, g *rig) {
	k := pool.New(nil)
	for _, args := range []*remedy.PoolArgs{pause(time.Minute), kill()} {
		t.Run(args.Mode, func(t *testing.T) {
			g.query(whoami)
			_, a := acttest.Stage(t, k, g.with(args))
			if len(a.Undo) == 0 || a.For <= args.Wait {
				t.Fatalf("nobody would resume it: %+v", a)
			}
			if phase, why := k.Settle(t.Context(), a); phase != incident.NotDone || len(a.Undo) > 0 || a.For != 0 {
				t.Errorf("before it ran: %s, %s, %+v", phase, why, a)
			}

			_, a = acttest.Stage(t, k, g.with(args))
			g.console(strings.ToUpper(args.Mode) + " app")
			diesAfter(t, g.journal, a)
			if g.paused() {
				t.Error("the pool was left paused")
			}
			g.console("PAUSE app")
			if _, err := newRunner(t, g.journal).Undo(t.Context(), a.ID); err != nil || !g.paused() {
				t.Errorf("what a person paused was resumed, %v", err)
			}
			g.console("RESUME app")

			s, _ := acttest.Stage(t, k, g.with(args))
			g.console("PAUSE app")
			if err := k.Act(t.Context(), s); err == nil || !strings.Contains(err.Error(), "nothing was done") || s.Undo != nil || s.For != 0 {
				t.Errorf("a person was quicker: %v, %+v", err, s)
			}
			if !g.paused() {
				t.Error("what a person paused was resumed")
			}
			g.console("RESUME app")

			g.query(whoami)
			for range 2 { // and within a second has a new connection, which is another one
				s, a = acttest.Stage(t, k, g.with(args))
				if err := k.Act(t.Context(), s); err != nil || g.paused() {
					t.Fatal(err, g.paused())
				}
				g.query(whoami)
			}
			if phase, why := k.Settle(t.Context(), a); phase != incident.Acted || len(a.Undo) > 0 || a.For != 0 {
				t.Errorf("after it ran: %s, %s, %+v", phase, why, a)
			}
		})
	}
}

// A PgBouncer that hangs while it pauses is resumed when it answers again.
func TestPgBouncerHangsInAPause(t *testing.T) {
	t.Parallel()
	g := newRig(t, agenttest.PgBouncer(t))
	client := g.busy()
	done := make(chan incident.Attempt, 1)
	go func() {
		a, err := g.do(g.with(pause(5 * time.Second))) // enough to see that it is paused
		if err != nil {
			t.Error(err)
		}
		done <- a
	}()
	agenttest.Eventually(t, g.paused, "the pool is paused")
	if err := g.Freeze(); err != nil {
		t.Fatal(err)
	}
	a := <-done
	if err := g.Thaw(); err != nil {
		t.Fatal(err)
	}
	if a.Phase != incident.Unknown || !strings.Contains(a.Error, "may be out of service") || len(a.Undo) == 0 || a.For == 0 {
		t.Fatalf("%+v", a)
	}
	// The next agent finds an attempt whose end nobody knows, and it is over time.
	serve(t, newRunner(t, g.journal))
	agenttest.Eventually(t, func() bool { return !g.paused() }, "the pool is resumed")
	if err := client.Exec(t.Context(), "COMMIT").Close(); err != nil {
		t.Error(err)
	}
}
