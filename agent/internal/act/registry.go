package act

import (
	"context"
	"encoding/json"

	"github.com/salveops/salve/pkg/config"
	"github.com/salveops/salve/pkg/incident"
	"github.com/salveops/salve/pkg/permit"
	"github.com/salveops/salve/pkg/remedy"
)

// action is one way to change the host. A new kind of remedy is one file that implements this and one
// line in registry.
//
//	target ─► allow ─► describe, precheck ─► (intent on disk) ─► act ─► (result on disk) ─► undo
//	                                                  └── agent died here: settle
type action interface {
	// target is what the request acts on, by the name that allow blocks know: a unit's primary name,
	// a pool, a program. It must be one thing; nothing named is nothing, never everything.
	target(ctx context.Context, q Request) (string, error)
	// describe says in one phrase what act would do.
	describe(s *step) string
	// precheck finds out whether act may and can run now, without side effects. It fills in the
	// step's before, undo and disruptive. A *Refusal says why not.
	precheck(ctx context.Context, s *step) error
	// act does it and fills in the step's after.
	act(ctx context.Context, s *step) error
	// undo takes back what act did, by what precheck left in a.Undo.
	undo(ctx context.Context, a *incident.Attempt) error
	// settle says what became of an attempt during which the agent died: Acted, NotDone or Unknown.
	settle(ctx context.Context, a *incident.Attempt) (incident.Phase, string)
	// repeatable reports whether an undo may be run again that was interrupted.
	repeatable() bool
}

// registry lists every kind that exists.
func registry(r *Runner) map[remedy.Kind]action {
	unit := onUnit{r}
	return map[remedy.Kind]action{
		remedy.Start:       starter{unit},
		remedy.Restart:     restarter{unit},
		remedy.Reload:      reloader{unit},
		remedy.Stop:        stopper{unit},
		remedy.Kill:        killer{unit},
		remedy.SetProperty: limiter{unit},
		remedy.Exec:        executor{r},
		remedy.ResetPool:   resetter{r},
	}
}

// Request asks for one run of one remedy.
type Request struct {
	Remedy *config.Remedy
	// Unit is the alert's own unit, on which a remedy acts that names none itself.
	Unit string
	// Attempt is the record to be journaled; its ID must be new. Prepare alone needs none.
	Attempt incident.Attempt
	// ResetFailed clears a start limit that was hit before the unit is started.
	ResetFailed bool
	// ByPerson is true when an operator asked for it: then it may start what a person stopped.
	ByPerson bool
}

// Plan is a request that passed every check.
type Plan struct {
	Kind   remedy.Kind
	Target string // primary name of the unit, pool, or program
	// Text says what would be done.
	Text string
	// Disruptive is true when it may take away what the host still serves, by the facts of this moment.
	Disruptive bool
	// Shared is true when it acts on something that other hosts use, too.
	Shared bool

	// Permit is the controller's leave, which goes to disk with the intent; nil: it needs none. Gate is asked
	// once the intent is on disk, as the last thing before the action: its error means that nothing is done.
	// Whoever runs the plan sets both.
	Permit *permit.Held
	Gate   func() error

	request Request
}

// step is a request on its way through an action.
type step struct {
	Request
	target     string
	disruptive bool
	shared     bool
	before     any // evidence from before, for settle; marshalled into Attempt.Before
	after      any
	undo       any // what undo needs; nil: cannot be undone
}

func (s *step) args() *remedy.Args { return &s.Remedy.Args }

// raw is v as a record keeps it.
func raw(v any) json.RawMessage {
	if v == nil {
		return nil
	}
	text, err := json.Marshal(v)
	if err != nil {
		panic("act: evidence cannot be marshalled: " + err.Error()) // only plain structs get here
	}
	return text
}
