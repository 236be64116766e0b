// Package kind is what every kind of remedy has in common: the questions that the runner asks it, what it may use of the
// host, and how it refuses. A kind is a folder beside this one and a line in the runner's registry; it keeps no state of
// its own that a crash may not take.
package kind

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/salveops/salve/agent/internal/act/program"
	"github.com/salveops/salve/agent/internal/helper"
	"github.com/salveops/salve/agent/internal/release"
	"github.com/salveops/salve/agent/internal/systemd"
	"github.com/salveops/salve/pkg/clock"
	"github.com/salveops/salve/pkg/config"
	"github.com/salveops/salve/pkg/incident"
	"github.com/salveops/salve/pkg/remedy"
)

// Kind is one way to change the host.
//
//	Target ─► allow ─► Describe, Precheck ─► (intent on disk) ─► Act ─► (result on disk) ─► Undo
//	                                                  └── agent died here: Settle
type Kind interface {
	// Target is what the request acts on, by the name that allow blocks know: a unit's primary name,
	// a pool, a program. It must be one thing; nothing named is nothing, never everything.
	Target(ctx context.Context, q Request) (string, error)
	// Describe says in one phrase what Act would do.
	Describe(s *Step) string
	// Precheck finds out whether Act may and can run now, without side effects. It fills in the
	// step's Before, Undo, For, Detail and Disruptive. A *Refusal says why not.
	Precheck(ctx context.Context, s *Step) error
	// Act does it and fills in the step's After. An error that wraps ErrLost says that nobody knows whether it worked.
	// ErrUnderWay says that the next process has to settle it: the intent stays as it is.
	// It clears Undo and For once nothing is left that would have to be taken back.
	Act(ctx context.Context, s *Step) error
	// Undo takes back what Act did, by what Precheck left in a.Undo. A *Refusal that is not Temporary is the last word: it is
	// not asked again. Any other error is tried again.
	Undo(ctx context.Context, a *incident.Attempt) error
	// Settle says what became of an attempt during which the agent died: Acted, NotDone or Unknown. It clears a's Undo
	// and For if nothing is left to be taken back.
	Settle(ctx context.Context, a *incident.Attempt) (incident.Phase, string)
	// Repeatable reports whether an undo may be run again that was interrupted.
	Repeatable() bool
	// Quiet reports whether nothing of the attempt runs any more. What cannot be known is not quiet.
	Quiet(a *incident.Attempt) bool
}

// Request asks for one run of one remedy.
type Request struct {
	Remedy *config.Remedy
	// Unit is the alert's own unit, on which a remedy acts that names none itself.
	Unit string
	// Value is that of the first signal of the alert's condition, in base units; nil: it is not known.
	Value *float64
	// Attempt is the record to be journaled; its ID must be new. Prepare alone needs none.
	Attempt incident.Attempt
	// ResetFailed clears a start limit that was hit before the unit is started.
	ResetFailed bool
	// ByPerson is true when an operator asked for it: then it may start what a person stopped.
	ByPerson bool
}

// Step is a request on its way through a kind.
type Step struct {
	Request
	Target     string
	Disruptive bool
	Shared     bool
	Before     any // evidence from before, for Settle; marshalled into Attempt.Before
	After      any // evidence from after
	Undo       any // what Undo needs; nil: cannot be undone
	// Detail lists what would be done one by one, a line each, for who asks before it is done.
	Detail []string
	// Idle is true of a part whose unit is down because nobody needed it so far: nobody has stopped it, whatever
	// systemd's memory of it looks like.
	Idle bool
	// For is how long after its intent the attempt is taken back, whoever lives then; 0: when it is asked for.
	For time.Duration
	// Halt is closed when no further part of what has several is to begin: a person wants it so, the agent stops, or the time
	// of its permit is over. nil: never.
	Halt <-chan struct{}
}

// ErrHalt says that a step with several parts was told to stop before all of them had begun.
var ErrHalt = errors.New("it was told to stop: no further part began")

// Halted is why no further part may begin, for kinds whose Act has several; nil: one may. ctx is that of Act.
func (s *Step) Halted(ctx context.Context) error {
	select {
	case <-s.Halt:
		return ErrHalt
	default:
		return context.Cause(ctx)
	}
}

// Part is the step of another kind on one unit, of which this step is made up.
func (s *Step) Part(k remedy.Kind, unit string, args remedy.Args) *Step {
	part := &Step{Request: s.Request, Target: unit, Halt: s.Halt}
	part.Remedy = &config.Remedy{Kind: k, Name: s.Remedy.Name, Service: s.Remedy.Service, Args: args}
	return part
}

// Intent is the record that goes to disk before the step.
func (s *Step) Intent(now clock.Stamp) incident.Attempt {
	a := s.Attempt
	a.Kind, a.Remedy, a.Target = string(s.Remedy.Kind), s.Remedy.Name, s.Target
	a.Phase, a.Intended, a.For = incident.Intended, now, s.For
	a.Before, a.Undo = Raw(s.Before), Raw(s.Undo)
	return a
}

// Host is what a kind may use. All of it is safe for concurrent use.
type Host struct {
	Systemd *systemd.Watcher
	// Helper changes units in systemd's stead, where there is one.
	Helper helper.Client
	Clock  clock.Clock
	Log    hclog.Logger
	// Protected are globs of units that no remedy may touch, beside those that Salve itself needs.
	Protected []string
	// Name is this host's, as its configuration has it.
	Name string
	// Data is the agent's own folder, of which no remedy may remove anything; "": it has none.
	Data string
	// Allowed reports whether the allow blocks, as they are now, permit that kind of remedy on the target.
	Allowed func(kind remedy.Kind, target string) bool
	// InForce reports whether an attempt of that kind on the target is to be taken back when its time is over.
	InForce func(kind remedy.Kind, target string) (bool, error)
	// Good are the versions that a service has run well with on this host and that a remedy of that kind may go back to,
	// the newest first.
	Good func(service string, k remedy.Kind) []release.Good
	// Program runs a program for an exec remedy, if the allow blocks permit it; see act.Runner.Command.
	// It runs until ctx ends.
	Program func(ctx context.Context, c program.Cmd) (program.Output, error)
	// Reboots is true of an agent that has a controller's permits and looks after the host's own systemd; the zero value
	// reboots nothing.
	Reboots bool
	// Packages names the lock of a package transaction that runs.
	Packages func() (file string, err error)
	// Attempts reads what ran on this host in that time from the journal, oldest first.
	Attempts func(within time.Duration) ([]*incident.Attempt, error)
	// MayRun is the refusal that Program would answer with; nil: it would run.
	MayRun func(argv []string) error
}

// LongestLimit is how long what ends by itself can last, with room for an agent that was away; its argument is bounded.
const LongestLimit = 25 * time.Hour

// NoUndo is the Undo of kinds that have none, and may be embedded.
type NoUndo struct{}

// Undo refuses.
func (NoUndo) Undo(_ context.Context, a *incident.Attempt) error {
	return Refuse("%s cannot be taken back", a.Remedy)
}

// Repeatable is true: what refuses may be asked again.
func (NoUndo) Repeatable() bool { return true }

// Raw is v as a record keeps it; nil of nil.
func Raw(v any) json.RawMessage {
	if v == nil {
		return nil
	}
	text, err := json.Marshal(v)
	if err != nil {
		panic("act: evidence cannot be marshalled: " + err.Error()) // only plain structs get here
	}
	return text
}

// Eventually polls ask until it says true; false when ctx ended first.
func Eventually(ctx context.Context, every time.Duration, ask func() bool) bool {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for !ask() {
		select {
		case <-ctx.Done():
			return ask()
		case <-tick.C:
		}
	}
	return true
}
