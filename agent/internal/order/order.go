// Package order is one change of one unit, or of the versions of packages, in the words in which act asks for it: of systemd
// itself, which Do does, or of the helper. Check says whether an order makes sense. Whether it may be given is for others: act, which writes
// the intent down first, and the helper, which holds it against the list that root made.
package order

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	sd "github.com/coreos/go-systemd/v22/dbus"
	"github.com/godbus/dbus/v5"
	"golang.org/x/sys/unix"

	"github.com/salveops/salve/agent/internal/systemd"
	"github.com/salveops/salve/pkg/remedy"
)

// Verbs. All but Lift and Install are polkit's, too; ReloadManager is an action of its own there, without a unit.
const (
	Start       = "start"
	Stop        = "stop"
	Restart     = "restart"
	Reload      = "reload"
	Kill        = "kill"
	ResetFailed = "reset-failed"
	SetProperty = "set-property"
	Freeze      = "freeze"
	Thaw        = "thaw"
	// ReloadManager has systemd read all unit files again, because those of the unit have changed.
	ReloadManager = remedy.VerbReloadManager
	Lift          = "lift"    // ends what SetProperty with For has set, before its time; helper only
	Install       = "install" // puts versions of installed packages in place; helper only
)

// Order is one change.
type Order struct {
	Verb string `json:"verb"`
	Unit string `json:"unit"` // "" of Install

	Signal string `json:"signal,omitempty"` // Kill: its name
	Whom   string `json:"whom,omitempty"`   // Kill: "main" or "all"

	Properties map[string]Value `json:"properties,omitempty"` // SetProperty: by the name in unit files
	Runtime    bool             `json:"runtime,omitempty"`    // SetProperty: lost at reboot
	// For is after how much time the properties become what they were, whoever is alive then; 0 means never.
	// SetProperty through the helper only, with Runtime.
	For time.Duration `json:"for,omitempty"`

	Manager  string    `json:"manager,omitempty"`  // Install: Apt or Dnf
	Packages []Package `json:"packages,omitempty"` // Install: the versions that are to be in place
	// Hold is true of packages that no upgrade may touch afterwards, and false of those that were held so far. Install only.
	Hold bool `json:"hold,omitempty"`
}

// verb is one row of the table of what can be ordered. A new verb is one more row.
type verb struct {
	permit string // the verb that the list must have for it
	args   func(o Order) string
	do     func(ctx context.Context, c *systemd.Calls, o Order) (job int, err error) // nil: the helper's own
}

// mode of jobs: never replace one that is queued already, which could be a person's.
const mode = "fail"

func verbs() map[string]verb {
	type queue func(c *systemd.Calls, ctx context.Context, unit, mode string, ch chan<- string) (int, error)
	job := func(permit string, q queue) verb {
		return verb{permit, none, func(ctx context.Context, c *systemd.Calls, o Order) (int, error) {
			return q(c, ctx, o.Unit, mode, nil)
		}}
	}
	return map[string]verb{
		Start:   job(Start, (*systemd.Calls).StartUnitContext),
		Stop:    job(Stop, (*systemd.Calls).StopUnitContext),
		Restart: job(Restart, (*systemd.Calls).RestartUnitContext),
		Reload:  job(Reload, (*systemd.Calls).ReloadUnitContext),
		ResetFailed: {ResetFailed, none, func(ctx context.Context, c *systemd.Calls, o Order) (int, error) {
			return 0, c.ResetFailedUnitContext(ctx, o.Unit)
		}},
		Kill: {Kill, signal, func(ctx context.Context, c *systemd.Calls, o Order) (int, error) {
			return 0, c.KillUnitWithTarget(ctx, o.Unit, whom[o.Whom], int32(unix.SignalNum(o.Signal)))
		}},
		SetProperty: {SetProperty, values, func(ctx context.Context, c *systemd.Calls, o Order) (int, error) {
			if o.For > 0 {
				return 0, errors.New("only the helper can see to it that a limit ends")
			}
			return 0, c.SetUnitPropertiesContext(ctx, o.Unit, o.Runtime, onBus(o.Properties)...)
		}},
		Freeze: {Freeze, none, func(ctx context.Context, c *systemd.Calls, o Order) (int, error) {
			return 0, c.FreezeUnit(ctx, o.Unit)
		}},
		Thaw: {Thaw, none, func(ctx context.Context, c *systemd.Calls, o Order) (int, error) {
			return 0, c.ThawUnit(ctx, o.Unit)
		}},
		ReloadManager: {ReloadManager, none, func(ctx context.Context, c *systemd.Calls, _ Order) (int, error) {
			return 0, c.ReloadContext(ctx)
		}},
		Lift:    {SetProperty, none, nil},
		Install: {Install, versions, nil},
	}
}

// whom are systemd's words for the receivers of a signal.
var whom = map[string]sd.Who{"main": sd.Main, "all": sd.All}

// Check returns what is wrong with the order by itself: a verb or property that nobody knows, a value out of bounds,
// a name that is no unit's.
func (o Order) Check() error {
	v, known := verbs()[o.Verb]
	if !known {
		return fmt.Errorf("there is no verb %.40q", o.Verb)
	}
	if o.Verb != Install {
		if wrong := remedy.CheckUnitName(o.Unit, false); wrong != "" {
			return fmt.Errorf("%.300s", wrong)
		}
		if len(o.Packages) > 0 || o.Hold || o.Manager != "" {
			return fmt.Errorf("%s: it takes no packages", o.Verb)
		}
	}
	if wrong := v.args(o); wrong != "" {
		return fmt.Errorf("%s: %s", o.Verb, wrong)
	}
	return nil
}

// Permit is the verb that a list must have for the order's unit.
func (o Order) Permit() string { return verbs()[o.Verb].permit }

func none(o Order) string {
	if o.Signal != "" || o.Whom != "" || len(o.Properties) > 0 || o.Runtime || o.For != 0 {
		return "it takes nothing but a unit"
	}
	return ""
}

func signal(o Order) string {
	_, known := whom[o.Whom]
	switch {
	case len(o.Properties) > 0 || o.Runtime || o.For != 0:
		return "it takes a unit, a signal and whom, and no more"
	case !known || !slices.Contains(remedy.Signals(), o.Signal):
		return fmt.Sprintf("there is no signal %.40q to %.40q", o.Signal, o.Whom)
	}
	return ""
}

func values(o Order) string {
	switch {
	case o.Signal != "" || o.Whom != "":
		return "it takes properties, and no signal"
	case len(o.Properties) == 0:
		return "it names no property"
	case o.For != 0 && (o.For < remedy.ShortestLimit || o.For > remedy.LongestLimit):
		return fmt.Sprintf("a limit ends after %v to %v, not %v", remedy.ShortestLimit, remedy.LongestLimit, o.For)
	case o.For != 0 && !o.Runtime:
		return "what is to end by itself has to end with a reboot, too: then there is nobody who would end it"
	}
	for _, name := range sorted(o.Properties) {
		p, known := Lookup(name)
		if !known {
			return fmt.Sprintf("it does not know the property %.40q", name)
		}
		if !p.holds(o.Properties[name]) {
			return name + " cannot have that value"
		}
	}
	return ""
}

// ErrLost says that the connection went away after the order was given and before it was answered, so that only
// the state of the unit can tell what became of it.
var ErrLost = errors.New("the connection was lost before the answer came")

// Do gives the order to systemd. The job that it became is queued and not over; 0 means that it takes none. An error
// that is no ErrLost means that nothing was done.
func Do(ctx context.Context, c *systemd.Calls, o Order) (job int, err error) {
	if err := o.Check(); err != nil {
		return 0, err
	}
	do := verbs()[o.Verb].do
	if do == nil {
		return 0, fmt.Errorf("only the helper can %s", o.Verb)
	}
	job, err = do(ctx, c, o)
	return job, Verdict(err)
}

// Verdict tells a refusal of systemd's from an answer that never came.
func Verdict(err error) error {
	var answer dbus.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &answer):
		return fmt.Errorf("systemd refused: %w", err)
	}
	return fmt.Errorf("%w: %w", ErrLost, err)
}
