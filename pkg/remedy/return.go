package remedy

import (
	"time"

	"github.com/salveops/salve/pkg/defaults"
)

// Return is what the kinds have in common that let a service go back to a version that ran well: what runs it, and for how long
// that has to run.
type Return struct {
	Units     []string      // services that are started anew, in this order; never empty
	Reload    bool          // they are reloaded instead
	GoodAfter time.Duration // a version that ran well for so long is known to be good
}

// Returning is implemented by arguments of those kinds.
type Returning interface {
	Args
	// Returns are the arguments themselves.
	Returns() *Return
}

// Returns implements Returning.
func (a *Return) Returns() *Return { return a }

func (a *Return) parts() []Part {
	if a.Reload {
		return partsOf(Reload, a.Units)
	}
	return partsOf(Restart, a.Units)
}

// Bounds of good_after.
const (
	LeastGood = time.Second
	MostGood  = 7 * 24 * time.Hour
)

// returnArgs describe them; version is what it is a version of, with its article, and back says when it is back.
func returnArgs(version, back string) []Arg {
	return []Arg{
		{Name: "units", Type: Strings, Help: "services that are restarted once " + back + ", in this order; default: the " +
			"service's unit. An allow block must permit their restart"},
		{Name: "reload", Type: Bool, Default: "false", Help: "reload them instead; an allow block must permit that"},
		{Name: "good_after", Type: Duration, Default: defaults.Duration(defaults.GoodAfter), Min: LeastGood, Max: MostGood,
			Help: version + " is known to be good once its units ran for so long without an incident of the service, while every " +
				"rule and probe of it could tell that it is well"},
	}
}

func (r *reader) returns() Return {
	if r.has("units") && len(r.strings("units")) == 0 {
		r.problem("units", "units names no service; leave it out for the service's own unit")
	}
	return Return{Units: r.services("units"), Reload: r.boolean("reload", false), GoodAfter: r.duration("good_after", defaults.GoodAfter)}
}
