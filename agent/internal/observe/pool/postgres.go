package pool

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"

	"github.com/salveops/salve/agent/internal/postgres"
)

// server asks PostgreSQL about the sessions of one database, over one connection that is kept.
type server struct {
	target postgres.Target
	conn   *postgres.Conn // nil: not connected
}

// sessions is one row about all sessions but this one. Limits are those of ordinary users: of the server, and of the
// database if it has one. Who may not see the sessions of others would count none of them.
const sessions = `SELECT pg_has_role(current_user, 'pg_read_all_stats', 'USAGE') AS sees,
 count(*) FILTER (WHERE here AND state <> 'idle') AS active,
 count(*) FILTER (WHERE here AND state = 'idle') AS idle,
 count(*) FILTER (WHERE here AND wait_event_type = 'Lock') AS waiting,
 coalesce(max(extract(epoch FROM clock_timestamp() - query_start))
  FILTER (WHERE here AND wait_event_type = 'Lock'), 0) AS max_wait,
 count(*) AS used,
 current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int AS room,
 count(*) FILTER (WHERE here) AS used_here,
 (SELECT datconnlimit FROM pg_database WHERE datname = current_database()) AS room_here
FROM (SELECT *, datname = current_database() AS here FROM pg_stat_activity
 WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()) AS others`

// ask reads the figures. After an error the next ask connects anew.
func (s *server) ask(ctx context.Context) (r reading, err error) {
	if s.conn == nil {
		if s.conn, err = postgres.Connect(ctx, s.target); err != nil {
			return nil, err
		}
	}
	t, err := s.conn.Ask(ctx, sessions)
	if err == nil {
		r, err = parseSessions(t)
	}
	if err != nil {
		s.close()
	}
	return r, err
}

func parseSessions(t postgres.Table) (reading, error) {
	if len(t.Rows) != 1 {
		return nil, fmt.Errorf("read sessions: %d rows, not one", len(t.Rows))
	}
	row := t.Rows[0]
	if t.Cell(row, "sees") != "t" {
		return nil, errors.New("the user may not see the sessions of others: GRANT pg_read_all_stats TO it")
	}
	figures := map[string]float64{}
	for _, column := range []string{"active", "idle", "waiting", "used", "room", "used_here"} {
		v, err := t.Number(row, column)
		if err != nil {
			return nil, fmt.Errorf("read sessions: %w", err)
		}
		figures[column] = v
	}
	wait, err := strconv.ParseFloat(t.Cell(row, "max_wait"), 64)
	if err != nil || math.IsNaN(wait) || math.IsInf(wait, 0) {
		return nil, fmt.Errorf("read sessions: column max_wait is %.20q", t.Cell(row, "max_wait"))
	}
	r := reading{
		"active": figures["active"], "idle": figures["idle"], "waiting": figures["waiting"], "max_wait": max(0, wait),
	}
	ratio, known := share(figures["used"], figures["room"])
	if here, err := t.Number(row, "room_here"); err == nil { // -1: no limit
		if r, ok := share(figures["used_here"], here); ok {
			ratio, known = max(ratio, r), true
		}
	}
	if known {
		r["used_ratio"] = ratio
	}
	return r, nil
}

func share(used, room float64) (ratio float64, known bool) {
	if room <= 0 {
		return 0, false
	}
	return min(1, used/room), true
}

func (s *server) close() {
	if s.conn != nil {
		_ = s.conn.Close() // it is given up in any case
		s.conn = nil
	}
}
