package pool

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/salveops/salve/pkg/transport"
)

// maxAnswer bounds what PgBouncer says to one question, with as many pools as it may have.
const maxAnswer = 4 << 20

// limitsEvery is how often the sizes of the pools are read again: they change with a reload only.
const limitsEvery = 10 * time.Second

// console is a connection to PgBouncer's console, made when it is needed.
type console struct {
	target Target
	conn   *pgconn.PgConn     // nil: not connected
	line   *transport.Bounded // below it
	limits limits
	read   time.Time // when limits were read; zero: never
}

// ask reads the pool's figures. After an error the next ask connects anew.
func (c *console) ask(ctx context.Context) (f figures, l limits, err error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if c.conn == nil {
		if err := c.connect(ctx); err != nil {
			return f, l, err
		}
	}
	defer func() {
		if err != nil {
			c.close()
		}
	}()
	if c.read.IsZero() || time.Since(c.read) >= limitsEvery {
		t, err := c.show(ctx, "SHOW DATABASES")
		if err != nil {
			return f, l, err
		}
		if c.limits, err = parseLimits(t, c.target.Database); err != nil {
			return f, l, err
		}
		c.read = time.Now()
	}
	t, err := c.show(ctx, "SHOW POOLS")
	if err != nil {
		return f, l, err
	}
	f, err = parsePools(t, c.target.Database)
	return f, c.limits, err
}

// show asks in the simple protocol: the console speaks no other.
func (c *console) show(ctx context.Context, what string) (table, error) {
	var t table
	c.line.Left = maxAnswer
	results, err := c.conn.Exec(ctx, what).ReadAll()
	if err != nil {
		return t, fmt.Errorf("ask PgBouncer: %w", err)
	}
	for _, r := range results {
		for _, f := range r.FieldDescriptions {
			t.columns = append(t.columns, f.Name)
		}
		for _, row := range r.Rows {
			cells := make([]string, len(row))
			for i, cell := range row {
				cells[i] = string(cell)
			}
			t.rows = append(t.rows, cells)
		}
	}
	return t, nil
}

func (c *console) connect(ctx context.Context) error {
	dsn, err := c.target.dsn()
	if err != nil {
		return err
	}
	cfg, err := pgconn.ParseConfig(dsn)
	if err != nil {
		return fmt.Errorf("connect to PgBouncer: %w", err)
	}
	if c.target.PasswordFile != "" {
		secret, err := os.ReadFile(c.target.PasswordFile)
		if err != nil {
			return fmt.Errorf("read password file: %w", err)
		}
		cfg.Password = strings.TrimRight(string(secret), "\r\n")
	}
	dial := cfg.DialFunc
	cfg.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return &transport.Bounded{Conn: conn, Left: maxAnswer}, nil
	}
	if c.conn, err = pgconn.ConnectConfig(ctx, cfg); err != nil {
		c.conn = nil
		return fmt.Errorf("connect to PgBouncer: %w", err)
	}
	conn := c.conn.Conn()
	if secured, ok := conn.(*tls.Conn); ok {
		conn = secured.NetConn()
	}
	c.line = conn.(*transport.Bounded) // nobody else dials
	return nil
}

// dsn is the address of the console. The name of a socket ends in the port: .s.PGSQL.6432.
func (t Target) dsn() (string, error) {
	query := url.Values{"application_name": {"salve"}, "sslmode": {"prefer"}}
	u := url.URL{Scheme: "postgres", User: url.User(t.User), Path: "/pgbouncer"}
	if !strings.HasPrefix(t.PgBouncer, "/") {
		if _, _, err := net.SplitHostPort(t.PgBouncer); err != nil {
			return "", fmt.Errorf("read address of PgBouncer: %w", err)
		}
		u.Host = t.PgBouncer
		u.RawQuery = query.Encode()
		return u.String(), nil
	}
	port, ok := strings.CutPrefix(filepath.Base(t.PgBouncer), ".s.PGSQL.")
	if !ok {
		return "", fmt.Errorf("read address of PgBouncer: %s is not named .s.PGSQL.PORT", t.PgBouncer)
	}
	query.Set("host", filepath.Dir(t.PgBouncer))
	query.Set("port", port)
	query.Set("sslmode", "disable")
	u.RawQuery = query.Encode()
	return u.String(), nil
}

// close says goodbye if the other side still listens, without waiting long for it.
func (c *console) close() {
	if c.conn == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	_ = c.conn.Close(ctx) // it is given up in any case
	c.conn, c.read = nil, time.Time{}
}
