package pool

import (
	"fmt"

	"github.com/salveops/salve/agent/internal/postgres"
)

// figures are what PgBouncer's console tells of the pools of one database, over all users.
type figures struct {
	active, idle, waiting, used float64
	maxWait                     float64 // seconds
	pools                       int     // one for each user who connected
}

// parsePools adds up the answer of SHOW POOLS for one database. No row is no error: a pool begins
// to exist with its first client.
func parsePools(t postgres.Table, database string) (figures, error) {
	var f figures
	for _, row := range t.Rows {
		if name, ok := t.Text(row, "database"); !ok || name != database {
			continue
		}
		f.pools++
		var wait, micros float64
		for _, c := range []struct {
			column string
			into   *float64
		}{
			{"cl_active", &f.active}, {"cl_waiting", &f.waiting}, {"sv_idle", &f.idle}, {"sv_active", &f.used},
			{"maxwait", &wait}, {"maxwait_us", &micros},
		} {
			v, err := t.Number(row, c.column)
			if err != nil {
				return figures{}, fmt.Errorf("read pools: %w", err)
			}
			*c.into += v
		}
		f.maxWait = max(f.maxWait, wait+micros/1e6)
	}
	return f, nil
}

// limits are how many server connections a database may have.
type limits struct{ perPool, perDatabase float64 }

// parseLimits finds a database in the answer of SHOW DATABASES.
func parseLimits(t postgres.Table, database string) (limits, error) {
	for _, row := range t.Rows {
		if name, ok := t.Text(row, "name"); !ok || name != database {
			continue
		}
		size, err := t.Number(row, "pool_size")
		if err != nil {
			return limits{}, fmt.Errorf("read databases: %w", err)
		}
		most, err := t.Number(row, "max_connections") // 0: no limit
		if err != nil {
			most = 0
		}
		return limits{perPool: size, perDatabase: most}, nil
	}
	return limits{}, fmt.Errorf("read databases: PgBouncer does not know the database %q", database)
}

// reading is what is told of a pool within its limits.
func (f figures) reading(l limits) reading {
	r := reading{"active": f.active, "idle": f.idle, "waiting": f.waiting, "max_wait": f.maxWait}
	if ratio, known := l.share(f); known {
		r["used_ratio"] = ratio
	}
	return r
}

// share is how much of the server connections that the pools may have is in use.
func (l limits) share(f figures) (ratio float64, known bool) {
	room := l.perPool * float64(max(1, f.pools))
	if l.perDatabase > 0 {
		room = min(room, l.perDatabase)
	}
	return share(f.used, room)
}
