package agenttest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// Pool is a PgBouncer with a PostgreSQL behind it, both real, both without any TCP port.
type Pool struct {
	// Socket is PgBouncer's socket: what a pool block's `pgbouncer` attribute takes.
	Socket string
	// Postgres is the socket of PostgreSQL itself, which trusts everybody, too.
	Postgres string
	// Database is the pool's database, owned by User.
	Database string
	// Admin may use PgBouncer's console; Stats may only read it.
	Admin, Stats string
	// User is an ordinary user of the database.
	User string

	dir                 string
	postgres, pgbouncer *process
	account             *account
}

// PgBouncer is StartPgBouncer for a test, at whose end it is removed.
func PgBouncer(t testing.TB, settings ...string) *Pool {
	t.Helper()
	p, err := StartPgBouncer(settings...)
	Require(t, "PgBouncer and PostgreSQL", !errors.Is(err, ErrMissing), "install the packages pgbouncer and postgresql")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Remove(); err != nil {
			t.Error(err)
		}
	})
	return p
}

// ErrMissing says that the programs are not installed.
var ErrMissing = errors.New("not installed")

// StartPgBouncer starts PostgreSQL and PgBouncer. The pool has two server connections, session pooling, and trusts
// everybody who can reach the socket; settings are further lines of PgBouncer's. Errors: ErrMissing.
func StartPgBouncer(settings ...string) (*Pool, error) {
	bin := filepath.Dir(findProgram("/usr/lib/postgresql/*/bin/initdb"))
	bouncer := findProgram("/usr/sbin/pgbouncer")
	if bin == "." || bouncer == "" {
		return nil, fmt.Errorf("PgBouncer and PostgreSQL: %w", ErrMissing)
	}
	dir, err := os.MkdirTemp("/tmp", "salve-pool-")
	if err != nil {
		return nil, err
	}
	p := &Pool{
		Socket: filepath.Join(dir, ".s.PGSQL.6432"), Postgres: filepath.Join(dir, ".s.PGSQL.5432"), Database: "app",
		Admin: "salve", Stats: "watcher", User: "app", dir: dir,
	}
	if p.account, err = unprivileged(); err != nil {
		return nil, errors.Join(err, p.Remove())
	}
	if err := p.startPostgres(bin); err != nil {
		return nil, errors.Join(fmt.Errorf("start PostgreSQL: %w", err), p.Remove())
	}
	if err := p.startBouncer(bouncer, settings); err != nil {
		return nil, errors.Join(fmt.Errorf("start PgBouncer: %w", err), p.Remove())
	}
	return p, nil
}

// Remove stops both servers, and leaves nothing of them.
func (p *Pool) Remove() error {
	p.Stop()
	return os.RemoveAll(p.dir)
}

func findProgram(pattern string) string {
	found, _ := filepath.Glob(pattern)
	if len(found) == 0 {
		return ""
	}
	return found[len(found)-1]
}

// Connect opens a connection to database through PgBouncer; "pgbouncer" is its console.
func (p *Pool) Connect(ctx context.Context, user, database string) (*pgconn.PgConn, error) {
	return connect(ctx, p.dir, "6432", user, database)
}

func connect(ctx context.Context, dir, port, user, database string) (*pgconn.PgConn, error) {
	return pgconn.Connect(ctx, fmt.Sprintf("host=%s port=%s user=%s dbname=%s sslmode=disable",
		dir, port, user, database))
}

// StopPostgres ends PostgreSQL at once, as a crash would; PgBouncer goes on.
func (p *Pool) StopPostgres() { p.postgres.kill() }

// StopBouncer ends PgBouncer at once, as a crash would; PostgreSQL goes on.
func (p *Pool) StopBouncer() { p.pgbouncer.kill() }

// Freeze stops PgBouncer with SIGSTOP: it accepts connections and answers nothing. Thaw lets it go on.
func (p *Pool) Freeze() error { return p.pgbouncer.freeze() }

// Thaw ends a Freeze.
func (p *Pool) Thaw() error { return p.pgbouncer.cmd.Process.Signal(syscall.SIGCONT) }

// Stop ends both servers.
func (p *Pool) Stop() {
	for _, c := range []*process{p.pgbouncer, p.postgres} {
		if c == nil || c.exited() {
			continue
		}
		_ = c.cmd.Process.Signal(syscall.SIGCONT)
		_ = c.cmd.Process.Signal(syscall.SIGINT)
		select {
		case <-c.done:
		case <-time.After(3 * time.Second):
			c.kill()
		}
	}
}

func (p *Pool) startPostgres(bin string) error {
	if err := os.Chown(p.dir, p.account.uid, p.account.gid); err != nil {
		return err
	}
	data := filepath.Join(p.dir, "data")
	initdb := exec.Command(filepath.Join(bin, "initdb"), "-D", data, "-U", "postgres", "-A", "trust", "--no-sync")
	p.account.become(initdb, p.dir)
	if out, err := initdb.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w: %s", err, out)
	}
	server := exec.Command(filepath.Join(bin, "postgres"), "-D", data, "-k", p.dir, "-c", "listen_addresses=",
		"-c", "fsync=off", "-c", "shared_buffers=4MB", "-c", "max_connections=20")
	p.account.become(server, p.dir)
	var err error
	if p.postgres, err = spawn(server, syscall.SIGINT); err != nil { // SIGINT is its fast shutdown
		return err
	}
	var c *pgconn.PgConn
	if err := p.postgres.answers(func(ctx context.Context) (err error) {
		c, err = connect(ctx, p.dir, "5432", "postgres", "postgres")
		return err
	}); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second) // a database takes its time on a busy host
	defer cancel()
	defer c.Close(ctx)
	for _, sql := range []string{"CREATE ROLE app LOGIN", "CREATE DATABASE app OWNER app"} {
		if err := c.Exec(ctx, sql).Close(); err != nil {
			return err
		}
	}
	return nil
}

func (p *Pool) startBouncer(program string, settings []string) error {
	users := filepath.Join(p.dir, "users")
	ini := filepath.Join(p.dir, "pgbouncer.ini")
	files := map[string]string{
		users: fmt.Sprintf("%q \"\"\n%q \"\"\n%q \"\"\n", p.Admin, p.Stats, p.User),
		ini: fmt.Sprintf(`[databases]
%s = host=%s port=5432 user=%s
[pgbouncer]
listen_addr =
listen_port = 6432
unix_socket_dir = %s
auth_type = trust
auth_file = %s
admin_users = %s
stats_users = %s
default_pool_size = 2
max_client_conn = 50
logfile = %s
%s
`, p.Database, p.dir, p.User, p.dir, users, p.Admin, p.Stats, filepath.Join(p.dir, "pgbouncer.log"), strings.Join(settings, "\n")),
	}
	for path, text := range files {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			return err
		}
	}
	cmd := exec.Command(program, ini)
	p.account.become(cmd, p.dir)
	var err error
	if p.pgbouncer, err = spawn(cmd, syscall.SIGTERM); err != nil {
		return err
	}
	return p.pgbouncer.answers(func(ctx context.Context) error {
		c, err := p.Connect(ctx, p.User, p.Database)
		if err != nil {
			return err
		}
		return c.Close(ctx)
	})
}

// answers waits until ask succeeds.
func (p *process) answers(ask func(context.Context) error) error {
	var last error
	Poll(20*time.Second, func() bool {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		last = ask(ctx)
		return last == nil || p.exited()
	})
	if last != nil {
		return fmt.Errorf("%w: %s", last, p.out.String())
	}
	return nil
}

// account is who the database servers run as: both refuse root.
type account struct{ uid, gid int }

func unprivileged() (*account, error) {
	if os.Geteuid() != 0 {
		return &account{os.Geteuid(), os.Getegid()}, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err1 := strconv.Atoi(u.Uid)
		gid, err2 := strconv.Atoi(u.Gid)
		return &account{uid, gid}, errors.Join(err1, err2)
	}
	return nil, errors.New("neither user postgres nor nobody exists")
}

func (a *account) become(cmd *exec.Cmd, dir string) {
	cmd.Dir = dir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "LC_ALL=C"}
	if os.Geteuid() == 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{
			Credential: &syscall.Credential{Uid: uint32(a.uid), Gid: uint32(a.gid)},
		}
	}
}

// Show runs a SHOW command on the console and returns each row as column → text.
func (p *Pool) Show(ctx context.Context, what string) ([]map[string]string, error) {
	c, err := p.Connect(ctx, p.Stats, "pgbouncer")
	if err != nil {
		return nil, err
	}
	defer c.Close(ctx)
	results, err := c.Exec(ctx, "SHOW "+strings.ToUpper(what)).ReadAll()
	if err != nil {
		return nil, err
	}
	var rows []map[string]string
	for _, r := range results {
		for _, row := range r.Rows {
			m := map[string]string{}
			for i, f := range r.FieldDescriptions {
				m[f.Name] = string(row[i])
			}
			rows = append(rows, m)
		}
	}
	return rows, nil
}
