package config

import (
	"sync"
	"time"

	"github.com/salveops/salve/pkg/defaults"
)

// controllerKinds is the grammar of controller.hcl, whose top level is "controller file". What it has in common with
// the agent's files is the same there. Nobody changes it.
var controllerKinds = sync.OnceValue(func() kinds {
	agent := agentKinds()
	ks := kinds{
		"controller file": {
			blocks: []string{"listen", "raft", "tls", "service", "query", "breaker", "notifier", "escalation", "window", "heartbeat"},
			attrs: []attr{
				{name: "node", typ: text}, {name: "data", typ: text},
				{name: "fleet_max", typ: integer, least: 1, most: maxHosts},
			},
			refuse: []refusal{
				{name: "policies", why: inLaterRelease("Policies")},
				{name: "silence", block: true, labels: []string{"name"}, here: true, why: silencesEnd},
			},
		},
		"listen": {attrs: []attr{
			{name: "grpc", typ: text, def: defaults.ControllerGRPC},
			{name: "raft", typ: text, def: defaults.ControllerRaft},
			{name: "http", typ: text, def: defaults.ControllerHTTP},
		}},
		"raft": {attrs: []attr{
			{name: "bootstrap_expect", typ: integer, least: 0, most: maxPeers},
			{name: "peers", typ: texts},
			{name: "profile", typ: text, def: defaults.RaftProfile, words: []string{RaftDefault, RaftFast}},
		}},
		"tls": tlsKind(true),
		"breaker": {attrs: []attr{
			{name: "share", typ: share, def: defaults.BreakerShare},
			{name: "window", typ: duration, def: defaults.BreakerWindow, least: int64(10 * time.Second), most: int64(day)},
		}},
		"service": fleetServiceKind(),
		"query":   fleetQueryKind(),
		"window":  zonedWindow(agent["window"]),
	}
	peopleKinds(ks)
	delete(ks, "notifier "+ExecHook) // the controller runs no programs
	const ofHost = "It belongs in agent.hcl or its rules: every host says it for itself."
	ks["controller file"].refuseRest(agent, "agent", ofHost)
	ks["service"].refuseRest(agent, "service", "It belongs in the service block of the hosts' rules.")
	return ks
})

// Bounds of a fleet that people write down.
const (
	maxPeers = 9
	maxHosts = 100_000
)

func fleetServiceKind() *kind {
	return &kind{
		labels: []string{"name"},
		attrs: []attr{
			{name: "max_unavailable", typ: hosts, def: Limit{Hosts: defaults.MaxUnavailable}, most: maxHosts},
			{name: "autonomy", typ: text, words: autonomies(), later: autonomiesLater()},
			{name: "owners", typ: text}, {name: "escalation", typ: text},
			permitKey(), aloneKey(), {name: "unsafe_alone", typ: boolean},
		},
	}
}

// zonedWindow is a window that says in which zone it is. The nodes of a controller may stand in several, and the
// same log must mean the same on each.
func zonedWindow(of *kind) *kind {
	k := &kind{labels: of.labels}
	for _, a := range of.attrs {
		a.required = a.required || a.name == "zone"
		k.attrs = append(k.attrs, a)
	}
	return k
}

// refuseRest refuses what the kind of that name in the other file takes and this one does not.
func (k *kind) refuseRest(other kinds, name, why string) {
	known := func(name string) bool {
		for _, n := range k.names() {
			if n == name {
				return true
			}
		}
		return false
	}
	for _, a := range other[name].attrs {
		if !known(a.name) {
			k.refuse = append(k.refuse, refusal{name: a.name, here: true, why: why})
		}
	}
	for _, b := range other[name].blocks {
		if !known(b) {
			k.refuse = append(k.refuse, refusal{name: b, block: true, labels: other[b].labels, here: true, why: why})
		}
	}
}
