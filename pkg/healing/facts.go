// Package healing decides what to do about an alert, and judges whether what was done helped. Both
// are pure: the same facts give the same answer, in the same words, in the log, the timeline and the
// CLI. Facts go in as plain data; nothing here looks at a clock, a unit or a disk.
package healing

import (
	"time"

	"github.com/salveops/salve/pkg/clock"
	"github.com/salveops/salve/pkg/config"
	"github.com/salveops/salve/pkg/expr"
	"github.com/salveops/salve/pkg/incident"
	"github.com/salveops/salve/pkg/remedy"
)

// Facts is everything that a decision looks at. The zero value permits nothing: what the caller
// forgets to fill in holds the automation back and never lets it loose.
type Facts struct {
	Alert    Alert
	Incident Story
	Host     Host
	Unit     Unit // the alert's own unit; without Name it has none

	Observe string // why nothing is done alone, such as "autonomy is observe"; "" if something may be
	Broken  bool   // the breaker of the alert's rule is open, and does not let this host through
	Pauses  []incident.Pause
	Windows []config.Window
	Depends []Dependency // the services that this one depends on

	Candidates []Candidate        // in the order of the rule's try
	Ahead      []Waiter           // who has waited for longer; see Queue
	History    []incident.Attempt // attempts on this host, at least of the last 24 h, oldest first
}

// Alert is the firing to decide about.
type Alert struct {
	Rule          string
	Service       string        // "" for a rule about the host
	Instance      string        // unit, mount, device, pool
	Firing        bool          // false: it resolved, and nothing is done about what is well
	Clearing      bool          // its clear condition holds, only not yet for long enough
	Unknown       bool          // its condition cannot be known at the moment
	Flapping      bool          // told to people, not acted on
	Blind         bool          // its condition cannot be known; told to people, never acted on
	Fired         clock.Stamp   // when it fired
	EscalateAfter time.Duration // from Fired until people are told whatever is being done; 0: at once
}

// Story is what the decision needs to know of the incident.
type Story struct {
	ID          string
	AckBy       string      // who has it; "" nobody
	KeepHealing bool        // who acknowledged it lets remedies go on
	Told        bool        // it was escalated already
	Released    clock.Stamp // when a person last handed it back; attempts before that are forgiven
}

// Host is the state of the machine.
type Host struct {
	State   string      // of systemd: "running", "degraded", "starting", "stopping", "maintenance"…
	PerHour int         // remedies an hour on this host
	Lost    clock.Stamp // when attempts were last lost with a damaged journal; zero: never
}

// Unit is a systemd unit at the moment of the decision.
type Unit struct {
	Name        string // "" stands for no unit
	Load        string // "loaded", "masked", "not-found"…
	Active      string // "active", "failed", "inactive", "activating"…
	Sub         string // "running", "dead", "auto-restart"…
	Result      string // "success", "exit-code", "start-limit-hit"…
	Stopped     string // who stopped it: "" nobody, "person", "dependency", "salve", "itself"
	Job         bool   // systemd has a job for it in its queue
	ActiveFor   time.Duration
	Startup     time.Duration // nobody judges it for so long after a start
	Transaction string        // what holds the package database while the unit is a package's; "" nothing
	Upgrading   time.Duration // how long Transaction has been going on
}

// Dead reports whether nothing of the unit runs, so that starting it takes nothing away.
func (u *Unit) Dead() bool { return u.Active == "failed" || u.Active == "inactive" }

// Dependency is a service that the alert's service depends on.
type Dependency struct {
	Service   string
	Open      bool          // it has an open incident
	Detection time.Duration // how long its own rules need to notice a fault
}

// Candidate is one configured remedy for the alert.
type Candidate struct {
	Name   string
	Kind   remedy.Kind
	Target string // unit, pool or program to act on; "" is nothing, never everything
	Unit   Unit   // the target, if it is a unit other than the alert's own
	// Waits are the units, or globs of them, that it may change beside its Target and cannot leave out. If there are any, Unit
	// is one of those that a package transaction may touch, nameless if none is.
	Waits        []string
	Locks        []remedy.Lock // what it needs for itself; see Queue
	Services     []string      // whose units are among Locks
	Allowed      bool          // an allow block of this host permits the kind on the target
	Taken        string        // who has another incident, about what it would change; "": nobody
	Refusal      string        // why the executor's precheck refused it; "" it did not
	Conditional  bool          // it has a precondition
	Precondition expr.Truth
	Attempts     int           // most attempts an hour for one instance
	Recurring    int           // so many verified runs a day, and its help is none
	Cooldown     time.Duration // least time between two attempts
	Prior        float64       // configured confidence
	Denied       string        // why the controller gave no leave when it was asked last; "": it may be asked
	DeniedFor    time.Duration // until it makes sense to ask again; 0: when something that Denied names has changed
	Verified     int           // own outcomes of this remedy for this service and rule, at any time
	Failed       int
}
