package probe

import (
	"strings"
	"testing"
	"time"

	"github.com/salveops/salve/agent/agenttest"
	"github.com/salveops/salve/agent/internal/postgres"
)

func TestRealPostgres(t *testing.T) {
	p := agenttest.PgBouncer(t)
	good := Target{Postgres: p.Postgres, Database: p.Database, User: p.User, Timeout: 5 * time.Second}
	ask := func(change func(*Target)) answer {
		target := good
		change(&target)
		a, err := newAsker(target.normal(), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer a.close()
		return a.ask(false)
	}
	if got := ask(func(*Target) {}); got.err != nil || !got.answered || got.latency <= 0 {
		t.Errorf("%+v", got)
	}
	if got := ask(func(o *Target) { o.Postgres = p.Socket }); got.err != nil {
		t.Errorf("through PgBouncer: %+v", got)
	}
	pair := agenttest.Certificate(t, time.Hour)
	front, ca := agenttest.Front(t, p.Postgres, &pair), agenttest.CAFile(t, pair)
	if got := ask(func(o *Target) { o.Postgres, o.Secure, o.CAFile = front, true, ca }); got.err != nil {
		t.Errorf("over TLS: %+v", got)
	}
	for want, change := range map[string]func(*Target){
		"unknown authority": func(o *Target) { o.Postgres, o.Secure = front, true },
		"stranger":          func(o *Target) { o.User = "stranger" },
		"no-such":           func(o *Target) { o.Database = "no-such" },
		"no such file":      func(o *Target) { o.PasswordFile = "/does/not/exist" },
	} {
		if got := ask(change); got.err == nil || got.answered || !strings.Contains(got.err.Error(), want) {
			t.Errorf("%s: %+v", want, got)
		}
	}
}

// The connection is kept; one that the server ended meanwhile is no miss; a server that is gone is one.
func TestRealPostgresConnection(t *testing.T) {
	p := agenttest.PgBouncer(t)
	target := Target{Postgres: p.Postgres, Database: p.Database, User: p.User, Timeout: 5 * time.Second}
	a, err := newAsker(target.normal(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer a.close()
	h := a.(*line[*postgres.Conn])
	if got := h.ask(false); got.err != nil {
		t.Fatal(got.err)
	}
	first := h.idle
	if got := h.ask(false); got.err != nil || h.idle != first {
		t.Errorf("%+v; the connection was kept: %v", got, h.idle == first)
	}
	c, err := postgres.Connect(t.Context(), postgres.Target{Address: p.Postgres, Database: p.Database, User: p.User})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Ask(t.Context(), "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "+
		"WHERE usename = 'app' AND pid <> pg_backend_pid()"); err != nil {
		t.Fatal(err)
	}
	if got := h.ask(false); got.err != nil || h.idle == first {
		t.Errorf("after the server ended the connection: %+v", got)
	}
	p.StopPostgres()
	if got := h.ask(false); got.err == nil || got.answered {
		t.Errorf("gone: %+v", got)
	}
}
