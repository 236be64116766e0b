package config

import (
	"slices"
	"time"

	"github.com/salveops/salve/pkg/defaults"
)

// topKinds is the grammar of whole files.
func topKinds(ks kinds) {
	refuse := ofController()
	rules := []string{"context", "query", "threshold", "service", "log", "remedy", "rule", "window", "test"}
	ks["agent"] = &kind{
		refuse: refuse,
		blocks: append([]string{"allow", "notifier", "escalation", "heartbeat", "controller", "tls"}, rules...),
		attrs: []attr{
			{name: "host", typ: text},
			{name: "labels", typ: dict},
			{name: "autonomy", typ: text, def: defaults.Autonomy, words: autonomies(), later: autonomiesLater()},
			{name: "data", typ: text},
			{name: "socket", typ: text},
			{name: "metrics", typ: text, def: defaults.Metrics},
			{name: "per_hour", typ: integer, def: defaults.PerHour, least: 1, most: 1000},
			{name: "record_mib", typ: integer, def: defaults.Record, most: 1 << 20},
			{name: "rules", typ: text, def: defaults.Rules},
		},
	}
	ks["rules"] = &kind{blocks: rules, refuse: slices.Clone(refuse)}
	for _, a := range ks["agent"].attrs {
		ks["rules"].refuse = append(ks["rules"].refuse, refusal{name: a.name, here: true, why: elsewhere})
	}
	for _, name := range ks["agent"].blocks {
		if !slices.Contains(rules, name) {
			ks["rules"].refuse = append(ks["rules"].refuse,
				refusal{name: name, block: true, labels: blockLabels(name), here: true, why: elsewhere})
		}
	}
	ks["allow"] = &kind{attrs: []attr{
		{name: "units", typ: texts}, {name: "pools", typ: texts}, {name: "caches", typ: texts}, {name: "circuits", typ: texts},
		{name: "groups", typ: texts}, {name: "paths", typ: texts}, {name: "packages", typ: texts}, {name: "exec", typ: texts},
		{name: "host", typ: boolean}, {name: "actions", typ: texts, required: true},
	}}
	ks["controller"] = &kind{attrs: []attr{{name: "addresses", typ: texts, required: true}}}
	ks["tls"] = tlsKind(false)
}

const inController = "It belongs in controller.hcl: the controller decides by it, for all hosts."

const silencesEnd = "Silences have an end; people make them with `salve silence`."

// blockLabels are the labels of the blocks that only one of the files may hold.
func blockLabels(name string) []string {
	switch name {
	case "notifier":
		return []string{"kind", "name"}
	case "escalation":
		return []string{"name"}
	}
	return nil
}

// ofController are the names that only the controller's file knows.
func ofController() []refusal {
	return []refusal{
		{name: "silence", block: true, labels: []string{"name"}, here: true,
			why: silencesEnd},
		{name: "raft", block: true, here: true, why: inController},
		{name: "breaker", block: true, here: true, why: inController},
		{name: "listen", block: true, here: true, why: inController},
		{name: "node", here: true, why: inController},
		{name: "fleet_max", here: true, why: inController},
		{name: "policies", here: true, why: inController},
	}
}

const elsewhere = "It belongs in agent.hcl: what this host permits and whom it tells is not for the rules folder."

func autonomies() []string { return []string{string(Observe), string(Full)} }

func autonomiesLater() map[string]string {
	const why = "it comes with approvals, in a later release; until then use \"observe\" or \"full\""
	return map[string]string{"approve": why, "low_risk": why}
}

func severities() []string { return []string{string(Info), string(Warning), string(Critical)} }

func serviceKinds(ks kinds) {
	ks["service"] = &kind{
		labels: []string{"name"},
		blocks: []string{"probe", "scrape", "statsd", "otlp", "pool", "cache", "circuit", "group", "log", "slo", "remedy"},
		attrs: []attr{
			{name: "unit", typ: text},
			{name: "startup", typ: duration, def: defaults.Startup, most: int64(time.Hour)},
			{name: "tier", typ: text, def: defaults.Tier, words: []string{"critical", defaults.Tier, "best_effort"}},
			{name: "autonomy", typ: text, words: autonomies(), later: autonomiesLater()},
			{name: "depends_on", typ: texts},
			{name: "release", typ: text},
			{name: "every", typ: duration, def: defaults.UnitEvery, least: int64(fastest), most: int64(time.Hour)},
			permitKey(), aloneKey(), {name: "unsafe_alone", typ: boolean},
		},
		refuse: []refusal{
			{name: "max_unavailable", here: true, why: ofFleet}, {name: "owners", here: true, why: ofFleet},
			{name: "escalation", here: true, why: ofFleet},
		},
	}
	ks["probe"] = probeKind()
	ks["pool"], ks["cache"], ks["circuit"] = poolKind(), cacheKind(), circuitKind()
	ks["group"], ks["reset"] = groupKind(), resetKind()
	ks["slo"], ks["spent"] = sloKind(), spentKind()
	ks["log"] = &kind{
		labels: []string{"name"},
		attrs: []attr{
			{name: "match", typ: text, required: true},
			{name: "window", typ: duration, def: defaults.LogWindow, least: int64(time.Second), most: int64(10 * time.Minute)},
		},
	}
	ks["remedy"] = &kind{labels: []string{"kind", "name"}} // keys: remedyKind
	ks["verify"] = &kind{attrs: []attr{
		{name: "when", typ: condition},
		{name: "within", typ: duration, least: int64(time.Second), most: int64(time.Hour)},
		{name: "hold", typ: duration, def: defaults.VerifyHold, most: int64(30 * time.Minute)},
	}}
}

const ofFleet = "It belongs in the service block of controller.hcl: it is about all hosts of the service."

// permitKey and aloneKey stand in the services of both programs; checkAlone judges them.
func permitKey() attr { return attr{name: "permit", typ: text, words: []string{permitAlways}} }

func aloneKey() attr {
	return attr{name: "alone", typ: text, def: defaults.Alone, words: []string{AloneWait, AloneAct}}
}

// fastest is the shortest period of samples.
const fastest = 100 * time.Millisecond

func ruleKinds(ks kinds) {
	ks["rule"] = &kind{
		labels: []string{"name"},
		blocks: []string{"escalate"},
		attrs: []attr{
			{name: "services", typ: texts}, {name: "unit", typ: text},
			{name: "severity", typ: text, def: defaults.Severity, words: severities()},
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
	ks["notifier pagerduty"] = &kind{attrs: []attr{
		{name: "routing_key_file", typ: text}, {name: "routing_key_env", typ: text},
		{name: "url", typ: text, def: defaults.PagerDutyURL}, timeout,
	}}
	ks["notifier slack"] = &kind{attrs: []attr{
		{name: "webhook_file", typ: text}, {name: "webhook_env", typ: text}, timeout,
	}}
	ks["notifier alertmanager"] = &kind{attrs: []attr{
		{name: "urls", typ: texts, required: true}, {name: "labels", typ: dict},
		{name: "token_file", typ: text}, {name: "token_env", typ: text}, timeout,
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
