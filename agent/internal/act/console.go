package act

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// console is a connection to PgBouncer's console. It speaks the simple query protocol only.
type console struct{ c *pgconn.PgConn }

// consoleTimeout bounds connecting to the console, and each question that has no earlier end.
const consoleTimeout = 5 * time.Second

func openConsole(ctx context.Context, at poolConsole) (*console, error) {
	ctx, cancel := context.WithTimeout(ctx, consoleTimeout)
	defer cancel()
	host, port, err := consoleAddress(at.Address)
	if err != nil {
		return nil, err
	}
	// Everything is named, so that no PG… variable of the environment has a say.
	cfg, err := pgconn.ParseConfig("sslmode=prefer dbname=pgbouncer passfile=/dev/null servicefile=/dev/null")
	if err != nil {
		return nil, fmt.Errorf("configure console: %w", err)
	}
	cfg.Host, cfg.Port, cfg.User, cfg.Password, cfg.RuntimeParams = host, port, at.User, "", nil
	if filepath.IsAbs(host) {
		cfg.TLSConfig, cfg.Fallbacks = nil, nil
	}
	for _, f := range cfg.Fallbacks {
		f.Host, f.Port = host, port
	}
	if at.PasswordFile != "" {
		secret, err := os.ReadFile(at.PasswordFile)
		if err != nil {
			return nil, fmt.Errorf("read password of the pool's console: %w", err)
		}
		cfg.Password = strings.TrimRight(string(secret), "\r\n")
	}
	c, err := pgconn.ConnectConfig(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("connect to the pool's console: %w", err)
	}
	return &console{c}, nil
}

// consoleAddress splits "/run/postgresql/.s.PGSQL.6432" or "127.0.0.1:6432".
func consoleAddress(address string) (host string, port uint16, err error) {
	var text string
	if filepath.IsAbs(address) {
		dir, file := filepath.Split(address)
		name, ok := strings.CutPrefix(file, ".s.PGSQL.")
		if !ok {
			return "", 0, fmt.Errorf("socket %s is not named .s.PGSQL.PORT", address)
		}
		host, text = filepath.Clean(dir), name
	} else if host, text, err = net.SplitHostPort(address); err != nil {
		return "", 0, fmt.Errorf("address of the pool's console: %w", err)
	}
	n, err := net.LookupPort("tcp", text)
	if err != nil {
		return "", 0, fmt.Errorf("address of the pool's console: %w", err)
	}
	return host, uint16(n), nil
}

func (c *console) close() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = c.c.Close(ctx) // nothing hangs on a good-bye
}

// ask runs one command and returns its rows by column.
func (c *console) ask(ctx context.Context, command string) ([]map[string]string, error) {
	ctx, cancel := context.WithTimeout(ctx, consoleTimeout)
	defer cancel()
	results, err := c.c.Exec(ctx, command).ReadAll()
	if err != nil {
		return nil, err
	}
	var rows []map[string]string
	for _, result := range results {
		for _, columns := range result.Rows {
			row := make(map[string]string, len(columns))
			for i, field := range result.FieldDescriptions {
				row[field.Name] = string(columns[i])
			}
			rows = append(rows, row)
		}
	}
	return rows, nil
}

// runs refuses unless the database exists and serves: a paused or disabled one is a person's doing.
func (c *console) runs(ctx context.Context, database string) error {
	rows, err := c.ask(ctx, "SHOW DATABASES")
	if err != nil {
		return unknown("the databases of the pool", err)
	}
	for _, row := range rows {
		switch {
		case row["name"] != database:
		case row["paused"] == "1":
			return refuse("database %s is paused: a person is at work on it", database)
		case row["disabled"] == "1":
			return refuse("database %s is disabled: a person wants it so", database)
		default:
			return nil
		}
	}
	return refuse("PgBouncer has no database %q", database)
}

func (c *console) servers(ctx context.Context, database string) (poolEvidence, error) {
	e := poolEvidence{Database: database}
	rows, err := c.ask(ctx, "SHOW SERVERS")
	for _, row := range rows {
		if row["database"] != database {
			continue
		}
		e.Servers++
		if row["close_needed"] == "1" {
			e.Closing++
		} else if at := row["connect_time"]; e.Oldest == "" || at < e.Oldest {
			e.Oldest = at
		}
	}
	return e, err
}

// quoteName makes a name safe inside a console command.
func quoteName(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }
