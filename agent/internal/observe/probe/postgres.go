package probe

import (
	"context"
	"fmt"
	"time"

	"github.com/salveops/salve/agent/internal/postgres"
)

// postgresProtocol asks PostgreSQL, or PgBouncer, for SELECT 1.
type postgresProtocol struct{ target postgres.Target }

// postgresMost bounds what a server says while it logs us in, and in answer to the question.
const postgresMost = 64 << 10

func newPostgres(t Target) postgresProtocol {
	return postgresProtocol{postgres.Target{
		Address: t.Postgres, Database: t.Database, User: t.User, PasswordFile: t.PasswordFile,
		Secure: t.Secure, CAFile: t.CAFile, Most: postgresMost,
	}}
}

func (p postgresProtocol) dial(ctx context.Context, deadline time.Time) (*postgres.Conn, error) {
	ctx, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	return postgres.Connect(ctx, p.target)
}

func (postgresProtocol) sound(*postgres.Conn) bool { return true }

func (postgresProtocol) exchange(ctx context.Context, c *postgres.Conn, deadline time.Time) (answer, fate) {
	ctx, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	t, err := c.Ask(ctx, "SELECT 1")
	switch {
	case err != nil && ctx.Err() != nil:
		return answer{err: err}, drop
	case err != nil:
		return answer{err: err}, stale // also when the server says goodbye: only a fresh connection tells more
	case len(t.Rows) != 1 || len(t.Rows[0]) != 1 || t.Rows[0][0] != "1":
		return answer{answered: true, err: fmt.Errorf("SELECT 1 gave %d rows, not 1", len(t.Rows))}, drop
	}
	return answer{answered: true}, keep
}
