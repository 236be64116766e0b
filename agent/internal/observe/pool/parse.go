package pool

import (
	"fmt"
	"strconv"
)

// figures are what PgBouncer's console tells of the pools of one database, over all users.
type figures struct {
	active, idle, waiting, used float64
	maxWait                     float64 // seconds
	pools                       int     // one for each user who connected
}

// table is the answer of a SHOW command: names of columns and rows of text.
type table struct {
	columns []string
	rows    [][]string
}

// number reads the named column of a row as a number. Columns differ between versions of PgBouncer.
func (t table) number(row []string, name string) (float64, error) {
	text, ok := t.text(row, name)
	if !ok {
		return 0, fmt.Errorf("column %s is missing", name)
	}
	n, err := strconv.ParseUint(text, 10, 63)
	if err != nil {
		return 0, fmt.Errorf("column %s: %w", name, err)
	}
	return float64(n), nil
}

func (t table) text(row []string, name string) (string, bool) {
	for i, c := range t.columns {
		if c == name && i < len(row) {
			return row[i], true
		}
	}
	return "", false
}

// parsePools adds up the answer of SHOW POOLS for one database. No row is no error: a pool begins
// to exist with its first client.
func parsePools(t table, database string) (figures, error) {
	var f figures
	for _, row := range t.rows {
		if name, ok := t.text(row, "database"); !ok || name != database {
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
			v, err := t.number(row, c.column)
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
func parseLimits(t table, database string) (limits, error) {
	for _, row := range t.rows {
		if name, ok := t.text(row, "name"); !ok || name != database {
			continue
		}
		size, err := t.number(row, "pool_size")
		if err != nil {
			return limits{}, fmt.Errorf("read databases: %w", err)
		}
		most, err := t.number(row, "max_connections") // 0: no limit
		if err != nil {
			most = 0
		}
		return limits{perPool: size, perDatabase: most}, nil
	}
	return limits{}, fmt.Errorf("read databases: PgBouncer does not know the database %q", database)
}

// share is how much of the server connections that the pools may have is in use.
func (l limits) share(f figures) (ratio float64, known bool) {
	room := l.perPool * float64(max(1, f.pools))
	if l.perDatabase > 0 {
		room = min(room, l.perDatabase)
	}
	if room == 0 {
		return 0, false
	}
	return min(1, f.used/room), true
}
