// Package heal is the agent's engine: one goroutine that owns every series, every rule's state and
// every open incident, decides by the pure functions of pkg/healing, and hands the work to others:
// attempts to act, messages to escalate, records to journal. Everything that takes time runs in a
// goroutine of its own and reports back, so that sampling and other services never wait for it.
package heal

import (
	"context"
	"time"

	"github.com/salveops/salve/agent/internal/act"
	"github.com/salveops/salve/agent/internal/journal"
	"github.com/salveops/salve/agent/internal/observe"
	"github.com/salveops/salve/agent/internal/systemd"
	"github.com/salveops/salve/pkg/clock"
	"github.com/salveops/salve/pkg/incident"
)

// Actor is the only way to change the host.
type Actor interface {
	// Prepare checks a request against the host as it is now, without side effects. A
	// *act.Refusal says why it must not run.
	Prepare(ctx context.Context, r act.Request) (act.Plan, error)
	// Run journals the intent, acts, journals the result.
	Run(ctx context.Context, p act.Plan) (incident.Attempt, error)
	// Undo takes an attempt back and journals that.
	Undo(ctx context.Context, attempt string) (incident.Attempt, error)
}

// Units tells the state of systemd's units, from memory.
type Units interface {
	Unit(name string) (systemd.Unit, bool)
	Match(glob string) []string
	SystemState() string
}

// Journal is what must survive a crash.
type Journal interface {
	// Host and Stream are parts of every alert's name.
	Host() string
	Stream() string
	NextEvent() uint64                      // the next alert's number; never given twice
	PutAttempt(a *incident.Attempt) error   // durable on return
	PutIncident(i *incident.Incident) error // soon, in order
	Incident(id string) (*incident.Incident, error)
	Incidents(f journal.Filter) ([]*incident.Incident, error)
	Attempt(id string) (*incident.Attempt, error)
	AttemptsWithin(age time.Duration) ([]*incident.Attempt, error)
	Pauses() ([]*incident.Pause, error)
	PutPause(p *incident.Pause) error
	DeletePause(id string) error
	BudgetUnknown() bool
	Healthy() error
}

// Pager hands incidents to people. What became of a message comes back by Engine.Delivered.
type Pager interface {
	// Send delivers a message to every notifier of d, at least once, under its key.
	Send(i incident.Incident, d incident.Delivery)
}

// Diagnoser collects evidence, bounded in time and size. It never fails: what could not be had is
// said in the evidence.
type Diagnoser interface {
	// Volatile is what the action may destroy: processes, sockets, the unit's cgroup figures.
	Volatile(ctx context.Context, unit systemd.Unit) []incident.Evidence
	// Durable is what is still there afterwards: the journal of the unit, kernel messages.
	Durable(ctx context.Context, unit systemd.Unit) []incident.Evidence
}

// Packages tells whether a package transaction runs.
type Packages interface {
	Holder() (string, error)
}

// Observer samples. Its methods return at once.
type Observer interface {
	SetTargets(t observe.Targets)
	UnitStarted(name string, run observe.UnitRun)
	UnitGone(name string)
	// Kick makes the probes of a service ask at once: its unit has just come up.
	Kick(service string)
}

// stamp is now as records keep it.
func (e *Engine) stamp() clock.Stamp { return clock.Now(e.o.Clock) }
