package defaults

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Default describes one value for people.
type Default struct {
	Group string // heading in the docs
	Const string // name of the Go constant
	Key   string // where the configuration can change it; "" means that it is fixed
	Value any    // time.Duration, int, float64 or string
	Help  string // one sentence
	Later bool   // takes effect with a part that comes in a later release
}

// All lists every default in the order of the docs.
func All() []Default {
	return []Default{
		{Group: agent, Const: "Autonomy", Key: "autonomy", Value: Autonomy,
			Help: "observe decides and records, and never acts"},
		{Group: agent, Const: "Rules", Key: "rules", Value: Rules,
			Help: "folder of rules, beside agent.hcl"},
		{Group: agent, Const: "Data", Key: "data", Value: Data,
			Help: "state folder; `$STATE_DIRECTORY` wins if systemd sets it"},
		{Group: agent, Const: "Socket", Key: "socket", Value: Socket,
			Help: "local API; a folder in `$RUNTIME_DIRECTORY` wins if systemd sets it"},
		{Group: agent, Const: "Metrics", Key: "metrics", Value: Metrics,
			Help: "address of /metrics and /healthz, loopback only; \"\" turns them off"},
		{Group: agent, Const: "PerHour", Key: "per_hour", Value: PerHour,
			Help: "remedies an hour on this host; undo is exempt"},
		{Group: agent, Const: "Record", Key: "record_mib", Value: Record,
			Help: "MiB that recorded signals may take, for `salve backtest`; 0 records nothing"},

		{Group: controller, Const: "ControllerData", Key: "data", Value: ControllerData,
			Help: "state folder; `$STATE_DIRECTORY` wins if systemd sets it"},
		{Group: controller, Const: "ControllerGRPC", Key: "listen.grpc", Value: ControllerGRPC,
			Help: "address for agents and operators"},
		{Group: controller, Const: "ControllerRaft", Key: "listen.raft", Value: ControllerRaft,
			Help: "address for the other nodes; the node's own entry in `raft.peers` wins"},
		{Group: controller, Const: "ControllerHTTP", Key: "listen.http", Value: ControllerHTTP,
			Help: "address of the web page, /metrics, /healthz and /readyz; \"\" turns them off"},
		{Group: controller, Const: "RaftProfile", Key: "raft.profile", Value: RaftProfile,
			Help: "timing of Raft; \"fast\" is for fast disks and networks"},

		{Group: service, Const: "Startup", Key: "service.startup", Value: Startup,
			Help: "nobody judges a unit for so long after any start of it"},
		{Group: service, Const: "Tier", Key: "service.tier", Value: Tier,
			Help: "importance of the service"},
		{Group: service, Const: "Alone", Key: "service.alone", Value: Alone,
			Help: "what needs a permit waits while the controller is out of reach; \"act\" needs `unsafe_alone = true`"},
		{Group: service, Const: "UnitEvery", Key: "service.every", Value: UnitEvery,
			Help: "period of the unit's cgroup figures; its state comes as events"},
		{Group: service, Const: "ProbeEvery", Key: "probe.every", Value: ProbeEvery,
			Help: "period of a probe"},
		{Group: service, Const: "ProbeTimeout", Key: "probe.timeout", Value: ProbeTimeout,
			Help: "time-out of one probe, never longer than its period"},
		{Group: service, Const: "ProbeMisses", Key: "probe.misses", Value: ProbeMisses,
			Help: "misses in a row before `probe.NAME.ok` turns false"},
		{Group: service, Const: "ProbeConfirm", Value: ProbeConfirm,
			Help: "after the first miss the others follow at this pace, side by side"},
		{Group: service, Const: "ProbeTLSEvery", Key: "probe.every", Value: ProbeTLSEvery,
			Help: "the same of a probe with `tls`"},
		{Group: service, Const: "ProbeTLSMinLeft", Key: "probe.min_left", Value: ProbeTLSMinLeft,
			Help: "how long a certificate must still be valid for its probe to be ok"},
		{Group: service, Const: "ProbeDNSType", Key: "probe.type", Value: ProbeDNSType,
			Help: "type of the record that a probe with `dns` asks for"},
		{Group: service, Const: "ProbeSQLUser", Key: "probe.user", Value: ProbeSQLUser,
			Help: "user of a probe with `postgres`; one with `redis` has none"},
		{Group: service, Const: "ProbeSQLDatabase", Key: "probe.database", Value: ProbeSQLDatabase,
			Help: "database of a probe with `postgres`"},
		{Group: service, Const: "ScrapeEvery", Key: "scrape.every", Value: ScrapeEvery,
			Help: "period of a page of metrics"},
		{Group: service, Const: "ScrapeWait", Key: "scrape.timeout", Value: ScrapeWait,
			Help: "time-out of one page, never longer than its period"},
		{Group: service, Const: "StatsDEvery", Key: "statsd.every", Value: StatsDEvery,
			Help: "period of the figures that are made of StatsD"},
		{Group: service, Const: "OTLPEvery", Key: "otlp.every", Value: OTLPEvery,
			Help: "how often a service sends OTLP: what OpenTelemetry's SDKs do if they are told nothing"},
		{Group: service, Const: "OTLPGRPC", Key: "otlp.grpc", Value: OTLPGRPC,
			Help: "where OTLP is received over gRPC; `\"\"` for nowhere"},
		{Group: service, Const: "OTLPHTTP", Key: "otlp.http", Value: OTLPHTTP,
			Help: "where OTLP is received over HTTP; `\"\"` for nowhere"},
		{Group: service, Const: "MetricWindow", Key: "metric.window", Value: MetricWindow,
			Help: "how far back a ratio, rate or quantile looks; two periods of the scrape, statsd or otlp, if that is more"},
		{Group: service, Const: "PoolEvery", Key: "pool.every", Value: PoolEvery,
			Help: "period of a pool's figures"},
		{Group: service, Const: "PoolUser", Key: "pool.user", Value: PoolUser,
			Help: "user of PgBouncer's console, and of PostgreSQL"},
		{Group: service, Const: "LogWindow", Key: "log.window", Value: LogWindow,
			Help: "over what `log.NAME.rate` is taken, in whole seconds"},
		{Group: service, Const: "ContextEvery", Key: "context.every", Value: ContextEvery,
			Help: "period of a context's document"},
		{Group: service, Const: "ContextWait", Key: "context.timeout", Value: ContextWait,
			Help: "time-out of one document over HTTP, never longer than its period"},
		{Group: service, Const: "ContextAge", Key: "context.max_age", Value: ContextAge,
			Help: "since a context's file was last written; an older one is unknown"},
		{Group: service, Const: "ContextUnit", Key: "field.unit", Value: ContextUnit,
			Help: "what a context's field counts"},
		{Group: service, Const: "QueryEvery", Key: "query.every", Value: QueryEvery,
			Help: "period of a query"},
		{Group: service, Const: "QueryWait", Key: "query.timeout", Value: QueryWait,
			Help: "time-out of one answer, never longer than its period"},
		{Group: service, Const: "QueryUnit", Key: "query.unit", Value: QueryUnit,
			Help: "what the answer to a query counts"},
		{Group: service, Const: "SLOWindow", Key: "slo.window", Value: SLOWindow,
			Help: "over what an objective must be met: 720h are 30 days"},

		{Group: rule, Const: "Severity", Key: "rule.severity", Value: Severity,
			Help: "how grave an alert is"},
		{Group: rule, Const: "ForEvent", Key: "rule.for", Value: ForEvent,
			Help: "how long a condition over unit events must hold before it fires"},
		{Group: rule, Const: "ForPolled", Key: "rule.for", Value: ForPolled,
			Help: "the same for every other condition"},
		{Group: rule, Const: "ClearFor", Key: "rule.clear_for", Value: ClearFor,
			Help: "how long it must be clear before it counts as resolved"},
		{Group: rule, Const: "BlindAfter", Value: BlindAfter,
			Help: "a condition unknown for so long is told to people, and never acted on"},
		{Group: rule, Const: "FlappingShare", Value: FlappingShare,
			Help: "share of state changes within the window that makes an alert flapping: escalated, not acted on"},
		{Group: rule, Const: "FlappingWindow", Value: FlappingWindow,
			Help: "window of flap detection"},

		{Group: remedy, Const: "Confidence", Key: "remedy.confidence", Value: Confidence,
			Help: "probability that an untried remedy helps"},
		{Group: remedy, Const: "ConfidenceWeight", Value: ConfidenceWeight,
			Help: "how many observed outcomes that prior is worth"},
		{Group: remedy, Const: "ActionTimeout", Key: "remedy.timeout", Value: ActionTimeout,
			Help: "time-out of the action itself"},
		{Group: remedy, Const: "KillSignal", Key: "remedy.signal", Value: KillSignal,
			Help: "signal of kill"},
		{Group: remedy, Const: "KillWhom", Key: "remedy.whom", Value: KillWhom,
			Help: "kill signals the main process; \"all\" signals every process of the unit"},
		{Group: remedy, Const: "ResetMode", Key: "remedy.mode", Value: ResetMode,
			Help: "reset_pool replaces server connections as they become free"},
		{Group: remedy, Const: "FreeShare", Key: "remedy.free", Value: FreeShare,
			Help: "share of a file system that free_space makes free"},
		{Group: remedy, Const: "FreeKeep", Key: "remedy.keep", Value: FreeKeep,
			Help: "so many of the newest files of each glob in each folder stay"},
		{Group: remedy, Const: "FreeMinAge", Key: "remedy.min_age", Value: FreeMinAge,
			Help: "files that were written to since stay"},
		{Group: remedy, Const: "GoodAfter", Key: "remedy.good_after", Value: GoodAfter,
			Help: "what ran well for so long is a version that a rollback may go back to"},
		{Group: remedy, Const: "NoRollback", Key: "remedy.marker", Value: NoRollback,
			Help: "file in a release that no rollback leaves"},
		{Group: remedy, Const: "CacheRate", Key: "remedy.rate", Value: CacheRate,
			Help: "keys a second that clear_cache removes at most"},
		{Group: remedy, Const: "CacheMost", Key: "remedy.most", Value: CacheMost,
			Help: "keys that clear_cache removes in one run at most"},
		{Group: remedy, Const: "DumpWithin", Key: "remedy.within", Value: DumpWithin,
			Help: "what of a dump has not come by then is left out"},
		{Group: remedy, Const: "RebootMinUptime", Key: "remedy.min_uptime", Value: RebootMinUptime,
			Help: "a boot that is younger is not ended by reboot"},
		{Group: remedy, Const: "RebootPerDay", Key: "remedy.per_day", Value: RebootPerDay,
			Help: "reboots of a host in 24 hours"},
		{Group: remedy, Const: "VerifyWithin", Key: "verify.within", Value: VerifyWithin,
			Help: "time to recover; startup, the longest window used or four periods of the slowest signal, + hold, if that " +
				"is more"},
		{Group: remedy, Const: "VerifyHold", Key: "verify.hold", Value: VerifyHold,
			Help: "how long recovery must last"},
		{Group: remedy, Const: "VerifySamples", Value: VerifySamples,
			Help: "samples of each signal, from after the action, below which the outcome is inconclusive"},
		{Group: remedy, Const: "DiagnosisTimeout", Value: DiagnosisTimeout,
			Help: "bound of the evidence collected before acting"},

		{Group: budget, Const: "Attempts", Key: "remedy.attempts", Value: Attempts,
			Help: "attempts per remedy and instance within the window, across incidents; remedies of one try share the largest of theirs"},
		{Group: budget, Const: "AttemptsWindow", Value: AttemptsWindow,
			Help: "window of that budget"},
		{Group: budget, Const: "BackoffFirst", Value: BackoffFirst,
			Help: "wait before the second attempt"},
		{Group: budget, Const: "BackoffFactor", Value: BackoffFactor,
			Help: "each further wait is so many times longer"},
		{Group: budget, Const: "BackoffMax", Value: BackoffMax,
			Help: "longest wait"},
		{Group: budget, Const: "BackoffJitter", Value: BackoffJitter,
			Help: "share by which a wait is moved at random"},
		{Group: budget, Const: "BackoffReset", Value: BackoffReset,
			Help: "healthy for so long, waits start from the first again"},
		{Group: budget, Const: "Cooldown", Key: "remedy.cooldown", Value: Cooldown,
			Help: "least time between two attempts of a remedy, armed at the attempt"},
		{Group: budget, Const: "Recurring", Key: "remedy.recurring", Value: Recurring,
			Help: "verified runs of one remedy within the window that make the incident recurring: escalated"},
		{Group: budget, Const: "RecurringWindow", Value: RecurringWindow,
			Help: "window of recurring"},
		{Group: budget, Const: "TransactionWait", Value: TransactionWait,
			Help: "how long a remedy waits for a package transaction before it is escalated"},
		{Group: budget, Const: "UnknownWait", Value: UnknownWait,
			Help: "how long a remedy waits until what it must know can be known, before the next one has its turn"},

		{Group: people, Const: "EscalateTo", Key: "escalate.to", Value: EscalateTo,
			Help: "the escalation that is used; validate warns if there is none of that name"},
		{Group: people, Const: "EscalateAfter", Key: "escalate.after", Value: EscalateAfter,
			Help: "escalate then, or when candidates are spent, whichever is first"},
		{Group: people, Const: "SMTP", Key: "notifier.smtp", Value: SMTP,
			Help: "mail server"},
		{Group: people, Const: "NotifierTimeout", Key: "notifier.timeout", Value: NotifierTimeout,
			Help: "time-out of one delivery"},
		{Group: people, Const: "HeartbeatEvery", Key: "heartbeat.every", Value: HeartbeatEvery,
			Help: "period of the ping to an outside dead man's switch"},
		{Group: people, Const: "PagerDutyURL", Key: "notifier.url", Value: PagerDutyURL,
			Help: "of PagerDuty's Events API; accounts in the EU have another"},
		{Group: people, Const: "AlertmanagerLasts", Value: AlertmanagerLasts,
			Help: "an alert in Alertmanager ends by itself after this, unless it is sent again"},
		{Group: people, Const: "AlertmanagerAgain", Value: AlertmanagerAgain,
			Help: "how often it is sent again while the incident is open"},

		{Group: fleet, Const: "MaxUnavailable", Key: "service.max_unavailable", Value: MaxUnavailable,
			Help: "hosts of one service that may be acting at once, or a share of them such as `30 * percent`"},
		{Group: fleet, Const: "BreakerShare", Key: "breaker.share", Value: BreakerShare,
			Help: "share of a service's hosts, and at least 3, with the same alert: a common cause; nothing acts"},
		{Group: fleet, Const: "BreakerWindow", Key: "breaker.window", Value: BreakerWindow,
			Help: "alerts that began within it count together"},
		{Group: fleet, Const: "FleetMaxLeast", Key: "fleet_max", Value: FleetMaxLeast,
			Help: "hosts of the fleet that may be acting at once, at least"},
		{Group: fleet, Const: "FleetMaxShare", Key: "fleet_max", Value: FleetMaxShare,
			Help: "the same as a share of all hosts; the greater of the two counts, unless the file gives a number"},
		{Group: fleet, Const: "PermitStartBy", Value: PermitStartBy,
			Help: "a permit not used by then is void"},
		{Group: fleet, Const: "PermitRunFor", Value: PermitRunFor,
			Help: "an action that runs longer is brought to a safe end"},
		{Group: fleet, Const: "HostLife", Key: "tls.host_life", Value: HostLife,
			Help: "life of a host's certificate, which renews itself at two thirds of it; a host that is off for longer enrols again"},
		{Group: fleet, Const: "NodeLife", Key: "tls.node_life", Value: NodeLife,
			Help: "life of a node's certificate, which renews itself at two thirds of it where a node has `ca_key`"},
		{Group: fleet, Const: "ApprovalExpiry", Value: ApprovalExpiry, Later: true,
			Help: "a request for approval is escalated after this"},
	}
}

// Headings of the docs, in order.
const (
	agent      = "Agent"
	controller = "Controller"
	service    = "Services, probes, metrics, pools, logs, contexts, queries"
	rule       = "Rules"
	remedy     = "Remedies"
	budget     = "Budgets"
	people     = "People"
	fleet      = "Fleet (with the controller)"
)

// Text is the value as people write it: "10s", "12", "80 %".
func (d Default) Text() string {
	switch v := d.Value.(type) {
	case time.Duration:
		return Duration(v)
	case float64:
		return strconv.FormatFloat(v*100, 'g', 4, 64) + " %"
	case string:
		return v
	default:
		return fmt.Sprint(v)
	}
}

// Duration writes d without the zeros that time.Duration prints: "10m", not "10m0s".
func Duration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// Markdown renders the table for docs/defaults.md.
func Markdown() string {
	var b strings.Builder
	b.WriteString("# Defaults\n\n")
	b.WriteString("Rendered from `pkg/defaults`, from which the loader takes its values. Update: ")
	b.WriteString("`go test ./pkg/defaults -update`.\n")
	group := ""
	for _, d := range All() {
		if d.Group != group {
			group = d.Group
			fmt.Fprintf(&b, "\n## %s\n\n| key | default | meaning |\n|---|---|---|\n", group)
		}
		key := "fixed"
		if d.Key != "" {
			key = "`" + d.Key + "`"
		}
		if d.Later {
			key = "in a later release"
		}
		fmt.Fprintf(&b, "| %s | %s | %s |\n", key, d.Text(), d.Help)
	}
	return b.String()
}
