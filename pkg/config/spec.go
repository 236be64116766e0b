// Package config reads Salve's HCL files strictly and turns them into a checked specification.
// Nothing in a Spec needs to be checked again by those who use it: names resolve, conditions are
// compiled, dimensions agree, secrets were readable.
package config

import (
	"net/netip"
	"regexp"
	"time"

	"github.com/hashicorp/hcl/v2"

	"github.com/salveops/salve/pkg/expr"
	"github.com/salveops/salve/pkg/jsonpath"
	"github.com/salveops/salve/pkg/metric"
	"github.com/salveops/salve/pkg/promql"
	"github.com/salveops/salve/pkg/remedy"
	"github.com/salveops/salve/pkg/signal"
)

// Autonomy is how much a host or service lets Salve do alone; the stricter of two wins.
type Autonomy string

// The levels that exist today. "approve" and "low_risk" are load errors until approvals are built.
const (
	Observe Autonomy = "observe" // decide and record, act never
	Full    Autonomy = "full"    // act on every configured remedy
)

// Severity orders alerts.
type Severity string

// Severities from mild to grave.
const (
	Info     Severity = "info"
	Warning  Severity = "warning"
	Critical Severity = "critical"
)

// Agent is everything that agent.hcl and its rules folder say.
type Agent struct {
	Host     string            // default: the host name
	Labels   map[string]string // free words about the host; label.NAME in rules
	Autonomy Autonomy          // default observe
	Data     string            // state folder; default $STATE_DIRECTORY, else /var/lib/salve/agent
	Socket   string            // local API; default $RUNTIME_DIRECTORY/agent.sock, else /run/salve/agent.sock
	Metrics  string            // loopback address of /metrics and /healthz; "" is off; default 127.0.0.1:7610
	PerHour  int               // remedies an hour on this host, undo exempt; default 12
	// RecordMiB is how much recorded signals may take of the disk, in the state folder; default 0, which records nothing.
	RecordMiB int

	Allow       []Allow
	Contexts    []*Context // in order of declaration
	Queries     []*Query   // in order of declaration
	Logs        []*Log     // of the kernel
	Services    []*Service // in order of declaration; those made for bare allowed units come last
	Rules       []*Rule    // in order of declaration; built-in ones come last
	Remedies    []*Remedy  // of the host: tried by rules that name no service; their Service is nil
	Notifiers   []*Notifier
	Escalations []*Escalation
	Windows     []*Window
	Tests       []*Test      // of the rules; only with LoadOptions.Tests
	Heartbeat   *Heartbeat   // nil: none
	Bundles     []*Delivered // that a controller delivered, in the order of LoadOptions.Bundles
	Controller  *Controller  // nil: the agent works alone
	TLS         *TLS         // nil: what an enrolment gave, or plain text, on loopback only

	Files    []string // every file read, in order, for messages and digests
	Digest   string   // sha256 of their contents
	Warnings hcl.Diagnostics
}

// Controller is the way to the nodes of the controller.
type Controller struct {
	Addresses []string // host:port of each node; any of them will do
	Range     hcl.Range
}

// Allow is one block of the local last word: its targets × its actions.
type Allow struct {
	Units    []string // unit names and globs
	Pools    []string // pool names
	Caches   []string // cache names
	Circuits []string // circuit names
	Groups   []string // group names
	Paths    []string // folders
	Packages []string // names and globs of packages
	Exec     []string // absolute paths and globs of programs
	Host     bool     // the host as a whole
	Actions  []string // action kinds, and "probe" for exec probes, "notify" for exec notifiers
	Range    hcl.Range
}

// Service is what Salve looks after: a unit (or a glob of template instances) with its signals and remedies.
type Service struct {
	Name      string
	Unit      string        // unit name or glob; default NAME.service
	Except    []string      // units and globs that another service looks after; see Covers
	Startup   time.Duration // nobody judges it while it starts; default 30 s
	Tier      string        // "critical", "standard" (default) or "best_effort"
	Autonomy  Autonomy      // what really holds: the stricter of the service's and the host's
	DependsOn []string      // names of services of this host, or of others (no effect here yet)
	Release   string        // absolute path of the link to the release that runs; "": none is told of
	Every     time.Duration // period of unit samples (cgroup figures); default 1 s, least 100 ms
	Probes    []*Probe
	Scrapes   []*Scrape
	StatsDs   []*StatsD
	OTLPs     []*OTLP
	Pools     []*Pool
	Caches    []*Cache
	Circuits  []*Circuit
	Groups    []*Group
	Logs      []*Log
	SLOs      []*SLO
	Remedies  []*Remedy
	Implicit  bool // made for an allowed unit that has no service block

	PermitAlways bool   // permit = "always": nothing of it runs without the controller's leave, mild remedies included
	Alone        string // AloneWait (default) or AloneAct: what it does while the controller is out of reach
	UnsafeAlone  bool   // somebody knows that "act" on several hosts breaks max-unavailable; true whenever it is AloneAct

	Range hcl.Range
}

// What a service does that needs a permit while the controller is out of reach.
const (
	AloneWait = "wait" // unless the controller made this host the service's only one before
	AloneAct  = "act"  // acts; with several hosts nothing is guaranteed any more
)

// Probe asks a service from outside. Exactly one of HTTP, TCP, Exec, GRPC, DNS, TLS, Postgres and Redis is set.
// Addresses are host:port.
type Probe struct {
	Name string

	HTTP   string   // URL
	Status []int    // accepted HTTP status codes; empty: 200-299
	Body   string   // if set, this text must occur in the first 64 KiB of the answer
	TCP    string   // address or unix:/path
	Exec   []string // argv; allowed by an allow block with action "probe"

	GRPC   string // address or unix:/path of a server with grpc.health.v1
	Health string // the service of which it tells; "": the server as a whole

	DNS     string   // the name to resolve
	Server  string   // address of the server that is asked
	Type    string   // of the record: A, AAAA, CNAME, MX, NS, PTR, SRV or TXT; "" without DNS
	Answers []string // each of them must be among the answers; empty: any answer

	TLS     string        // address of a server with a certificate
	MinLeft time.Duration // how long that must still be valid; 0 without TLS
	TLSName string        // what it must be for; "": the host of the address

	Postgres     string // address or socket path of PostgreSQL or PgBouncer
	Database     string
	Redis        string // address or unix:/path
	User         string // of PostgreSQL or Redis; "" is Redis's default user
	PasswordFile string // was readable when loaded; "" means none
	Secure       bool   // GRPC, Postgres and Redis: over TLS
	CAFile       string // TLS and Postgres: authorities that may vouch for the server; "": those of the system

	Every   time.Duration
	Timeout time.Duration // never longer than Every
	Misses  int           // consecutive misses before ok turns false; default 3
	Range   hcl.Range
}

// Gives reports whether the probe has a signal of that name: ok and latency, and what its kind gives beside them.
func (p *Probe) Gives(field string) bool {
	switch field {
	case "status":
		return p.HTTP != "" || len(p.Exec) > 0 || p.GRPC != "" || p.DNS != ""
	case "expires":
		return p.TLS != ""
	}
	return true
}

// Tells reports whether the probe tells if the service works now. How long a certificate is valid does not.
func (p *Probe) Tells() bool { return p.TLS == "" }

// Pool is what requests queue for. It can be watched and, if it is PgBouncer's, reset. Exactly one of PgBouncer,
// HAProxy, Postgres and HTTP is set.
type Pool struct {
	Name         string
	PgBouncer    string // socket path or host:port of the admin console
	Postgres     string // socket path or host:port of PostgreSQL
	Database     string // of both
	User         string // of both; default "salve"; "" without them
	PasswordFile string // was readable when loaded; "" means none
	Secure       bool   // of both, at host:port: over TLS
	CAFile       string // authorities that may vouch for the server then; "": those of the system

	HAProxy string // path or host:port of the stats socket
	Backend string

	HTTP   string            // URL of a JSON document
	Fields map[string]string // the paths in it, by signal; also of "size" and "max_wait_ms"
	Reset  *Reset            // what makes the service reset it; nil: nothing does

	Every time.Duration
	Range hcl.Range
}

// Cache is what can be made to forget. Exactly one of Redis, Memcached, Nginx and Purge is set.
type Cache struct {
	Name         string
	Redis        string   // host:port or unix:/path
	Database     int      // of Redis: its number
	User         string   // of Redis; "": the default user
	PasswordFile string   // was readable when loaded; "" means none
	Secure       bool     // Redis at host:port: over TLS
	CAFile       string   // authorities that may vouch for the server then; "": those of the system
	Memcached    string   // host:port or unix:/path
	Nginx        string   // folder of proxy_cache_path or the like
	Purge        string   // http:// or https:// and host:port of a server that forgets pages by a request
	Method       string   // of that request: PURGE (default) or BAN
	Host         string   // that it names; "": that of Purge
	Paths        []string // that may be forgotten, with their queries
	Remote       bool     // Purge is no loopback address, and that is meant
	Private      bool     // no other host uses it
	Range        hcl.Range
}

// Circuit is a dependency that isolate can cut the service off from. Exactly one of Addresses, File, HAProxy and On is set.
type Circuit struct {
	Name      string
	Addresses []netip.Addr // where the dependency is; none of them on this host
	Ports     []int        // TCP ports there; not empty with Addresses
	Slice     string       // of systemd: what is in it is cut off from Addresses; "": all of this host is
	File      string       // absolute path of a file that is there while the service shall do without it
	HAProxy   string       // stats socket of the HAProxy of whose Backend Server is to be taken out: a path or host:port
	Backend   string
	Server    string
	State     string // "maint" or "drain": how it is taken out
	On, Off   string // URLs on loopback: a POST has the service do without the dependency, and with it again
	Range     hcl.Range
}

// Log counts lines of the journal: those of the service's units, or those of the kernel if it belongs to no service.
type Log struct {
	Name   string
	Match  *regexp.Regexp // of a line, without its metadata
	Window time.Duration  // whole seconds over which its rate is taken; default 10 s
	Range  hcl.Range
}

// Scrape is a page of metrics that is read again and again.
type Scrape struct {
	Name      string
	URL       string
	Exemplars bool // it is asked for as OpenMetrics, and its exemplars are kept for evidence
	Native    bool // it is asked for as protocol buffers, which have native histograms, and read as text where it is not
	Every     time.Duration
	Timeout   time.Duration // of the whole page; never longer than Every
	Metrics   []*Metric     // at least one
	Range     hcl.Range
}

// StatsD is a socket on which lines of StatsD or DogStatsD come.
type StatsD struct {
	Name    string
	Listen  string        // host:port on loopback, or unixgram:/path
	Every   time.Duration // between two figures; default 1 s
	Metrics []*Metric     // at least one
	Range   hcl.Range
}

// OTLP is what OpenTelemetry's SDKs and collectors send. Blocks may share an address.
type OTLP struct {
	Name        string
	GRPC, HTTP  string        // host:port on loopback; "": not in this form
	ServiceName string        // glob of the attribute service.name of who sends; default the service's name
	Every       time.Duration // how often they send; default 1 m, as the SDKs do
	Metrics     []*Metric     // at least one
	Range       hcl.Range
}

// Metric is a figure that conditions know as metric.NAME.
type Metric struct {
	Name  string // the only one in its service
	Every time.Duration
	metric.Definition
	Range hcl.Range
}

// Context is a JSON document from outside that tells what the host works in. Exactly one of HTTP and File is set.
type Context struct {
	Name    string
	HTTP    string // URL
	File    string // absolute path of a regular file
	Every   time.Duration
	Timeout time.Duration // of HTTP, never longer than Every; 0 with File
	MaxAge  time.Duration // of File, since it was last written; never shorter than Every; 0: no limit, and with HTTP
	Fields  []*Field      // at least one
	Range   hcl.Range
}

// Field is a number in the document of a context, which conditions know as context.NAME.FIELD.
type Field struct {
	Name  string // the only one in its context
	Path  jsonpath.Path
	Dim   signal.Dimension // Count, Ratio, Seconds or Bytes
	Range hcl.Range
}

// Query asks a Prometheus server for a number, which conditions know as query.NAME.
type Query struct {
	Name   string
	Dim    signal.Dimension // of a host's query; those of the controller have none
	Every  time.Duration
	Window time.Duration // how far an answer looks back; default: as the expression says, or 5 min of the controller's
	Server promql.Query  // whose secret was readable when loaded; without a URL the controller is asked
	Range  hcl.Range
}

// SLO is an objective of the service, whose standing conditions know as slo.NAME. What is bad is told by a probe or by
// a metric: exactly one of Probe and Errors is set.
type SLO struct {
	Name      string
	Objective float64       // share that must be good, from 0.5 to 0.99999
	Window    time.Duration // over which; default 30 days
	Probe     string        // the time in which it is not ok is bad
	Errors    string        // metric: the share of requests that is bad
	Traffic   string        // metric: requests a second, by which Errors is weighed; "": by time
	Spent     Gate
	Range     hcl.Range
}

// Gate is what holds for a service while an error budget of it is spent, where that is stricter or graver than what
// holds anyway. The zero value changes nothing.
type Gate struct {
	Autonomy Autonomy // Observe, or "" for what holds anyway
	Severity Severity // that its alerts have at least; "" for that of their rules
}

// Remedy is a configured fix: an action with its arguments, plus precondition, verification, undo.
type Remedy struct {
	Kind         remedy.Kind
	Name         string
	Service      *Service      // nil: a remedy of the host
	Args         remedy.Args   // decoded and checked arguments of the kind
	Confidence   float64       // prior; default 0.8
	Precondition *expr.Program // nil: none
	Verify       *Verify       // nil: the rule's clear, defaults.Verify*
	Until        *expr.Program // takes it back before its time; nil: nothing does. Only with remedy.Limited arguments
	Attempts     int           // per instance in an hour, across incidents; default 3
	Recurring    int           // verified runs a day for one instance that make its incident a person's; default 3
	Cooldown     time.Duration // default 60 s
	Timeout      time.Duration // of the action itself; default 90 s
	Affects      []string      // services of this host that the action takes down as well
	Permit       string        // what hosts share that it acts on, one of them at a time: the controller is asked; "": nothing by this name
	Range        hcl.Range
}

// Verify says when a remedy worked. Remedy.Verification fills in what depends on the rule.
type Verify struct {
	When   *expr.Program // nil: the rule's clear
	Within time.Duration // 0: max(30 s, startup + hold, longest window + hold)
	Hold   time.Duration // default 5 s
}

// Rule is a condition with its hysteresis and what to try.
type Rule struct {
	Name     string
	Services []string // globs; empty: the rule is about the host
	Unit     string   // glob of units; one alert per matching unit; "" means each service's own unit
	Severity Severity
	When     *expr.Program
	Clear    *expr.Program // nil: not When
	For      time.Duration
	ClearFor time.Duration
	Try      []string // remedy names in order
	Escalate EscalateTo
	BuiltIn  bool   // made by Salve (unit-failed)
	Bundle   string // the bundle that it came in; "": the host's own files
	Range    hcl.Range
}

// EscalateTo is a rule's way to people.
type EscalateTo struct {
	To    string        // escalation name; "" means "default"
	After time.Duration // default 5 min
}

// Notifier is one way to reach people.
type Notifier struct {
	Kind string // one of the kinds below
	Name string
	// email: To is one address or several separated by commas; From defaults to salve@HOST
	To, From, SMTP string
	// URL is that of a webhook, of PagerDuty's events, of Slack's incoming webhook. It may be a secret itself
	// (url_file, webhook_file): never logged; "" if it is one and loaded offline.
	URL string
	// Secret is read at load, and "" offline. webhook: HMAC key, "" means unsigned; pagerduty: routing key;
	// alertmanager: bearer token, "" means none. Never logged.
	Secret string
	// alertmanager
	URLs   []string          // base URL of each member; an alert goes to all of them
	Labels map[string]string // added to those of every alert
	// exec
	Command []string
	Timeout time.Duration // of one delivery; default 10 s
	Range   hcl.Range
}

// ID is how escalation steps name the notifier: kind.name.
func (n *Notifier) ID() string { return n.Kind + "." + n.Name }

// Escalation hands an incident to people, in steps.
type Escalation struct {
	Name  string
	Steps []Step
	Range hcl.Range
}

// Step is one rung: After is counted from the rung before.
type Step struct {
	After  time.Duration
	Notify []string // notifier IDs
	Repeat int      // how many times more, each After apart and under a delivery key of its own
}

// Window is a pause that recurs by schedule.
type Window struct {
	Name     string
	Services []string // globs; empty: all
	Days     []time.Weekday
	From, To string         // "HH:MM" in Zone; To not after From ends on the next day
	Zone     *time.Location // default: the host's
	Reason   string
	Range    hcl.Range
}

// Heartbeat pings an outside dead man's switch while the agent works.
type Heartbeat struct {
	URL   string        // may be a secret itself (url_file): never logged
	Every time.Duration // default 1 min
	Range hcl.Range
}
