// Package local is the agent's door for the people on its own host: the gRPC API on the unix socket,
// and /metrics and /healthz on loopback. It knows no healing; it asks a Backend and translates.
package local

import (
	"context"
	"errors"
	"time"

	"github.com/salveops/salve/pkg/clock"
	"github.com/salveops/salve/pkg/incident"
	"github.com/salveops/salve/pkg/series"
)

// What a Backend's error may wrap to tell the caller what kind of failure it is. Anything else
// reaches the caller as an internal error, with its text.
var (
	ErrNotFound = errors.New("not found")   // no such incident, pause, remedy, unit
	ErrInvalid  = errors.New("not valid")   // the request makes no sense, such as an ambiguous beginning of an ID
	ErrRefused  = errors.New("was refused") // understood, and not done: a guard, a refused configuration
)

// Backend is the agent as seen through its socket. Every method may be called from many goroutines
// at once and must give up when its context ends.
type Backend interface {
	Viewer
	Operator
}

// Viewer answers questions and changes nothing.
type Viewer interface {
	// Status must answer from memory: it is asked at every scrape of /metrics and /healthz.
	Status(ctx context.Context) (Status, error)
	// Signals lists all series, sorted.
	Signals(ctx context.Context) ([]Signal, error)
	// Alerts lists alerts that are pending, firing or clearing, of one service or of all ("").
	Alerts(ctx context.Context, service string) ([]Alert, error)
	// Incidents lists the newest first, without timeline and evidence.
	Incidents(ctx context.Context, f IncidentFilter) ([]Story, error)
	// Incident finds one by its ID, by an unambiguous beginning of it, or the newest by "last".
	Incident(ctx context.Context, id string) (Story, error)
	// Pauses lists what holds now.
	Pauses(ctx context.Context) ([]incident.Pause, error)
	// Changes lists what is known to have changed, the newest first.
	Changes(ctx context.Context) ([]Change, error)
	// Doctor examines every configured remedy and the host, and changes nothing.
	Doctor(ctx context.Context) ([]Finding, error)
	// Watch sends the last replay events and then every new one, until ctx ends or send fails. A
	// receiver that is too slow is cut off with an error; it never holds the engine up.
	Watch(ctx context.Context, replay int, send func(Event) error) error
}

// Operator does what a person asked for. by is the name that the connection proved.
type Operator interface {
	// Pause starts a pause of scope "all", "service:NAME" or "unit:NAME"; d 0 has no end. It must be
	// ErrNotFound if the configuration has no such service or unit: a slip of the finger would else
	// look like safety.
	Pause(ctx context.Context, scope string, d time.Duration, reason, by string) (incident.Pause, error)
	// Resume ends the pause of that ID, or all of that scope, and returns what it ended;
	// ErrNotFound if nothing matched.
	Resume(ctx context.Context, what, by string) ([]incident.Pause, error)
	// Acknowledge stops the climb and, unless keepHealing, new remedies of the incident.
	Acknowledge(ctx context.Context, id string, keepHealing bool, comment, by string) (Story, error)
	// Release hands an acknowledged incident back.
	Release(ctx context.Context, id, by string) (Story, error)
	// RecordChange enters a change of a service or, "", of the host. It must be ErrNotFound if there is no such service.
	RecordChange(ctx context.Context, kind, service, text, by string) (Change, error)
	// Run runs a remedy through all guards and sends what happens.
	Run(ctx context.Context, r RunRequest, send func(Event) error) (RunResult, error)
	// Reload reads the configuration again; it wraps ErrRefused with the reason if it was refused.
	Reload(ctx context.Context, by string) (Reloaded, error)
}

// Change is something that was changed on this host.
type Change struct {
	ID      string
	At      clock.Stamp
	Age     time.Duration
	Kind    string
	Service string // "" is the host
	Text    string
	By      string
	Pending bool // the unit still runs what was before
}

// Status is the agent at one moment.
type Status struct {
	Host, Version string
	Uptime        time.Duration
	Autonomy      string
	Problems      []string // what keeps the agent from its work, the journal included; empty means healthy
	Config        Config
	Services      []Service
	Pauses        []incident.Pause
	Sources       []Source
	Alerts        map[string]int           // firing and the like, by state
	Incidents     map[incident.State]int   // those that have not ended, by state
	Attempts      map[AttemptClass]uint64  // ended since the agent started
	Notifications map[DeliveryClass]uint64 // messages since the agent started
	RemediesHour  int                      // of the last hour
	RemediesLimit int
	Rules         int
	Controller    *Controller // nil: the agent works alone
	Journal       error       // nil: intents can be written
	Tick          Tick
}

// Controller is the line to the controller.
type Controller struct {
	Addresses  []string
	Connected  bool
	Address    string        // of the node; "" while not connected
	Problem    string        // why it is not connected
	Since      time.Duration // how long it has been like that
	Silent     time.Duration // since the last round trip began
	Epoch      uint64
	Generation string // "": none is known
	Unsent     uint64 // events that the controller does not have
	Permits    int    // that this host holds
	Pauses     []incident.Pause
}

// AttemptClass is what attempts are counted by.
type AttemptClass struct{ Kind, Outcome string }

// DeliveryClass is what messages are counted by; Result is "delivered", "failed" or "refused".
type DeliveryClass struct{ Notifier, Result string }

// Tick says how long evaluating all rules takes.
type Tick struct {
	Count     uint64
	Sum       time.Duration
	Last, Max time.Duration
}

// Config is what the agent runs with.
type Config struct {
	Files    []string
	Digest   string
	Loaded   time.Time
	Warnings []string
	Refused  string // why the last reload was refused; "" if it was not
	Refusals uint64 // reloads refused since the agent started
	Bundles  []Bundle
}

// Bundle is a set of rules that the controller delivers.
type Bundle struct {
	Name     string
	Digest   string   // of what holds, in hex; "": nothing of it
	Rules    int      // of it that hold
	Shadowed []string // rules and thresholds for which the host has its own
	Absent   []string // rules about services that this host does not have
	Problem  string   // why what the controller wants does not hold; "": it does
}

// Service is one service with its units as systemd tells them.
type Service struct {
	Name, Unit, Autonomy string
	Units                []UnitState
	Incident             string // open one, "" if none
	Held                 string // why nothing is done for it now
}

// UnitState is one unit; State is "missing" if systemd knows no such unit.
type UnitState struct{ Name, State, Sub string }

// Source is one place that signals come from.
type Source struct {
	Name      string
	Err       error         // of the last sampling; nil: it went well
	Duration  time.Duration // of the last sampling
	Age       time.Duration // since the last success; negative: none yet
	Successes uint64
	Failures  uint64
	Warnings  uint64            // reservations about what it told; 0 of most kinds of sources
	Points    map[string]uint64 // that were sent to it: how many were "accepted", or why not; nil: none are sent
}

// Signal is one series with its last value.
type Signal struct {
	Name, Of  string // as in series.Key
	Dimension string
	Value     float64
	Known     bool
	Text      string        // formatted value; "unknown"
	Age       time.Duration // since the last known sample; negative: none yet
	Every     time.Duration // 0: arrives by itself
	Source    string
	Help      string
	Usual     *series.Usual // where it is expected; nil: no rule asks for that
}

// Alert is an alert that is not at rest.
type Alert struct {
	incident.Alert             // Values are those of now; Fired is zero while pending
	State          string      // "pending", "firing", "clearing"
	Since          clock.Stamp // when it entered State
	Flapping       bool
	Incident       string // "" if none
}

// IncidentFilter chooses incidents.
type IncidentFilter struct {
	Service string // "" means all
	Open    bool   // only those that have not ended
	Limit   int    // greatest number; never 0
}

// Story is an incident with its attempts.
type Story struct {
	incident.Incident
	Runs  []incident.Attempt // in order; may be cut down to what a listing needs
	Began clock.Stamp        // when the trouble began, as far as it can be known; zero if it can't
}

// Event is one line of a timeline, with the incident that it belongs to.
type Event struct {
	incident.Event
	Incident string      // "" for what belongs to none: a dry run, a pause
	Service  string      // "" for the host
	Opened   clock.Stamp // when the incident opened; zero without one
}

// RunRequest asks for one run of a remedy by hand.
type RunRequest struct {
	Remedy   string // NAME or SERVICE/NAME
	Instance string // unit, where the service has several; "" means its only one
	DryRun   bool   // everything up to the intent, nothing after
	By       string
}

// RunResult is how a run by hand ended.
type RunResult struct {
	Attempt  string // "" for a dry run and for a refusal
	Incident string
	Verdict  string // an incident.Outcome, "refused", or "would_run" for a dry run
	Reason   string
}

// Finding is one answer of the doctor.
type Finding struct {
	About   string // "remedy checkout/restart-app", "notifier email.me", "host"
	Verdict string // "ok", "warning", "failed"
	Text    string // "would run", "refused because …"
	Hint    string // what a person can do about it; "" if nothing
}

// Reloaded is the configuration that holds after a reload.
type Reloaded struct {
	Digest   string
	Warnings []string
}
