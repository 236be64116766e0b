// Package defaults is the one place for every value that Salve uses when the configuration says
// nothing. The loader takes its values from here, and docs/defaults.md is rendered from the same table.
package defaults

import "time"

// The agent.
const (
	Autonomy = "observe"               // how much Salve does alone
	Rules    = "rules.d"               // folder of rules, beside agent.hcl
	Data     = "/var/lib/salve/agent"  // state folder, unless systemd names one in $STATE_DIRECTORY
	Socket   = "/run/salve/agent.sock" // local API, unless systemd names a folder in $RUNTIME_DIRECTORY
	Metrics  = "127.0.0.1:7610"        // address of /metrics and /healthz
	PerHour  = 12                      // remedies an hour on one host
	Record   = 0                       // MiB that recorded signals may take
)

// A node of the controller.
const (
	ControllerData = "/var/lib/salve/controller" // state folder, unless systemd names one in $STATE_DIRECTORY
	ControllerGRPC = "127.0.0.1:7600"            // agents and operators
	ControllerRaft = "127.0.0.1:7601"            // the other nodes
	ControllerHTTP = "127.0.0.1:7602"            // web page, /metrics, /healthz, /readyz
	RaftProfile    = "default"                   // timing of Raft
)

// Services, probes, pools, logs, contexts, queries.
const (
	Startup      = 30 * time.Second       // nobody judges a unit for so long after any start
	Tier         = "standard"             // importance of a service
	Alone        = "wait"                 // what needs a permit waits while the controller is out of reach
	UnitEvery    = time.Second            // period of a unit's cgroup figures
	ProbeEvery   = time.Second            // period of a probe
	ProbeTimeout = 500 * time.Millisecond // time-out of one probe
	ProbeMisses  = 3                      // misses in a row before ok turns false
	ProbeConfirm = 200 * time.Millisecond // after a first miss the next ones follow at this pace

	ProbeTLSEvery    = time.Minute         // period of a probe of a certificate
	ProbeTLSMinLeft  = 14 * 24 * time.Hour // how long a certificate must still be valid
	ProbeDNSType     = "A"                 // record that is asked for
	ProbeSQLUser     = "salve"             // user of a probe of PostgreSQL
	ProbeSQLDatabase = "postgres"          // and its database
	ScrapeEvery      = 2 * time.Second     // period of a page of metrics
	ScrapeWait       = time.Second         // time-out of one page
	StatsDEvery      = time.Second         // period of the figures made of StatsD
	OTLPEvery        = time.Minute         // how often a service sends OTLP, as its SDKs do
	OTLPGRPC         = "127.0.0.1:4317"    // where OTLP is received over gRPC
	OTLPHTTP         = "127.0.0.1:4318"    // and over HTTP
	MetricWindow     = 10 * time.Second    // how far back a metric looks
	PoolEvery        = time.Second         // period of a pool's figures
	PoolUser         = "salve"             // user of PgBouncer's console, and of PostgreSQL
	LogWindow        = 10 * time.Second    // over what the rate of a log is taken
	ContextEvery     = 10 * time.Second    // period of a context's document
	ContextWait      = 2 * time.Second     // time-out of one document over HTTP
	ContextAge       = time.Hour           // since a context's file was last written
	ContextUnit      = "count"             // of a context's field
	QueryEvery       = 10 * time.Second    // period of a query
	QueryWait        = 5 * time.Second     // time-out of one answer
	QueryUnit        = "count"             // of a query's answer
	SLOWindow        = 30 * 24 * time.Hour // over what an objective must be met
)

// Rules and alerts.
const (
	Severity       = "warning"
	ForEvent       = time.Duration(0) // a condition over unit events fires at once
	ForPolled      = 10 * time.Second // a condition over polled signals must hold so long
	ClearFor       = 10 * time.Second // and be clear so long
	BlindAfter     = 5 * time.Minute  // a condition unknown for so long is told to people
	FlappingShare  = 0.5              // share of state changes that counts as flapping
	FlappingWindow = 10 * time.Minute
)

// Remedies.
const (
	Confidence       = 0.8 // probability that an untried remedy helps
	ConfidenceWeight = 10  // how many observed outcomes that is worth
	ActionTimeout    = 90 * time.Second
	KillSignal       = "SIGKILL"
	KillWhom         = "main"
	ResetMode        = "reconnect"
	FreeShare        = 0.2
	FreeKeep         = 1
	FreeMinAge       = time.Hour
	GoodAfter        = 15 * time.Minute // a release that ran well for so long is known to be good
	NoRollback       = ".no-rollback"   // in a release that no rollback leaves
	CacheRate        = 1000
	CacheMost        = 100_000
	DumpWithin       = 10 * time.Second
	RebootMinUptime  = time.Hour
	RebootPerDay     = 1
	VerifyWithin     = 30 * time.Second // at least; Remedy.Verification says what may be more
	VerifyHold       = 5 * time.Second
	VerifySamples    = 3 // of each signal, from after the action
)

// Budgets.
const (
	Attempts         = 3 // per remedy and instance within AttemptsWindow
	AttemptsWindow   = time.Hour
	BackoffFirst     = 10 * time.Second
	BackoffFactor    = 2
	BackoffMax       = 10 * time.Minute
	BackoffJitter    = 0.2
	BackoffReset     = 10 * time.Minute // healthy for so long, the back-off starts anew
	Cooldown         = time.Minute
	Recurring        = 3 // verified runs of one remedy within RecurringWindow
	RecurringWindow  = 24 * time.Hour
	TransactionWait  = 10 * time.Minute // how long a remedy waits for a package transaction
	UnknownWait      = time.Minute      // how long a remedy waits until what it must know can be known
	ApprovalExpiry   = 15 * time.Minute
	HostLife         = 24 * time.Hour // of a certificate
	NodeLife         = 365 * 24 * time.Hour
	MaxUnavailable   = 1
	BreakerShare     = 0.3
	BreakerWindow    = 5 * time.Minute
	FleetMaxLeast    = 3
	FleetMaxShare    = 0.1
	PermitStartBy    = 10 * time.Second
	PermitRunFor     = 5 * time.Minute
	DiagnosisTimeout = 5 * time.Second // bound of the evidence collected before acting
)

// People.
const (
	EscalateTo      = "default"
	EscalateAfter   = 5 * time.Minute
	SMTP            = "localhost:25"
	NotifierTimeout = 10 * time.Second // of one delivery
	HeartbeatEvery  = time.Minute
	PagerDutyURL    = "https://events.pagerduty.com/v2/enqueue"

	AlertmanagerLasts = 4 * time.Hour   // an alert ends by itself unless it is sent again
	AlertmanagerAgain = 5 * time.Minute // how often it is, for Alertmanager forgets when it restarts
)
