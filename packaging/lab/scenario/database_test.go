//go:build lab

package scenario

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/salveops/salve/packaging/lab/booted"
	"github.com/salveops/salve/proto/localpb"
)

// database is a PostgreSQL on the second disk of a host, a PgBouncer with four connections before it, and what the
// host's agent has to know to heal them, as the service "orders".
type database struct {
	f *fleet
	h *booted.Host
}

const (
	cluster = "postgresql@15-main.service"
	logs    = booted.Data + "/logs"
)

// addDatabase starts it, and takes it away at the end of the test.
func (f *fleet) addDatabase(allow, rules string) *database {
	f.t.Helper()
	d := &database{f, f.web[2]}
	h := d.h
	f.sh(h, "pg_createcluster 15 main --datadir "+booted.Data+"/pg -- --wal-segsize=1 && mkdir "+logs+" && "+
		"install -d -o postgres /run/postgresql")
	f.t.Cleanup(d.remove)
	f.write(h, "/etc/postgresql/15/main/pg_hba.conf", "local all all trust\n", 0o644)
	f.write(h, "/etc/postgresql/15/main/conf.d/lab.conf", "listen_addresses = ''\nfsync = off\nmin_wal_size = 16MB\n"+
		"max_wal_size = 24MB\nshared_buffers = 16MB\n", 0o644)
	f.write(h, "/etc/pgbouncer/pgbouncer.ini", `[databases]
app = host=/run/postgresql
[pgbouncer]
unix_socket_dir = /run/postgresql
auth_type = trust
auth_file = /etc/pgbouncer/users
admin_users = salve
pool_mode = transaction
default_pool_size = 4
`, 0o644)
	f.write(h, "/etc/pgbouncer/users", "\"salve\" \"\"\n", 0o644)
	f.sh(h, "systemctl start "+cluster+" pgbouncer")
	d.sql("CREATE ROLE salve LOGIN", "postgres", "postgres")
	d.sql("CREATE DATABASE app OWNER salve", "postgres", "postgres")
	d.sql("CREATE TABLE items AS SELECT i AS id, md5(i::text) AS name FROM generate_series(1, 300000) i; "+
		"CREATE INDEX ON items (id); CREATE TABLE notes (text text); ALTER TABLE notes ALTER text SET STORAGE EXTERNAL", "salve", "app")
	d.sql("ANALYZE items", "salve", "app")
	d.sql("CHECKPOINT", "postgres", "postgres")

	f.mayWrite(h, logs)
	f.write(h, "/etc/salve/agent.hcl", f.agentConfig(h)+allow, 0o644)
	f.write(h, "/etc/salve/rules.d/orders.hcl", rules, 0o644)
	f.sh(h, "systemctl daemon-reload && systemctl restart salve-agent")
	f.eventually(upTime, "the agent is back", f.strangers)
	f.eventually(upTime, "the database answers its agent", func() string {
		var r localpb.SignalsResponse
		if err := f.read(h, &r, "agent", "signals", "probe.*.ok"); err != nil {
			return err.Error()
		}
		seen := 0
		for _, s := range r.GetSignals() {
			if s.GetOf() == "orders" && s.GetKnown() && s.GetValue() == 1 {
				seen++
			}
		}
		if seen == 0 {
			return fmt.Sprint(r.GetSignals())
		}
		return ""
	})
	return d
}

func (d *database) remove() {
	d.f.write(d.h, "/etc/salve/agent.hcl", d.f.agentConfig(d.h), 0o644)
	d.f.sh(d.h, "rm -f /etc/salve/rules.d/orders.hcl "+folderConf+" && "+
		"systemctl daemon-reload && systemctl restart salve-agent && systemctl stop pgbouncer && "+
		"pg_dropcluster --stop 15 main && rm -r "+logs)
}

// folderConf is the drop-in that mayWrite makes.
const folderConf = "/etc/systemd/system/salve-agent.service.d/folder.conf"

// mayWrite gives the agent of a host, from its next start on, what its unit takes from it: the right to a folder.
func (f *fleet) mayWrite(h *booted.Host, folder string) {
	f.t.Helper()
	f.write(h, folderConf, "[Service]\nReadWritePaths="+folder+"\n", 0o644)
	f.sh(h, "chgrp salve "+folder+" && chmod g+w "+folder)
}

// sql runs statements past PgBouncer.
func (d *database) sql(statements, user, name string) string {
	d.f.t.Helper()
	return strings.TrimSpace(d.f.sh(d.h, fmt.Sprintf("psql -qXAt -v ON_ERROR_STOP=1 -h /run/postgresql -U %s -d %s -c \"%s\"",
		user, name, statements)))
}

// healed waits until the agent has healed the incident of the service, and returns how long that took since the fault.
func (d *database) healed(fault time.Time, remedy string) time.Duration {
	d.f.t.Helper()
	var story string
	d.f.eventually(upTime, "healed by "+remedy, func() string {
		all, err := d.f.local(d.h)
		if err != nil {
			return err.Error()
		}
		for _, i := range all {
			if i.GetService() == "orders" && i.GetState() == "resolved" {
				story, err = d.f.salveOn(d.h, "agent", "explain", i.GetId())
				return text(err)
			}
		}
		return fmt.Sprint(all)
	})
	took := time.Since(fault)
	if !strings.Contains(story, remedy+" healed it") {
		d.f.t.Errorf("it was not %s that healed:\n%s", remedy, story)
	}
	return took
}

// startLoad has sixteen clients look things up by way of the pool, two hundred times a second.
func (d *database) startLoad() {
	d.f.write(d.h, "/root/look-up.sql", "\\set id random(1, 300000)\nSELECT name FROM items WHERE id = :id;\n", 0o644)
	d.f.sh(d.h, "systemd-run --quiet --unit=load /usr/lib/postgresql/15/bin/pgbench --no-vacuum --client=16 --time=600 --rate=200 "+
		"--progress=1 --file=/root/look-up.sql --host=/run/postgresql --port=6432 --username=salve app")
	d.f.t.Cleanup(func() { d.f.sh(d.h, "systemctl stop load") })
}

var progress = regexp.MustCompile(`progress: .* lat ([0-9.]+) ms .* ([0-9]+) failed`)

// latency is the mean of the load's last second in which it was below or above a bound.
func (d *database) latency(what string, ok func(ms float64) bool) (ms float64) {
	d.f.t.Helper()
	d.f.eventually(upTime, what, func() string {
		lines := progress.FindAllStringSubmatch(d.f.sh(d.h, "journalctl --no-pager -o cat -n 1 -u load"), -1)
		if len(lines) == 0 {
			return "pgbench has said nothing yet"
		}
		last := lines[len(lines)-1]
		ms, _ = strconv.ParseFloat(last[1], 64)
		if last[2] != "0" {
			d.f.t.Errorf("queries failed: %s", last[0])
		}
		if !ok(ms) {
			return last[0]
		}
		return ""
	})
	return ms
}
