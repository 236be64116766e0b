// Package act is the only place where the agent changes the host: systemd jobs, signals, properties,
// programs, pools. A test over the whole module forbids it everywhere else, so that what is checked
// here is checked always: the host's allow blocks, protected units, what people did by hand, and an
// intent on disk before anything happens.
package act

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/salveops/salve/agent/internal/act/kind"
	"github.com/salveops/salve/agent/internal/act/program"
	"github.com/salveops/salve/agent/internal/helper"
	"github.com/salveops/salve/agent/internal/release"
	"github.com/salveops/salve/agent/internal/systemd"
	"github.com/salveops/salve/agent/internal/transaction"
	"github.com/salveops/salve/pkg/clock"
	"github.com/salveops/salve/pkg/config"
	"github.com/salveops/salve/pkg/incident"
	"github.com/salveops/salve/pkg/remedy"
)

// Journal is what the runner writes down: before it acts, and after. PutAttempt is durable on return.
type Journal interface {
	PutAttempt(a *incident.Attempt) error
	// Attempt returns an error that wraps journal.ErrNotFound when there is none of that ID.
	Attempt(id string) (*incident.Attempt, error)
	OpenAttempts() ([]*incident.Attempt, error)
	AttemptsWithin(age time.Duration) ([]*incident.Attempt, error)
}

// Options of a Runner. Systemd, Journal and Clock are needed; without Allow nothing is allowed.
type Options struct {
	Allow     []config.Allow
	Protected []string // globs of units that no remedy may touch, beside those that Salve itself needs
	Systemd   *systemd.Watcher
	Journal   Journal
	Clock     clock.Clock
	Log       hclog.Logger // nil: silent
	Host      string       // this host's name; "": exec remedies do not know it
	Data      string       // the agent's own folder, of which no remedy removes anything; "": it has none
	// Good are the versions that a service has run well with and that a remedy of that kind may go back to, the newest first;
	// nil: there are none.
	Good func(service string, k remedy.Kind) []release.Good
	// Helper is the socket of the helper. While it is there, every change of a unit goes through it, and limits can
	// end by themselves. "": there is none.
	Helper string
	// Reboots is true where a remedy may reboot the host: a controller gives permits, and Systemd is the host's own.
	Reboots bool
	// Expired is told what became of an attempt whose time was over: that it was taken back, or by its error why it stays for
	// good. It returns at once. nil: nobody is told.
	Expired func(a incident.Attempt, err error)
	// Packages names the lock of a package transaction that runs; nil: as the host's own locks say.
	Packages func() (file string, err error)
}

// Runner carries out remedies, one at a time on each thing that they lock.
type Runner struct {
	o     Options
	kinds map[remedy.Kind]kind.Kind

	queue   queue
	limited limits // attempts that end by themselves, for Serve
	mu      sync.Mutex
	allow   []config.Allow
}

// New makes a runner.
func New(o Options) (*Runner, error) {
	for name, missing := range map[string]bool{
		"Systemd": o.Systemd == nil, "Journal": o.Journal == nil, "Clock": o.Clock == nil,
	} {
		if missing {
			return nil, fmt.Errorf("act: option %s is missing", name)
		}
	}
	if o.Log == nil {
		o.Log = hclog.NewNullLogger()
	}
	if o.Good == nil {
		o.Good = func(string, remedy.Kind) []release.Good { return nil }
	}
	if o.Packages == nil {
		o.Packages = transaction.New("").Holder
	}
	if o.Expired == nil {
		o.Expired = func(incident.Attempt, error) {}
	}
	r := &Runner{o: o, allow: o.Allow, queue: queue{over: make(chan struct{})}, limited: limits{more: make(chan struct{}, 1)}}
	r.kinds = registry(&kind.Host{
		Systemd: o.Systemd, Helper: helper.Client{Socket: o.Helper}, Clock: o.Clock, Log: o.Log, Protected: o.Protected,
		Data: o.Data, Name: o.Host, Good: o.Good, Reboots: o.Reboots, Packages: o.Packages, Attempts: o.Journal.AttemptsWithin,
		Allowed: func(k remedy.Kind, target string) bool { return Allowed(r.blocks(), k, target) },
		InForce: r.inForce,
		Program: func(ctx context.Context, c program.Cmd) (program.Output, error) {
			c.Purpose, c.Timeout = program.Remedy, boundless
			return r.Command(ctx, c)
		},
		MayRun: func(argv []string) error {
			_, err := r.permitted(program.Cmd{Purpose: program.Remedy, Argv: argv})
			return err
		},
	})
	return r, nil
}

// boundless leaves the bound to the context of the action.
const boundless = 24 * time.Hour

// SetAllow replaces the allow blocks, as a reload of the configuration does. What was prepared before
// is judged again by the new ones.
func (r *Runner) SetAllow(blocks []config.Allow) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.allow = slices.Clone(blocks)
}

// Allowed reports whether the blocks permit that kind of remedy on the target, which is a unit's
// primary name, a pool, or a program, as the kind has it. An empty target is never allowed.
func Allowed(blocks []config.Allow, k remedy.Kind, target string) bool {
	spec, ok := remedy.Lookup(string(k))
	host := config.Agent{Allow: blocks}
	return ok && target != "" && host.Allows(string(k), spec.Target, target)
}

func (r *Runner) blocks() []config.Allow {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.allow
}

// allowed is the allowlist's verdict on a step.
func (r *Runner) allowed(k remedy.Kind, target string) error {
	if Allowed(r.blocks(), k, target) {
		return nil
	}
	return kind.Refuse("no allow block of this host permits %s on %s", k, target)
}

// safeEnd is how long an action may still take to its safe end when the agent is told to stop.
const safeEnd = 10 * time.Second

// bounded is the context of one action: it ends after limit, but outlives the end of ctx for as long
// as a started step needs to be whole.
func bounded(ctx context.Context, limit time.Duration) (context.Context, context.CancelFunc) {
	inner, cancel := context.WithTimeoutCause(context.WithoutCancel(ctx), limit, program.ErrTimeout)
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(safeEnd, cancel) })
	return inner, func() {
		stop()
		cancel()
	}
}
