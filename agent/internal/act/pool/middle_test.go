package pool_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/salveops/salve/agent/agenttest"
	"github.com/salveops/salve/agent/internal/act/acttest"
	"github.com/salveops/salve/agent/internal/act/kind"
	"github.com/salveops/salve/agent/internal/act/pool"
	"github.com/salveops/salve/pkg/incident"
	"github.com/salveops/salve/pkg/remedy"
)

// Who is told to stop when the pause is done already has nothing to complain of.
func testStopAfterThePause(t *testing.T, g *rig) {
	old, stop := g.query(whoami), make(chan struct{})
	g.service.Pools[0].PgBouncer = acttest.Tap(t, g.Socket, "RESUME", func() { close(stop) })
	s, _ := acttest.Stage(t, pool.New(nil), g.with(pause(time.Minute)))
	s.Halt = stop
	if err := pool.New(nil).Act(t.Context(), s); err != nil || s.Undo != nil || s.After == nil {
		t.Errorf("%v, %+v", err, s)
	}
	if g.paused() || g.query(whoami) == old {
		t.Error("the pool has its old connection, or is paused")
	}
}

// Of two sessions one may not be ended any more: the other one is gone, and it is said.
func testHalfOfThemEnd(t *testing.T, r *rig) {
	g := newBase(t, r)
	k := pool.New(nil)
	g.idle("app", g.Database, "a")
	g.idle("other", g.Database, "b")
	s, a := acttest.Stage(t, k, g.with(terminate(func(a *remedy.PoolArgs) { a.IdleInTransaction = true })))
	g.ask("root", "ALTER ROLE other SUPERUSER")
	if err := k.Act(t.Context(), s); err == nil || !strings.Contains(err.Error(), "of 2 were 1: ask: ERROR: must be a superuser") ||
		errors.Is(err, kind.ErrLost) {
		t.Errorf("half of it: %v", err)
	}
	if after := string(kind.Raw(s.After)); !strings.Contains(after, `"application":"a"`) || strings.Contains(after, `"application":"b"`) {
		t.Errorf("evidence %s", after)
	}
	if gone := g.gone("a", "b"); len(gone) != 1 || gone[0] != "a" {
		t.Errorf("gone are %q", gone)
	}
	if phase, why := k.Settle(t.Context(), a); phase != incident.Acted || why != "1 of 2 sessions are gone" {
		t.Errorf("in the middle: %s, %s", phase, why)
	}
	g.ask("root", "REVOKE pg_read_all_stats FROM salve") // so that it sees nobody any more
	if phase, why := k.Settle(t.Context(), a); phase != incident.Unknown || !strings.Contains(why, "may not see") {
		t.Errorf("who sees nobody: %s, %s", phase, why)
	}
}

// PostgreSQL does not answer, or is gone, in the middle; and PgBouncer is gone before it could be told to go on. Of several
// PgBouncers on one port nobody knows which one was told.
func TestServersThatGo(t *testing.T) {
	t.Parallel()
	g := newRig(t, agenttest.PgBouncer(t, "so_reuseport = 1"))
	k := pool.New(nil)
	g.service.Pools[0].PgBouncer = agenttest.Front(t, g.Socket, nil)
	for _, args := range []*remedy.PoolArgs{{Pool: "db", Mode: "reconnect"}, pause(time.Second), kill()} {
		if _, err := g.Prepare(t.Context(), g.with(args)); err == nil || !strings.Contains(err.Error(), "several PgBouncers may share") {
			t.Errorf("%s of one of several: %v", args.Mode, err)
		}
	}
	g.service.Pools[0].PgBouncer = g.Socket
	_, reconnect := acttest.Stage(t, k, g.request())
	front := g.service.Pools[0]
	b := newBase(t, g)
	database := g.service.Pools[0]
	b.idle("app", g.Database, "a", "b")
	ending := g.with(terminate(func(a *remedy.PoolArgs) { a.User = "app" }))
	over := make(chan struct{})
	database.Postgres = acttest.Tap(t, g.Postgres, "pg_terminate_backend", func() { <-over })
	s, _ := acttest.Stage(t, k, ending)
	slow := make(chan error, 1)
	go func(s *kind.Step) { slow <- k.Act(t.Context(), s) }(s)

	g.service.Pools[0] = front
	front.PgBouncer = acttest.Tap(t, g.Socket, "KILL", g.Pool.StopBouncer)
	killing, killed := acttest.Stage(t, k, g.with(kill()))
	err := k.Act(t.Context(), killing)
	if !errors.Is(err, kind.ErrLost) || !strings.Contains(err.Error(), "may be out of service") || killing.Undo == nil || killing.For == 0 {
		t.Errorf("PgBouncer is gone: %v, %+v", err, killing)
	}
	for _, a := range []*incident.Attempt{reconnect, killed} {
		if phase, why := k.Settle(t.Context(), a); phase != incident.Unknown {
			t.Errorf("PgBouncer is gone: %s, %s, %+v", phase, why, a)
		}
	}
	if len(killed.Undo) == 0 || killed.For == 0 {
		t.Errorf("nobody would resume it: %+v", killed)
	}
	var refusal *kind.Refusal
	if err := k.Undo(t.Context(), killed); err == nil || errors.As(err, &refusal) {
		t.Errorf("nobody would try again: %v", err)
	}

	if err := <-slow; !errors.Is(err, kind.ErrLost) || !errors.Is(err, context.DeadlineExceeded) || len(b.gone("a", "b")) > 0 {
		t.Errorf("PostgreSQL does not answer: %v", err)
	}
	close(over)
	g.service.Pools[0] = database
	database.Postgres = acttest.Tap(t, g.Postgres, "pg_terminate_backend", g.StopPostgres)
	s, a := acttest.Stage(t, k, ending)
	if err := k.Act(t.Context(), s); !errors.Is(err, kind.ErrLost) || s.After == nil {
		t.Errorf("PostgreSQL is gone: %v, %+v", err, s)
	}
	if phase, why := k.Settle(t.Context(), a); phase != incident.Unknown {
		t.Errorf("PostgreSQL is gone: %s, %s", phase, why)
	}
	if err := k.Act(t.Context(), s); err == nil || !strings.Contains(err.Error(), "nothing was done") {
		t.Errorf("without PostgreSQL: %v", err)
	}
}

// A HAProxy that hangs while a server is drained has it ready again when it answers; one that is gone is asked again.
func TestHAProxyHangsInADrain(t *testing.T) {
	t.Parallel()
	g := newBalance(t)
	k := pool.New(nil)
	before, hangs := g.servers(), g.get()
	<-g.stuck
	s, a := acttest.Stage(t, k, g.drain("a", time.Minute))
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- k.Act(ctx, s) }()
	agenttest.Eventually(t, func() bool { return g.state("a") == "2 8" }, "a is drained")
	if err := g.Freeze(); err != nil {
		t.Fatal(err)
	}
	stop()
	if err := <-done; !errors.Is(err, kind.ErrLost) || !strings.Contains(err.Error(), "may be out of service") || s.Undo == nil || s.For == 0 {
		t.Fatalf("%v, %+v", err, s)
	}
	if err := g.Thaw(); err != nil {
		t.Fatal(err)
	}
	diesAfter(t, g.journal, a)
	after := g.servers()
	if got, _ := json.Marshal(after); len(after) != len(before) || g.state("a") != "2 0" {
		t.Errorf("HAProxy is not as before: %s", got)
	}
	select {
	case <-hangs:
		t.Error("the request that hung was cut off")
	default:
	}
	g.Stop()
	var refusal *kind.Refusal
	if err := k.Undo(t.Context(), a); err == nil || errors.As(err, &refusal) {
		t.Errorf("nobody would try again: %v", err)
	}
}
