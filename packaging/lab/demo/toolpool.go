package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/salveops/salve/agent/agenttest"
)

const (
	poolClients = 6
	// items is how many rows a query looks through that may not use the index: enough that the clients wait for each other,
	// and few enough that the agent's probe, which waits as they do, is far from its half second on a busy machine, too. If it
	// gave up, PgBouncer would close the connection of who goes away in the middle, and the pool be well by itself.
	items = 100_000
)

// slow is a setting that a transaction leaves behind on its connection, for whoever gets that next.
const slow = "SET enable_indexscan = off; SET enable_indexonlyscan = off; SET enable_bitmapscan = off"

// openPool starts a database with a table behind a pool with two connections.
func (s *toolbox) openPool(ctx context.Context) error {
	p, err := agenttest.StartPgBouncer("pool_mode = transaction")
	if errors.Is(err, agenttest.ErrMissing) {
		s.lacks[orders] = "PgBouncer and PostgreSQL are not installed (Debian packages pgbouncer and postgresql)"
		return nil
	}
	if err != nil {
		return err
	}
	s.pool = p
	s.onClose(p.Remove)
	c, err := p.Connect(ctx, p.User, p.Database)
	if err != nil {
		return err
	}
	defer c.Close(ctx)
	err = c.Exec(ctx, fmt.Sprintf("CREATE TABLE items AS SELECT i AS id, md5(i::text) AS name FROM generate_series(1, %d) i; "+
		"CREATE INDEX ON items (id); ANALYZE items", items)).Close()
	return err
}

// startClients begins to query, until the act is over.
func (s *toolbox) startClients(ctx context.Context) error {
	s.clients = &clients{}
	for range poolClients {
		c, err := s.pool.Connect(ctx, s.pool.User, s.pool.Database)
		if err != nil {
			return err
		}
		s.onClose(func() error { return c.Close(context.Background()) })
		s.keep(15*time.Millisecond, func(ctx context.Context) { s.clients.ask(ctx, c) })
	}
	return nil
}

// clients are how long their queries took.
type clients struct {
	mu     sync.Mutex
	took   []time.Duration
	failed error
}

func (c *clients) ask(ctx context.Context, conn *pgconn.PgConn) {
	begun := time.Now()
	err := conn.Exec(ctx, "SELECT name FROM items WHERE id = "+strconv.Itoa(1+begun.Nanosecond()%items)).Close()
	if ctx.Err() != nil {
		return // it is over
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.took = append(c.took, time.Since(begun))
	c.failed = errors.Join(c.failed, err)
}

// median is that of the next n queries.
func (c *clients) median(ctx context.Context, n int) (time.Duration, error) {
	c.mu.Lock()
	c.took = nil
	c.mu.Unlock()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		c.mu.Lock()
		took, failed := slices.Clone(c.took), c.failed
		c.mu.Unlock()
		if failed != nil {
			return 0, failed
		}
		if len(took) >= n {
			slices.Sort(took)
			return took[len(took)/2].Round(100 * time.Microsecond), nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
}

// leave makes both connections of the pool slow: each of two transactions holds one of them, and leaves settings behind.
func (s *toolbox) leave(ctx context.Context) error {
	var held []*pgconn.PgConn
	for range 2 {
		c, err := s.pool.Connect(ctx, s.pool.User, s.pool.Database)
		if err != nil {
			return err
		}
		defer c.Close(ctx)
		if err := c.Exec(ctx, "BEGIN; SELECT 1").Close(); err != nil {
			return err
		}
		held = append(held, c)
	}
	for _, c := range held {
		if err := c.Exec(ctx, slow+"; COMMIT").Close(); err != nil {
			return err
		}
	}
	return nil
}

func (s *toolbox) slowPool() tool {
	var well, ill time.Duration
	return tool{tell: "a report leaves settings behind on the connections of a PgBouncer, and all queries crawl", trial: trial{
		title: "a poisoned pool", service: orders, want: healedBy("reconnect"),
		inflict: func(ctx context.Context) (err error) {
			if err = s.startClients(ctx); err != nil {
				return err
			}
			if well, err = s.clients.median(ctx, 50); err != nil {
				return err
			}
			if err = s.leave(ctx); err != nil {
				return err
			}
			ill, err = s.clients.median(ctx, 20)
			return err
		},
		check: func(ctx context.Context) (string, error) {
			now, err := s.clients.median(ctx, 50)
			if err == nil && now.Seconds()*now.Seconds() > well.Seconds()*ill.Seconds() { // it is more like ill than like well
				err = fmt.Errorf("a query takes %v, and took %v when the pool was ill", now, ill)
			}
			return fmt.Sprintf("a query took %v, then %v, now %v; none failed", well, ill, now), err
		},
	}}
}
