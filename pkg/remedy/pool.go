package remedy

import "github.com/salveops/salve/pkg/defaults"

// PoolArgs are the arguments of reset_pool.
type PoolArgs struct {
	Pool string // of the remedy's own service
	Mode string // "reconnect"
}

// Names implements Args.
func (a *PoolArgs) Names() string { return a.Pool }

func resetPool() Spec {
	return Spec{
		Kind: ResetPool, Target: OnPool,
		Summary: "make a connection pool replace its connections to the database",
		Needs:   "A user in PgBouncer's admin_users.",
		Worst: "the database gets as many new connections as the pool has, as the old ones become free. No query is cut; a " +
			"database that a person paused or disabled is left alone.",
		Back: "Never: the old connections are gone.",
		Args: []Arg{
			{Name: "pool", Type: String, Required: true, Target: true, Help: "name of a pool block of the same service"},
			{Name: "mode", Type: String, Default: defaults.ResetMode,
				Help: "\"reconnect\": server connections are replaced as they become free; no query is cut"},
		},
		decode: func(r *reader) Args {
			a := &PoolArgs{Pool: r.text("pool"), Mode: r.oneOf("mode", defaults.ResetMode)}
			if r.has("pool") && a.Pool == "" {
				r.problem("pool", "the pool has no name")
			}
			return a
		},
	}
}
