package postgres

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/salveops/salve/agent/agenttest"
)

func TestEndpoint(t *testing.T) {
	tests := []struct {
		in, host string
		port     uint16 // 0: an error
	}{
		{"/run/postgresql/.s.PGSQL.6432", "/run/postgresql", 6432},
		{"db:6432", "db", 6432},
		{"[::1]:5432", "::1", 5432},
		{"/run/postgresql", "", 0},
		{"/run/postgresql/.s.PGSQL.", "", 0},
		{"/run/postgresql/.s.PGSQL.70000", "", 0},
		{"db", "", 0},
		{"db:none-such", "", 0},
	}
	for _, tt := range tests {
		host, port, err := Target{Address: tt.in}.endpoint()
		if (err == nil) != (tt.port != 0) || err == nil && (host != tt.host || port != tt.port) {
			t.Errorf("%s: %q, %d, %v", tt.in, host, port, err)
		}
	}
}

// The environment is the agent's own and says nothing about the servers that it watches.
func TestEnvironmentHasNoSay(t *testing.T) {
	for name, value := range map[string]string{
		"PGHOST": "elsewhere", "PGPORT": "1", "PGUSER": "x", "PGPASSWORD": "x", "PGDATABASE": "x", "PGAPPNAME": "x",
		"PGSSLMODE": "verify-full",
	} {
		t.Setenv(name, value)
	}
	password := filepath.Join(t.TempDir(), "p")
	if err := os.WriteFile(password, []byte("hush\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := Target{Address: "db:6432", Database: "d", User: "u", PasswordFile: password}.config()
	if err != nil {
		t.Fatal(err)
	}
	got := []any{cfg.Host, cfg.Port, cfg.Database, cfg.User, cfg.Password, cfg.RuntimeParams, cfg.TLSConfig != nil,
		len(cfg.Fallbacks)}
	want := []any{"db", uint16(6432), "d", "u", "hush", map[string]string{"application_name": "salve"}, true, 1}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if f := cfg.Fallbacks[0]; f.Host != "db" || f.Port != 6432 || f.TLSConfig != nil {
		t.Errorf("falls back to %+v", f)
	}
	if cfg, err := (Target{Address: "/run/.s.PGSQL.1"}).config(); err != nil || cfg.TLSConfig != nil || len(cfg.Fallbacks) != 0 {
		t.Errorf("a socket: %+v, %v", cfg, err)
	}
	if _, err := (Target{Address: "db:1", PasswordFile: "/does/not/exist"}).config(); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a password that is not there: %v", err)
	}
}

func TestRealServer(t *testing.T) {
	p := agenttest.PgBouncer(t)
	t.Run("over TLS", func(t *testing.T) { overTLS(t, p) })
	c, err := Connect(t.Context(), Target{Address: p.Postgres, Database: p.Database, User: p.User})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	got, err := c.Ask(t.Context(), "SELECT 1 AS one, NULL AS none UNION SELECT 2, '' ORDER BY 1")
	want := Table{Columns: []string{"one", "none"}, Rows: [][]string{{"1", ""}, {"2", ""}}}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v -want +got:\n%s", err, diff)
	}
	var refusal *pgconn.PgError
	if _, err := c.Ask(t.Context(), "nonsense"); !errors.As(err, &refusal) || refusal.Code != "42601" {
		t.Errorf("nonsense: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Ask(ctx, "SELECT 1"); !errors.Is(err, context.Canceled) {
		t.Errorf("after the end: %v", err)
	}
	if _, err := Connect(t.Context(), Target{Address: p.Postgres, Database: p.Database, User: "stranger"}); err == nil ||
		!strings.Contains(err.Error(), "stranger") {
		t.Errorf("a user that is not there: %v", err)
	}
}

// A look at PgBouncer that takes too long leaves a person's PAUSE of the whole server as it is.
func TestPauseOutlivesAQuestion(t *testing.T) {
	p := agenttest.PgBouncer(t)
	person, err := Connect(t.Context(), Target{Address: p.Socket, Database: Console, User: p.Admin})
	if err != nil {
		t.Fatal(err)
	}
	defer person.Close()
	if _, err := person.Ask(t.Context(), "PAUSE"); err != nil {
		t.Fatal(err)
	}
	c, err := Connect(t.Context(), Target{Address: p.Socket, Database: Console, User: p.Stats})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := p.Freeze(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := c.Ask(ctx, "SHOW POOLS"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("PgBouncer hangs: %v", err)
	}
	if err := p.Thaw(); err != nil {
		t.Fatal(err)
	}
	<-c.pg.CleanupDone() // PgBouncer has heard all that is said to it
	var refusal *pgconn.PgError
	if _, err := person.Ask(t.Context(), "PAUSE"); !errors.As(err, &refusal) || !strings.Contains(refusal.Message, "already") {
		t.Errorf("it is paused no more: %v", err)
	}
}

// overTLS: with Secure a server must show a certificate that is trusted, for that host.
func overTLS(t *testing.T, p *agenttest.Pool) {
	pair := agenttest.Certificate(t, time.Hour)
	ca := agenttest.CAFile(t, pair)
	address := agenttest.Front(t, p.Postgres, &pair)
	_, port, _ := net.SplitHostPort(address)
	for _, tt := range []struct {
		name   string
		target Target
		err    string
	}{
		{"trusted", Target{Address: address, Secure: true, CAFile: ca}, ""},
		{"of another authority", Target{Address: address, Secure: true,
			CAFile: agenttest.CAFile(t, agenttest.Certificate(t, time.Hour))}, "unknown authority"},
		{"not of the system's", Target{Address: address, Secure: true}, "unknown authority"},
		{"for another host", Target{Address: "localhost:" + port, Secure: true, CAFile: ca}, "not localhost"},
		{"no TLS", Target{Address: agenttest.Front(t, p.Postgres, nil), Secure: true, CAFile: ca}, "refused TLS"},
		{"no authorities", Target{Address: address, Secure: true, CAFile: "/does/not/exist"}, "read authorities"},
		{"anybody", Target{Address: address}, ""},
		{"anybody in plain text", Target{Address: agenttest.Front(t, p.Postgres, nil)}, ""},
	} {
		tt.target.Database, tt.target.User = p.Database, p.User
		c, err := Connect(t.Context(), tt.target)
		if err == nil {
			_, err = c.Ask(t.Context(), "SELECT 1")
			_ = c.Close()
		}
		if (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.err)
		}
	}
}

func TestTable(t *testing.T) {
	table := Table{Columns: []string{"name", "size"}, Rows: [][]string{{"a", "1"}, {"b"}, {"c", "-1"}, {"d", "1.5"}}}
	for i, want := range []string{"1", "", "-1", "1.5"} {
		if got := table.Cell(table.Rows[i], "size"); got != want {
			t.Errorf("row %d: %q, want %q", i, got, want)
		}
		if n, err := table.Number(table.Rows[i], "size"); (err == nil) != (i == 0) || n < 0 {
			t.Errorf("row %d: %v, %v", i, n, err)
		}
	}
	if _, ok := table.Text(table.Rows[0], "colour"); ok {
		t.Error("a column that is not there has a text")
	}
}
