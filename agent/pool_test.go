package agent

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/salveops/salve/agent/agenttest"
)

// Clients that wait for a connection of a real PgBouncer are seen, its pool is made to reconnect, and the
// recovery is proved by the pool's own figures.
func TestPoolIsReset(t *testing.T) {
	t.Parallel()
	pool := agenttest.PgBouncer(t)
	h := newWeb(t)
	h.configure(fmt.Sprintf(`
allow {
  pools   = ["db"]
  actions = ["reset_pool"]
}
service "web" {
  unit    = "web.service"
  startup = "100ms"
  pool "db" {
    pgbouncer = %q
    database  = %q
    user      = %q
    every     = "200ms"
  }
  remedy "reset_pool" "reconnect" {
    pool = "db"
    verify {
      within = "15s"
      hold   = "100ms"
    }
  }
}
rule "db-full" {
  services  = ["web"]
  when      = pool.db.waiting > 0
  for       = "1s"
  clear_for = "1s"
  try       = ["reconnect"]
}
`, pool.Socket, pool.Database, pool.Admin))
	a := h.start(nil)
	a.reads("pool.db.waiting", "web", 0)

	// Two clients keep the pool's two connections, a third one waits.
	var holders []*pgconn.PgConn
	for range 2 {
		c, err := pool.Connect(t.Context(), pool.User, pool.Database)
		if err != nil {
			t.Fatal(err)
		}
		holders = append(holders, c)
		if _, err := c.Exec(t.Context(), "SELECT 1").ReadAll(); err != nil {
			t.Fatal(err)
		}
	}
	third := make(chan error, 1)
	go func() {
		c, err := pool.Connect(t.Context(), pool.User, pool.Database)
		if err == nil {
			_, err = c.Exec(t.Context(), "SELECT 1").ReadAll()
			_ = c.Close(context.WithoutCancel(t.Context()))
		}
		third <- err
	}()

	a.await(event{typ: "act", service: "web", text: "reconnect on db took"})
	for _, c := range holders { // customers see the reset and come back later
		if err := c.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if err := <-third; err != nil {
		t.Errorf("the client that waited: %v", err)
	}
	in := a.ended("web")
	if in.GetSummary().GetEnd() != "reconnect healed it" {
		t.Errorf("the end is %q", in.GetSummary().GetEnd())
	}
	at := in.GetAttempts()
	if len(at) != 1 || at[0].GetOutcome() != "verified" || at[0].GetTarget() != "db" ||
		!strings.Contains(at[0].GetBefore(), `"servers":2`) || !strings.Contains(at[0].GetAfter(), `"closing":2`) {
		t.Errorf("the attempts are %v", at)
	}
}
