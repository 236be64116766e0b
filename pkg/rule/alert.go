// Package rule judges the configured conditions tick by tick and keeps one alert per rule and
// instance. It is pure: time and samples come from the caller, one goroutine owns an Engine, and while
// nothing changes a tick allocates nothing.
package rule

import (
	"github.com/salveops/salve/pkg/clock"
	"github.com/salveops/salve/pkg/config"
	"github.com/salveops/salve/pkg/expr"
)

// State of an alert.
//
//	          when is true            for is over
//	resting ───────────────► pending ────────────► firing ◄──── clear is false
//	   ▲  ▲                     │                    │               │
//	   │  └── when is false ────┘      clear is true └──► clearing ──┘
//	   └───────────────────────────────────────────────── clear_for is over
//
// An unknown condition moves nothing, and the time that it is unknown counts for neither for nor
// clear_for.
type State uint8

// States of an alert.
const (
	Resting  State = iota // nothing is wrong, as far as can be known
	Pending               // the condition holds, not yet for long enough
	Firing                // something is wrong
	Clearing              // firing, but the clear condition holds, not yet for long enough
)

// String is the state's word in listings.
func (s State) String() string {
	switch s {
	case Pending:
		return "pending"
	case Firing:
		return "firing"
	case Clearing:
		return "clearing"
	}
	return "resting"
}

// Active reports whether the alert has fired and not resolved.
func (s State) Active() bool { return s == Firing || s == Clearing }

// Subject is what a condition is about.
type Subject struct {
	Service *config.Service // nil: the host
	Unit    string          // systemd unit; "" when there is none, or when the service has several
	Key     string          // mount, device, probe or pool of a condition that leaves it open; else ""
}

// Alert is one rule for one instance, at rest or not. The engine changes it; others only read it, and
// only in the engine's goroutine. It stays the same object as long as the instance exists.
type Alert struct {
	Subject
	Rule     *config.Rule
	Instance string // the name of the instance: unit, mount, device, pool, service; "" is the host
	State    State
	Since    clock.Instant // when it entered State
	Fired    clock.Instant // when it last fired; zero: never
	Flapping bool          // it fires and resolves too often
	Blind    bool          // its condition has been unknown for defaults.BlindAfter
	Gone     bool          // the instance or the rule no longer exists; this is the end of the alert
	Holds    expr.Truth    // what the condition said at the last look
	When     *expr.Bound
	Clear    *expr.Bound // nil: not When
	gates    []*goal     // of the service
}

// Kind of an event.
type Kind uint8

// Kinds of events.
const (
	Fired       Kind = iota // the alert fires
	Resolved                // it fires no more; see Alert.Gone
	Blind                   // its condition cannot be known; people are to be told, nothing is to be done
	BlindEnd                // it can be known again
	Flapping                // it fires and resolves too often
	FlappingEnd             // it has calmed down
)

// String is the kind's word in logs.
func (k Kind) String() string {
	return [...]string{"fired", "resolved", "blind", "blind_end", "flapping", "flapping_end"}[k]
}

// Event is a change that others must know of.
type Event struct {
	Kind     Kind
	Alert    *Alert
	At       clock.Instant
	Readings []expr.Reading // the figures behind the change; nil for flapping
}
