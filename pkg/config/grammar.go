package config

import (
	"time"

	"github.com/salveops/salve/pkg/defaults"
)

// topKinds is the grammar of whole files.
func topKinds(ks kinds) {
	later := []refusal{
		{name: "test", block: true, labels: []string{"name"}, why: inLaterRelease("Tests of rules")},
		{name: "log", block: true, labels: []string{"name"}, why: inLaterRelease("Signals counted from the journal")},
		{name: "context", block: true, labels: []string{"name"}, why: inLaterRelease("Signals from outside")},
		{name: "silence", block: true, labels: []string{"name"}, why: withController("Silences")},
		{name: "controller", block: true,
			why: "Controllers come in a later release; leave the block out, and the agent works alone."},
		{name: "raft", block: true, why: withController("The settings of its replication")},
		{name: "breaker", block: true, why: withController("Breakers")},
		{name: "node", why: withController("The settings of its nodes")},
		{name: "policies", why: withController("Policies")},
	}
	rules := []string{"threshold", "service", "remedy", "rule", "window"}
	ks["agent"] = &kind{
		refuse: later,
		blocks: append([]string{"allow", "notifier", "escalation", "heartbeat"}, rules...),
		attrs: []attr{
			{name: "host", typ: text},
			{name: "labels", typ: dict},
			{name: "autonomy", typ: text, def: defaults.Autonomy, words: autonomies(), later: autonomiesLater()},
			{name: "data", typ: text},
			{name: "socket", typ: text},
			{name: "metrics", typ: text, def: defaults.Metrics},
			{name: "per_hour", typ: integer, def: defaults.PerHour, least: 1, most: 1000},
			{name: "rules", typ: text, def: defaults.Rules},
		},
	}
	ks["rules"] = &kind{blocks: rules, refuse: later}
	for _, a := range ks["agent"].attrs {
		ks["rules"].refuse = append(ks["rules"].refuse, refusal{name: a.name, why: elsewhere})
	}
	for _, b := range []struct {
		name   string
		labels []string
	}{{"allow", nil}, {"notifier", []string{"kind", "name"}}, {"escalation", []string{"name"}}, {"heartbeat", nil}} {
		ks["rules"].refuse = append(ks["rules"].refuse,
			refusal{name: b.name, block: true, labels: b.labels, why: elsewhere})
	}
	ks["allow"] = &kind{attrs: []attr{
		{name: "units", typ: texts}, {name: "pools", typ: texts}, {name: "paths", typ: texts},
		{name: "exec", typ: texts}, {name: "actions", typ: texts, required: true},
	}}
}

const elsewhere = "It belongs in agent.hcl: what this host permits and whom it tells is not for the rules folder."

func autonomies() []string { return []string{string(Observe), string(Full)} }

func autonomiesLater() map[string]string {
	const why = "it comes with approvals, in a later release; until then use \"observe\" or \"full\""
	return map[string]string{"approve": why, "low_risk": why}
}

func serviceKinds(ks kinds) {
	ks["service"] = &kind{
		labels: []string{"name"},
		blocks: []string{"probe", "pool", "remedy"},
		attrs: []attr{
			{name: "unit", typ: text},
			{name: "startup", typ: duration, def: defaults.Startup, most: int64(time.Hour)},
			{name: "tier", typ: text, def: defaults.Tier, words: []string{"critical", defaults.Tier, "best_effort"}},
			{name: "autonomy", typ: text, words: autonomies(), later: autonomiesLater()},
			{name: "depends_on", typ: texts},
			{name: "every", typ: duration, def: defaults.UnitEvery, least: int64(fastest), most: int64(time.Hour)},
		},
		refuse: []refusal{
			{name: "scrape", block: true, labels: []string{"name"}, why: inLaterRelease("Metrics scraped from a service")},
			{name: "log", block: true, labels: []string{"name"}, why: inLaterRelease("Signals counted from the journal")},
			{name: "max_unavailable", why: withController("Limits across hosts")},
			{name: "owners", why: withController("Owners")},
			{name: "permit", why: withController("Permits")},
			{name: "alone", why: withController("Rights of a lone host")},
			{name: "unsafe_alone", why: withController("Rights of a lone host")},
		},
	}
	ks["probe"] = &kind{
		labels: []string{"name"},
		attrs: []attr{
			{name: "http", typ: text}, {name: "tcp", typ: text}, {name: "exec", typ: texts},
			{name: "status", typ: integers, least: 100, most: 599},
			{name: "body", typ: text},
			{name: "every", typ: duration, def: defaults.ProbeEvery, least: int64(fastest), most: int64(time.Hour)},
			{name: "timeout", typ: duration, def: defaults.ProbeTimeout,
				least: int64(10 * time.Millisecond), most: int64(time.Minute)},
			{name: "misses", typ: integer, def: defaults.ProbeMisses, least: 1, most: 100},
		},
		refuse: []refusal{
			{name: "grpc", why: inLaterRelease("Probes of gRPC health")},
			{name: "dns", why: inLaterRelease("Probes of DNS")},
			{name: "tls", why: inLaterRelease("Probes of TLS expiry")},
		},
	}
	ks["pool"] = &kind{
		labels: []string{"name"},
		attrs: []attr{
			{name: "pgbouncer", typ: text, required: true}, {name: "database", typ: text},
			{name: "user", typ: text, def: defaults.PoolUser},
			{name: "password_file", typ: text},
			{name: "every", typ: duration, def: defaults.PoolEvery, least: int64(fastest), most: int64(time.Hour)},
		},
		refuse: []refusal{
			{name: "haproxy", why: inLaterRelease("Pools of HAProxy")},
			{name: "postgres", why: inLaterRelease("Pools of PostgreSQL itself")},
			{name: "http", why: inLaterRelease("Pools told as JSON over HTTP")},
		},
	}
	ks["remedy"] = &kind{labels: []string{"kind", "name"}} // keys: remedyKind
	ks["verify"] = &kind{attrs: []attr{
		{name: "when", typ: condition},
		{name: "within", typ: duration, least: int64(time.Second), most: int64(time.Hour)},
		{name: "hold", typ: duration, def: defaults.VerifyHold, most: int64(30 * time.Minute)},
	}}
}

// fastest is the shortest period of samples.
const fastest = 100 * time.Millisecond

func ruleKinds(ks kinds) {
	ks["rule"] = &kind{
		labels: []string{"name"},
		blocks: []string{"escalate"},
		attrs: []attr{
			{name: "services", typ: texts}, {name: "unit", typ: text},
			{name: "severity", typ: text, def: defaults.Severity,
				words: []string{string(Info), string(Warning), string(Critical)}},
			{name: "when", typ: condition, required: true},
			{name: "clear", typ: condition},
			{name: "for", typ: duration, most: int64(day)},
			{name: "clear_for", typ: duration, def: defaults.ClearFor, most: int64(day)},
			{name: "try", typ: texts},
		},
		refuse: []refusal{{name: "order", why: inLaterRelease("Orders other than that of try")}},
	}
	ks["escalate"] = &kind{attrs: []attr{
		{name: "to", typ: text},
		{name: "after", typ: duration, def: defaults.EscalateAfter, most: int64(day)},
	}}
	ks["threshold"] = &kind{
		labels: []string{"name"}, blocks: []string{"case"},
		attrs: []attr{{name: "default", typ: condition, required: true}},
	}
	ks["case"] = &kind{attrs: []attr{
		{name: "when", typ: condition, required: true}, {name: "value", typ: condition, required: true},
	}}
	ks["window"] = &kind{
		labels: []string{"name"},
		attrs: []attr{
			{name: "days", typ: texts},
			{name: "from", typ: text, required: true}, {name: "to", typ: text, required: true},
			{name: "zone", typ: text}, {name: "services", typ: texts}, {name: "reason", typ: text},
		},
	}
}

func peopleKinds(ks kinds) {
	timeout := attr{name: "timeout", typ: duration, def: defaults.NotifierTimeout,
		least: int64(time.Second), most: int64(5 * time.Minute)}
	ks["notifier"] = &kind{labels: []string{"kind", "name"}} // keys: by kind
	ks["notifier email"] = &kind{attrs: []attr{
		{name: "to", typ: text, required: true}, {name: "from", typ: text},
		{name: "smtp", typ: text, def: defaults.SMTP}, timeout,
	}}
	ks["notifier webhook"] = &kind{attrs: []attr{
		{name: "url", typ: text}, {name: "url_file", typ: text},
		{name: "secret_file", typ: text}, {name: "secret_env", typ: text}, timeout,
	}}
	ks["notifier exec"] = &kind{attrs: []attr{{name: "command", typ: texts, required: true}, timeout}}
	ks["notifier journald"] = &kind{}
	ks["escalation"] = &kind{labels: []string{"name"}, blocks: []string{"step"}}
	ks["step"] = &kind{attrs: []attr{
		{name: "notify", typ: texts, required: true},
		{name: "after", typ: duration, most: int64(7 * day)},
		{name: "repeat", typ: integer, most: 100},
	}}
	ks["heartbeat"] = &kind{attrs: []attr{
		{name: "url", typ: text}, {name: "url_file", typ: text},
		{name: "every", typ: duration, def: defaults.HeartbeatEvery, least: int64(10 * time.Second), most: int64(day)},
	}}
}
