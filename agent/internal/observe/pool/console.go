package pool

import (
	"context"
	"time"

	"github.com/salveops/salve/agent/internal/postgres"
)

// limitsEvery is how often the sizes of the pools are read again: they change with a reload only.
const limitsEvery = 10 * time.Second

// console is a connection to PgBouncer's console, made when it is needed.
type console struct {
	target Target
	conn   *postgres.Conn // nil: not connected
	limits limits
	read   time.Time // when limits were read; zero: never
}

// ask reads the pool's figures. After an error the next ask connects anew.
func (c *console) ask(ctx context.Context) (r reading, err error) {
	if c.conn == nil {
		if err := c.connect(ctx); err != nil {
			return nil, err
		}
	}
	defer func() {
		if err != nil {
			c.close()
		}
	}()
	if c.read.IsZero() || time.Since(c.read) >= limitsEvery {
		t, err := c.conn.Ask(ctx, "SHOW DATABASES")
		if err != nil {
			return nil, err
		}
		if c.limits, err = parseLimits(t, c.target.Database); err != nil {
			return nil, err
		}
		c.read = time.Now()
	}
	t, err := c.conn.Ask(ctx, "SHOW POOLS")
	if err != nil {
		return nil, err
	}
	f, err := parsePools(t, c.target.Database)
	if err != nil {
		return nil, err
	}
	return f.reading(c.limits), nil
}

func (c *console) connect(ctx context.Context) (err error) {
	c.conn, err = postgres.Connect(ctx, c.target.login(c.target.PgBouncer, postgres.Console))
	return err
}

func (c *console) close() {
	if c.conn != nil {
		_ = c.conn.Close() // it is given up in any case
		c.conn, c.read = nil, time.Time{}
	}
}
