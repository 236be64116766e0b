//go:build lab

package scenario

import (
	"strings"
	"testing"
	"time"

	"github.com/salveops/salve/packaging/lab/booted"
)

// TestPoolExhausted: under load, a transaction leaves settings behind on each connection of PgBouncer, and every query
// crawls. Clients queue; the pool gets new connections, no query is cut, and all are quick again.
func TestPoolExhausted(t *testing.T) {
	f := open(t)
	d := f.addDatabase(`
allow {
  pools   = ["db"]
  actions = ["reset_pool"]
}
`, `
service "orders" {
  unit    = "pgbouncer.service"
  startup = "1s"
  pool "db" {
    pgbouncer = "/run/postgresql/.s.PGSQL.6432"
    database  = "app"
  }
  probe "query" {
    postgres = "/run/postgresql/.s.PGSQL.6432"
    database = "app"
    user     = "salve"
  }
  remedy "reset_pool" "reconnect" {
    pool = "db"
    verify {
      when   = pool.db.waiting < 3 && probe.query.ok && probe.query.latency < 50 * ms
      within = "60s"
      hold   = "2s"
    }
  }
}

rule "queries-wait" {
  services  = ["orders"]
  when      = pool.db.waiting > 6
  clear     = pool.db.waiting < 3
  for       = "2s"
  clear_for = "1s"
  try       = ["reconnect"]
}
`)
	d.startLoad()
	well := d.latency("all is well", func(ms float64) bool { return ms < 50 })
	f.tell("settings are left behind on all connections")
	fault := time.Now()
	const leave = "BEGIN; SELECT pg_sleep(1); SET enable_indexscan = off; SET enable_bitmapscan = off; SET enable_indexonlyscan = off; COMMIT"
	f.sh(d.h, "for n in 1 2 3 4; do psql -qX -h /run/postgresql -p 6432 -U salve app -c '"+leave+"' >/dev/null & done; wait")
	ill := d.latency("queries crawl", func(ms float64) bool { return ms > 5*well })
	took := d.healed(fault, "reconnect")
	again := d.latency("queries are quick", func(ms float64) bool { return ms < 50 })
	t.Logf("from the fault to verified: %.1f s; a query took %.1f ms, then %.0f ms, now %.1f ms", took.Seconds(), well, ill, again)
}

// TestDatabaseDiskFull: a log that nobody bounds takes the last byte of the disk that a database is on. The oldest of the
// rotated logs go, nothing of the database does, and it can be written to again.
func TestDatabaseDiskFull(t *testing.T) {
	f := open(t)
	f.write(f.web[2], "/usr/local/bin/take-note", "#!/bin/sh\nexec psql -qX -h /run/postgresql -U salve app "+
		"-c \"INSERT INTO notes VALUES (repeat('x', 7000))\"\n", 0o755)
	d := f.addDatabase(`
allow {
  paths   = ["`+logs+`"]
  actions = ["free_space"]
}
allow {
  exec    = ["/usr/local/bin/take-note"]
  actions = ["probe"]
}
`, `
service "orders" {
  unit    = "`+cluster+`"
  startup = "1s"
  probe "note" {
    exec    = ["/usr/local/bin/take-note"]
    timeout = "1s"
  }
  remedy "free_space" "oldest-logs" {
    path  = "`+logs+`"
    files = ["*.log.*"]
    verify {
      when   = probe.note.ok
      within = "60s"
      hold   = "2s"
    }
  }
}

rule "no-room" {
  services  = ["orders"]
  when      = !probe.note.ok && host.disk["`+booted.Data+`"].used_ratio > 95 * percent
  clear     = probe.note.ok
  for       = "0s"
  clear_for = "1s"
  try       = ["oldest-logs"]
}
`)
	h := d.h
	f.sh(h, "for n in 1 2 3 4; do head -c 12M /dev/zero > "+logs+"/shop.log.$n; touch -d \"$n days ago\" "+logs+"/shop.log.$n; done")
	const sum = "SELECT md5(string_agg(id || name, ',' ORDER BY id)) FROM items"
	before, files := d.sql(sum, "salve", "app"), d.files()

	f.tell("a log takes the last byte")
	fault := time.Now()
	out := f.sh(h, "cat /dev/zero 2>&1 >> "+logs+"/shop.log || true; stat -c %s "+logs+"/shop.log")
	if !strings.Contains(out, "No space left") {
		t.Fatalf("the disk is not full: %s", out)
	}
	took := d.healed(fault, "oldest-logs")

	for _, name := range files {
		if _, err := h.Read(name); err != nil {
			t.Errorf("a file of the database: %v", err)
		}
	}
	if after := d.sql(sum, "salve", "app"); after != before {
		t.Errorf("the table's checksum was %s, and is %s", before, after)
	}
	f.sh(h, "/usr/lib/postgresql/15/bin/pg_amcheck --install-missing -h /run/postgresql -U postgres app")
	left := strings.Fields(f.sh(h, "ls "+logs))
	if got := strings.Join(left, " "); !strings.HasPrefix(got, "shop.log shop.log.1") || len(left) == 5 {
		t.Errorf("of the logs there are %s", got)
	}
	f.sh(h, "/usr/local/bin/take-note")
	t.Logf("from the last byte to verified: %.1f s; %d files of the database are there, the table has the MD5 that it had, "+
		"pg_amcheck finds nothing, and of five logs there are %s", took.Seconds(), len(files), strings.Join(left, ", "))
}

// files are those of the database's tables and indexes.
func (d *database) files() []string {
	return strings.Fields(d.f.sh(d.h, "find "+booted.Data+"/pg/base "+booted.Data+"/pg/global -type f ! -name 'pg_internal.init*'"))
}
