package pool

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/salveops/salve/agent/internal/postgres"
)

// made builds a table from lines of words, the first with the names of the columns.
func made(text string) postgres.Table {
	var t postgres.Table
	for line := range strings.Lines(strings.TrimSpace(text)) {
		if words := strings.Fields(line); t.Columns == nil {
			t.Columns = words
		} else {
			t.Rows = append(t.Rows, words)
		}
	}
	return t
}

const showPools = `
	database  user cl_active cl_waiting sv_active sv_idle sv_used maxwait maxwait_us pool_mode
	app       a    3         0          2         1       0       0       0          session
	app       b    1         4          1         0       0       1       500000     session
	other     a    9         9          9         9       9       9       9          session`

const showDatabases = `
	name  host force_user pool_size max_connections
	app   db   -          2         3
	other db   -          20        0`

func TestParse(t *testing.T) {
	f, err := parsePools(made(showPools), "app")
	want := figures{active: 4, idle: 1, waiting: 4, used: 3, maxWait: 1.5, pools: 2}
	if diff := cmp.Diff(want, f, cmp.AllowUnexported(figures{})); diff != "" || err != nil {
		t.Errorf("%v -want +got:\n%s", err, diff)
	}
	l, err := parseLimits(made(showDatabases), "app")
	if share, known := l.share(f); err != nil || share != 1 || !known {
		t.Errorf("share %v (known: %v), %v; three of at most three are in use", share, known, err)
	}
	if l, err = parseLimits(made(showDatabases), "other"); err != nil || l.perDatabase != 0 {
		t.Errorf("%+v, %v", l, err)
	}
	if share, _ := l.share(figures{used: 5, pools: 1}); share != .25 {
		t.Errorf("share %v, want a quarter", share)
	}
}

// A pool begins to exist with its first client: until then nothing is in use, which is a fact. A
// database that PgBouncer does not know is a mistake.
func TestNoPoolYet(t *testing.T) {
	f, err := parsePools(made("database user cl_active"), "app")
	if err != nil || f != (figures{}) {
		t.Errorf("%+v, %v", f, err)
	}
	if share, known := (limits{perPool: 2}).share(f); share != 0 || !known {
		t.Errorf("share %v (known: %v)", share, known)
	}
	if _, err := parseLimits(made(showDatabases), "absent"); err == nil {
		t.Error("a database that is not there has limits")
	}
	if _, known := (limits{}).share(f); known {
		t.Error("a pool without a size has a share")
	}
}

func TestParseBrokenTables(t *testing.T) {
	for _, text := range []string{
		"database cl_active\napp 1",
		"database cl_active cl_waiting sv_idle sv_active maxwait maxwait_us\napp 1 x 1 1 1 1",
		"database cl_active cl_waiting sv_idle sv_active maxwait maxwait_us\napp -1 1 1 1 1 1",
	} {
		if f, err := parsePools(made(text), "app"); err == nil || f != (figures{}) {
			t.Errorf("%q: %+v, %v", text, f, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(showPools)
	f.Add(showDatabases)
	f.Fuzz(func(t *testing.T, text string) {
		if p, err := parsePools(made(text), "app"); err == nil && (p.active < 0 || p.maxWait < 0) {
			t.Errorf("%+v", p)
		}
		l, err := parseLimits(made(text), "app")
		if share, known := l.share(figures{used: 1}); err == nil && known && (share <= 0 || share > 1) {
			t.Errorf("share %v of %+v", share, l)
		}
	})
}
