// Package heal is the agent's engine: one goroutine that owns every series, every rule's state and
// every open incident, decides by the pure functions of pkg/healing, and hands the work to others:
// attempts to act, messages to escalate, records to journal. Everything that takes time runs in a
// goroutine of its own and reports back, so that sampling and other services never wait for it.
package heal

import (
	"context"
	"time"

	"github.com/salveops/salve/agent/internal/act"
	"github.com/salveops/salve/agent/internal/act/kind"
	"github.com/salveops/salve/agent/internal/change"
	"github.com/salveops/salve/agent/internal/journal"
	"github.com/salveops/salve/agent/internal/observe"
	"github.com/salveops/salve/agent/internal/session"
	"github.com/salveops/salve/agent/internal/systemd"
	"github.com/salveops/salve/pkg/clock"
	"github.com/salveops/salve/pkg/incident"
	"github.com/salveops/salve/pkg/permit"
	"github.com/salveops/salve/pkg/series"
	"github.com/salveops/salve/proto/logpb"
)

// Actor is the only way to change the host.
type Actor interface {
	// Prepare checks a request against the host as it is now, without side effects. A
	// *kind.Refusal says why it must not run.
	Prepare(ctx context.Context, r kind.Request) (act.Plan, error)
	// Run journals the intent, acts, journals the result.
	Run(ctx context.Context, p act.Plan) (incident.Attempt, error)
	// Undo takes an attempt back and journals that.
	Undo(ctx context.Context, attempt string) (incident.Attempt, error)
	// Quiet reports whether nothing of an attempt runs any more.
	Quiet(a *incident.Attempt) bool
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

// Permits is the controller's leave, and what else is said on the line to it; *session.Session is one. All but
// Ask return at once.
type Permits interface {
	// Ask waits for the permit of an attempt. A *session.Refusal says why there is none.
	Ask(ctx context.Context, a permit.Ask) error
	// Begin, or BeginAlone where nobody could be asked, gives what goes to disk with the intent; Act is the last
	// question before the action. A *permit.Void says that the permit must not be used.
	Begin(attempt string, f permit.Facts) (permit.Held, error)
	BeginAlone(a permit.Ask, f permit.Facts) (permit.Held, error)
	Act(attempt string, f permit.Facts) error
	// Withdraw says that the attempt does not begin; Settle how one ended.
	Withdraw(attempt, reason string)
	Settle(attempt string, how permit.Settlement, reason string)
	// Overrun reports whether the attempt's time is up.
	Overrun(attempt string) bool
	// Doubts are attempts of which nobody knows what became of them; Clear ends one.
	Doubts() []permit.Doubt
	Clear(t permit.Token)
	// Serving says what this host serves, all of it.
	Serving(reports []*logpb.ServiceReport)
	// Evidence hands evidence over, and names it.
	Evidence(list []incident.Evidence) []*logpb.EvidenceRef
	// Lost reports whether the controller takes this host for lost; Generation is the controller's, "" if it is
	// not known.
	Lost() bool
	Generation() string
	State() session.State
}

// Events is what the controller has to be told; *journal.Outbox is one. An event goes to disk with the incident
// that is journaled next, or with Commit.
type Events interface {
	Add(ev *logpb.Event) uint64
	AddAlert(with func(k incident.AlertKey) *logpb.Alert) incident.AlertKey
	Commit() error
	Stream() string
}

var (
	_ Permits = (*session.Session)(nil)
	_ Events  = (*journal.Outbox)(nil)
)

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
	// Afresh makes them ask at once and forget what they have asked: an action ended.
	Afresh(service string)
}

// Changes remembers what was changed; *change.Log is one. Its methods return at once.
type Changes interface {
	All() []change.Change
	// Learn enters a change that the controller tells; false: it is known.
	Learn(x change.Change) (change.Change, bool)
	// Told notes that the controller has been told of a change.
	Told(x change.Change)
}

// Recorder keeps what signals were.
type Recorder interface {
	// Second takes what is known now; open says of each service ("" is the host) whether an incident is open. It
	// returns at once.
	Second(now clock.Instant, st *series.Store, open map[string]bool)
}

// stamp is now as records keep it.
func (e *Engine) stamp() clock.Stamp { return clock.Now(e.o.Clock) }
