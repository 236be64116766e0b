package pool

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/salveops/salve/agent/internal/act/kind"
	"github.com/salveops/salve/agent/internal/postgres"
)

// console is a connection to PgBouncer's console.
type console struct{ c *postgres.Conn }

func openConsole(ctx context.Context, at address) (*console, error) {
	c, err := at.connect(ctx, postgres.Console)
	if err != nil {
		return nil, fmt.Errorf("the pool's console: %w", err)
	}
	return &console{c}, nil
}

func (c *console) close() { _ = c.c.Close() } // nothing hangs on a good-bye

func (c *console) ask(ctx context.Context, command string) (postgres.Table, error) {
	return ask(ctx, c.c, command)
}

// database is what the console says of one.
type database struct{ known, paused, disabled bool }

func (c *console) database(ctx context.Context, name string) (database, error) {
	t, err := c.ask(ctx, "SHOW DATABASES")
	for _, row := range t.Rows {
		if t.Cell(row, "name") == name {
			return database{true, t.Cell(row, "paused") == "1", t.Cell(row, "disabled") == "1"}, err
		}
	}
	return database{}, err
}

// runs refuses unless the database exists and serves: a paused or disabled one is a person's doing.
func (c *console) runs(ctx context.Context, name string) error {
	switch d, err := c.database(ctx, name); {
	case err != nil:
		return kind.Unknown("the databases of the pool", err)
	case !d.known:
		return kind.Refuse("PgBouncer has no database %q", name)
	case d.paused:
		return kind.Refuse("database %s is paused: a person is at work on it", name)
	case d.disabled:
		return kind.Refuse("database %s is disabled: a person wants it so", name)
	}
	return nil
}

// alone refuses a port that several processes share: the kernel chooses who answers, so that one of them would be told to pause,
// and another one to go on. A socket is that of one process.
func (c *console) alone(ctx context.Context, at address) error {
	if filepath.IsAbs(at.Address) {
		return nil
	}
	t, err := c.ask(ctx, "SHOW CONFIG")
	if err != nil {
		return kind.Unknown("the settings of PgBouncer", err)
	}
	for _, row := range t.Rows {
		if t.Cell(row, "key") == "so_reuseport" && t.Cell(row, "value") != "0" {
			return kind.Refuse("several PgBouncers may share %s (so_reuseport), and any of them answers: name the socket of one", at.Address)
		}
	}
	return nil
}

func (c *console) servers(ctx context.Context, name string) (connections, error) {
	var found connections
	t, err := c.ask(ctx, "SHOW SERVERS")
	for _, row := range t.Rows {
		if t.Cell(row, "database") != name {
			continue
		}
		found.Servers++
		if t.Cell(row, "close_needed") == "1" {
			found.Closing++
			continue
		}
		// The time is in whole seconds, in which a pool may have replaced it.
		one := fmt.Sprintf("%s (%s, process %s, port %s)", t.Cell(row, "connect_time"), t.Cell(row, "ptr"), t.Cell(row, "remote_pid"),
			t.Cell(row, "local_port"))
		found.open = append(found.open, one)
	}
	if len(found.open) > 0 {
		found.Oldest = slices.Min(found.open)
	}
	return found, err
}

// quoteName makes a name safe inside a console command.
func quoteName(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }
