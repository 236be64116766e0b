package remedy

import (
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/salveops/salve/pkg/defaults"
)

// Modes of reset_pool.
const (
	Reconnect = defaults.ResetMode
	Pause     = "pause"
	KillPool  = "kill"
	Terminate = "terminate"
	Drain     = "drain"
	CallReset = "call"
)

// PoolArgs are the arguments of reset_pool. What the mode does not read is zero.
type PoolArgs struct {
	Pool string // of the remedy's own service
	Mode string // one of ResetModes

	Wait   time.Duration // of pause and drain: how long is waited for what is under way
	Server string        // of drain: a server of the pool's backend

	IdleInTransaction bool          // of terminate: only sessions that do nothing within a transaction
	OlderThan         time.Duration // of terminate: only sessions that have been in their state for longer
	User, Application string        // of terminate: only sessions of these; "": of any
	Most              int           // of terminate: sessions in one run
}

// Names implements Args.
func (a *PoolArgs) Names() string { return a.Pool }

func (a *PoolArgs) disruptive() bool { return a.Mode != Reconnect }

// ResetModes are the modes that reset_pool has for a pool, by the key of its block that says what it is: "pgbouncer",
// "postgres", "haproxy", "http".
func ResetModes(pool string) []string {
	switch pool {
	case "pgbouncer":
		return []string{Reconnect, Pause, KillPool}
	case "postgres":
		return []string{Terminate}
	case "haproxy":
		return []string{Drain}
	case "http":
		return []string{CallReset}
	}
	return nil
}

func resetPool() Spec {
	return Spec{
		Kind: ResetPool, Target: OnPool, Disruptive: true,
		Summary: "make a connection pool replace its connections, or end sessions that hold it up",
		Needs: "PgBouncer: a user in its admin_users; where several processes share a port (so_reuseport), the socket of one. " +
			"PostgreSQL: a user of its own with GRANT pg_signal_backend, pg_read_all_stats. " +
			"HAProxy: a stats socket with level admin. A pool of the service itself: a page that resets it, in the pool's reset block. " +
			"A service that replaces its connections when it gets a signal needs \"kill\" instead, with that " +
			"signal; one for which there is a program, \"exec\".",
		Worst: "\"reconnect\": the database gets as many new connections as the pool has, as the old ones become free; no query is " +
			"cut. \"pause\": new queries wait, for as long as \"wait\" says. \"kill\": every client of the database is cut off. " +
			"\"terminate\": the transactions of as many sessions as \"most\" says are rolled back; never those of superusers, of the " +
			"agent's own user, of replication and autovacuum; a dry run lists them. \"drain\": what one server is at work on is cut " +
			"off after \"wait\"; never that of the last server that is up. \"call\": whatever the service does then; it is asked once, " +
			"and again only where the reset block says that this is no harm. What a person paused, disabled, drained or put into " +
			"maintenance is left alone.",
		Back: "Never: what is gone is gone. But a pause, a kill and a drain always end with the pool in service, also when they " +
			"fail; after an agent that died in the middle, by the next one as soon as it starts.",
		Args: []Arg{
			{Name: "pool", Type: String, Required: true, Target: true, Help: "name of a pool block of the same service"},
			{Name: "mode", Type: String, Default: defaults.ResetMode,
				Help: "PgBouncer: \"reconnect\" replaces server connections as they become free; \"pause\" lets queries end, replaces " +
					"all connections at once, and resumes; \"kill\" cuts off clients and connections, and resumes. PostgreSQL: " +
					"\"terminate\" ends sessions. HAProxy: \"drain\" takes a server out, ends the sessions that it still has, and takes " +
					"it in again. A pool with http: \"call\" sends the request of its reset block"},
			{Name: "wait", Type: Duration, Default: "10s", Min: time.Second, Max: time.Minute,
				Help: "pause, drain: how long queries or sessions may take to end by themselves"},
			{Name: "server", Type: String, Help: "drain: a server of the pool's backend; needed"},
			{Name: "idle_in_transaction", Type: Bool, Default: "false", Help: "terminate: only sessions that do nothing within a transaction"},
			{Name: "older_than", Type: Duration, Default: "1m", Min: time.Second, Max: 7 * 24 * time.Hour,
				Help: "terminate: only sessions that have been in their state for longer: at work on one statement, or idle"},
			{Name: "user", Type: String, Help: "terminate: only sessions of this user"},
			{Name: "application", Type: String, Help: "terminate: only sessions with this application_name"},
			{Name: "most", Type: Integer, Default: "10", Least: 1, Most: 1000,
				Help: "terminate: sessions in one run; those that have been in their state the longest"},
		},
		decode: func(r *reader) Args { return r.pool() },
	}
}

func (r *reader) pool() *PoolArgs {
	a := &PoolArgs{Pool: r.text("pool"), Mode: r.oneOf("mode", Reconnect, Pause, KillPool, Terminate, Drain, CallReset)}
	if r.has("pool") && a.Pool == "" {
		r.problem("pool", "the pool has no name")
	}
	reads := map[string][]string{
		Pause: {"wait"}, Drain: {"wait", "server"},
		Terminate: {"idle_in_transaction", "older_than", "user", "application", "most"},
	}[a.Mode]
	for _, arg := range r.args[2:] { // after pool and mode, each is of some modes
		if r.has(arg.Name) && !slices.Contains(reads, arg.Name) {
			r.problem(arg.Name, "mode %q does not read %s", a.Mode, arg.Name)
		}
	}
	switch a.Mode {
	case Pause:
		a.Wait = r.duration("wait", 10*time.Second)
	case Drain:
		a.Wait, a.Server = r.duration("wait", 10*time.Second), r.text("server")
		if !serverName.MatchString(a.Server) {
			r.problem(r.written("server"), "mode \"drain\" needs the name of one server as server, not %q", a.Server)
		}
	case Terminate:
		r.terminate(a)
	}
	return a
}

// serverName is what HAProxy takes as a name.
var serverName = regexp.MustCompile(`^[A-Za-z0-9_.:-]{1,255}$`)

func (r *reader) terminate(a *PoolArgs) {
	a.IdleInTransaction, a.OlderThan = r.boolean("idle_in_transaction", false), r.duration("older_than", time.Minute)
	a.User, a.Application, a.Most = r.text("user"), r.text("application"), r.integer("most", 10)
	for name, text := range map[string]string{"user": a.User, "application": a.Application} {
		if r.has(name) && (text == "" || strings.ContainsRune(text, 0)) {
			r.problem(name, "%s is empty or holds a zero byte; leave it out for any", name)
		}
	}
	if !a.IdleInTransaction && a.User == "" && a.Application == "" && !r.has("older_than") {
		r.problem("", "mode \"terminate\" needs idle_in_transaction = true, older_than, user or application: it never ends just any session")
	}
}

// written is the name of an argument, or "" if it was not written, so that a problem is told where people can see it.
func (r *reader) written(name string) string {
	if r.has(name) {
		return name
	}
	return ""
}
