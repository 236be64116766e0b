package act

import (
	"github.com/salveops/salve/agent/internal/act/cache"
	"github.com/salveops/salve/agent/internal/act/downgrade"
	"github.com/salveops/salve/agent/internal/act/dump"
	"github.com/salveops/salve/agent/internal/act/exec"
	"github.com/salveops/salve/agent/internal/act/freespace"
	"github.com/salveops/salve/agent/internal/act/isolate"
	"github.com/salveops/salve/agent/internal/act/kind"
	"github.com/salveops/salve/agent/internal/act/pool"
	"github.com/salveops/salve/agent/internal/act/reboot"
	"github.com/salveops/salve/agent/internal/act/rollback"
	"github.com/salveops/salve/agent/internal/act/rollbackfiles"
	"github.com/salveops/salve/agent/internal/act/scale"
	"github.com/salveops/salve/agent/internal/act/scalegroup"
	"github.com/salveops/salve/agent/internal/act/shed"
	"github.com/salveops/salve/agent/internal/act/unit"
	"github.com/salveops/salve/pkg/permit"
	"github.com/salveops/salve/pkg/remedy"
)

// registry lists every kind that exists.
func registry(h *kind.Host) map[remedy.Kind]kind.Kind {
	units := unit.New(h)
	return map[remedy.Kind]kind.Kind{
		remedy.Start:            unit.Starter{Units: units},
		remedy.Restart:          unit.Restarter{Units: units},
		remedy.Reload:           unit.Reloader{Units: units},
		remedy.Stop:             unit.Stopper{Units: units},
		remedy.Kill:             unit.Killer{Units: units},
		remedy.SetProperty:      unit.Limiter{Units: units},
		remedy.Exec:             exec.New(h),
		remedy.ResetPool:        pool.New(h),
		remedy.FreeSpace:        freespace.New(h, units),
		remedy.ClearCache:       cache.New(h),
		remedy.Scale:            scale.New(h, units),
		remedy.ScaleGroup:       scalegroup.New(h),
		remedy.Shed:             shed.New(h, units),
		remedy.Isolate:          isolate.New(h),
		remedy.Rollback:         rollback.New(h, units),
		remedy.RollbackFiles:    rollbackfiles.New(h, units),
		remedy.RollbackPackages: downgrade.New(h, units),
		remedy.Reboot:           reboot.New(h),
		remedy.Dump:             dump.New(h, units),
	}
}

// Plan is a request that passed every check.
type Plan struct {
	Kind   remedy.Kind
	Target string // primary name of the unit, pool, cache, or program
	// Locks are what nobody else touches meanwhile, in the order of their names.
	Locks []remedy.Lock
	// Text says what would be done, Detail one by one, a line each.
	Text   string
	Detail []string
	// Disruptive is true when it may take away what the host still serves, by the facts of this moment.
	Disruptive bool
	// Shared is true when it acts on something that other hosts use, too.
	Shared bool

	// Permit is the controller's leave, which goes to disk with the intent; nil: it needs none. Gate is asked
	// once the intent is on disk, as the last thing before the action: its error means that nothing is done.
	// Whoever runs the plan sets both.
	Permit *permit.Held
	Gate   func() error
	// Halt is closed by whoever runs the plan when no further part is to begin; nil: when the context ends.
	Halt <-chan struct{}

	request kind.Request
}
