package pool

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/salveops/salve/agent/internal/act/kind"
	"github.com/salveops/salve/agent/internal/postgres"
)

// console is a connection to PgBouncer's console.
type console struct{ c *postgres.Conn }

// consoleTimeout bounds connecting to the console, and each question that has no earlier end.
const consoleTimeout = 5 * time.Second

func openConsole(ctx context.Context, at address) (*console, error) {
	ctx, cancel := context.WithTimeout(ctx, consoleTimeout)
	defer cancel()
	c, err := postgres.Connect(ctx, postgres.Target{
		Address: at.Address, Database: "pgbouncer", User: at.User, PasswordFile: at.PasswordFile,
		Secure: at.Secure, CAFile: at.CAFile,
	})
	if err != nil {
		return nil, fmt.Errorf("the pool's console: %w", err)
	}
	return &console{c}, nil
}

func (c *console) close() { _ = c.c.Close() } // nothing hangs on a good-bye

func (c *console) ask(ctx context.Context, command string) (postgres.Table, error) {
	ctx, cancel := context.WithTimeout(ctx, consoleTimeout)
	defer cancel()
	return c.c.Ask(ctx, command)
}

// runs refuses unless the database exists and serves: a paused or disabled one is a person's doing.
func (c *console) runs(ctx context.Context, database string) error {
	t, err := c.ask(ctx, "SHOW DATABASES")
	if err != nil {
		return kind.Unknown("the databases of the pool", err)
	}
	for _, row := range t.Rows {
		switch {
		case t.Cell(row, "name") != database:
		case t.Cell(row, "paused") == "1":
			return kind.Refuse("database %s is paused: a person is at work on it", database)
		case t.Cell(row, "disabled") == "1":
			return kind.Refuse("database %s is disabled: a person wants it so", database)
		default:
			return nil
		}
	}
	return kind.Refuse("PgBouncer has no database %q", database)
}

func (c *console) servers(ctx context.Context, database string) (evidence, error) {
	e := evidence{Database: database}
	t, err := c.ask(ctx, "SHOW SERVERS")
	for _, row := range t.Rows {
		if t.Cell(row, "database") != database {
			continue
		}
		e.Servers++
		if t.Cell(row, "close_needed") == "1" {
			e.Closing++
		} else if at := t.Cell(row, "connect_time"); e.Oldest == "" || at < e.Oldest {
			e.Oldest = at
		}
	}
	return e, err
}

// quoteName makes a name safe inside a console command.
func quoteName(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }
