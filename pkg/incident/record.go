// Package incident holds what is remembered of alerts, attempts and incidents, and the pure rules of
// an incident's life: grouping, states, end. The records are what the journal stores and what the
// API shows; their JSON form is versioned by the journal.
package incident

import (
	"cmp"
	"encoding/json"
	"time"

	"github.com/salveops/salve/pkg/clock"
	"github.com/salveops/salve/pkg/permit"
	"github.com/salveops/salve/pkg/remedy"
)

// State of an incident.
//
//	open ─► healing ─► resolved
//	  │        │
//	  └────────┴─► escalated ─► resolved      (a person, or it clears)
//	                   │
//	                   └─► acknowledged ─► resolved
type State string

// States of an incident.
const (
	Open         State = "open"         // an alert fires, nothing is being done yet
	Healing      State = "healing"      // an attempt is under way or waits its turn
	Escalated    State = "escalated"    // handed to people
	Acknowledged State = "acknowledged" // a person has it
	Resolved     State = "resolved"     // ended
)

// Outcome is what verification says of an attempt.
type Outcome string

// Outcomes.
const (
	Verified     Outcome = "verified"
	Ineffective  Outcome = "ineffective"
	Worse        Outcome = "worse"
	Inconclusive Outcome = "inconclusive"
)

// Phase is how far an attempt came; it is on disk before the step that it names begins.
//
//	intended ─► acted ─► judged (─► undoing ─► undone)
//	   │
//	   └─► refused | not_done | unknown       (settled without having run to its end)
type Phase string

// Phases of an attempt.
const (
	Intended Phase = "intended" // the intent is on disk, the action may have begun
	Acted    Phase = "acted"    // the action ended; its result is known
	Judged   Phase = "judged"   // verification gave an outcome
	Undoing  Phase = "undoing"  // taking it back
	Undone   Phase = "undone"
	Refused  Phase = "refused"  // a check just before acting said no; it never began
	NotDone  Phase = "not_done" // settled after a crash: it never began
	Unknown  Phase = "unknown"  // settled after a crash: cannot be told; never repeated, a person is told
)

// AlertKey names one firing for ever.
type AlertKey struct {
	Host   string `json:"host"`
	Stream string `json:"stream"` // event stream of the journal
	N      uint64 `json:"n"`
}

// Alert is one firing of one rule for one instance.
type Alert struct {
	Key       AlertKey    `json:"key"`
	Rule      string      `json:"rule"`
	Service   string      `json:"service"`  // "" for host rules
	Instance  string      `json:"instance"` // unit, mount, device, pool
	Severity  string      `json:"severity"`
	Condition string      `json:"condition"`      // the rule's text
	Values    []Value     `json:"values"`         // the signals in it when it fired
	Began     clock.Stamp `json:"began,omitzero"` // since when the trouble is known to have been there
	Fired     clock.Stamp `json:"fired"`
	Resolved  clock.Stamp `json:"resolved,omitzero"`
	Muted     string      `json:"muted,omitempty"`  // the service whose incident mutes this one
	Blind     bool        `json:"blind,omitempty"`  // the condition cannot be known; told, never acted on
	Untold    bool        `json:"untold,omitempty"` // the controller does not know yet that it has resolved
}

// Value is one signal as it was at one moment.
type Value struct {
	Signal string  `json:"signal"`
	Value  float64 `json:"value"`
	Known  bool    `json:"known"`
	Text   string  `json:"text"` // as people read it: "12.3 %", "850 ms"
}

// EventType sorts the timeline.
type EventType string

// Types of timeline events.
const (
	EvAlert    EventType = "alert"    // fired, joined, resolved, muted, blind
	EvDiagnose EventType = "diagnose" // evidence collected
	EvDecide   EventType = "decide"   // a decision, also one not to act
	EvPermit   EventType = "permit"   // the controller gave its leave
	EvIntent   EventType = "intent"   // about to act
	EvAct      EventType = "act"      // acted, with result
	EvVerify   EventType = "verify"   // outcome
	EvUndo     EventType = "undo"
	EvEscalate EventType = "escalate" // a step of an escalation
	EvNotify   EventType = "notify"   // a message delivered or refused
	EvPerson   EventType = "person"   // somebody did something: pause, ack, run, stop
	EvEnd      EventType = "end"
)

// Event is one line of an incident's timeline.
type Event struct {
	At     clock.Stamp       `json:"at"`
	Type   EventType         `json:"type"`
	Text   string            `json:"text"` // one sentence for a person
	Fields map[string]string `json:"fields,omitempty"`
}

// Bounds of an incident. What is dropped is counted in it.
const (
	MaxTimeline = 1000 // events; the first KeepFirst and the newest are kept
	KeepFirst   = 100  // events from the beginning, which tell how it started
	MaxAlerts   = 100  // alerts; resolved ones go first
)

// Incident is one story.
type Incident struct {
	ID        string      `json:"id"` // 32 hex digits, also the trace ID
	Service   string      `json:"service"`
	Title     string      `json:"title"`
	State     State       `json:"state"`
	Severity  string      `json:"severity"`
	Opened    clock.Stamp `json:"opened"`
	Ended     clock.Stamp `json:"ended,omitzero"`
	End       string      `json:"end,omitempty"` // how it ended, one sentence
	Alerts    []Alert     `json:"alerts"`
	Timeline  []Event     `json:"timeline"`
	Dropped   int         `json:"dropped,omitempty"`   // timeline events beyond MaxTimeline
	Forgotten int         `json:"forgotten,omitempty"` // alerts beyond MaxAlerts
	Attempts  []string    `json:"attempts"`            // attempt IDs in order
	Evidence  []Evidence  `json:"evidence,omitempty"`
	AckBy     string      `json:"ack_by,omitempty"`
	Keep      bool        `json:"keep,omitempty"`    // acknowledged, but remedies may go on
	Released  clock.Stamp `json:"released,omitzero"` // when a person last handed it back
	Escalate  Escalation  `json:"escalate,omitzero"`
	WouldHave string      `json:"would_have,omitempty"` // observe: the remedy it would have run
	Order     *Order      `json:"order,omitempty"`      // what people decided through a controller; nil: nothing
}

// Order is what people decided about an incident through the controller, as far as it was followed here.
type Order struct {
	Incident  string `json:"incident,omitempty"`  // the controller's name for it
	AckBy     string `json:"ack_by,omitempty"`    // who has it
	Released  int64  `json:"released,omitempty"`  // log time at which it was last handed back
	Escalated bool   `json:"escalated,omitempty"` // the controller tells people
}

// Escalation is how far an incident has climbed.
type Escalation struct {
	To     string      `json:"to,omitempty"`
	Reason string      `json:"reason,omitempty"`
	Since  clock.Stamp `json:"since,omitzero"`
	Step   int         `json:"step,omitempty"`   // next step to take
	Repeat int         `json:"repeat,omitempty"` // repeats already sent of the step before
	Due    clock.Stamp `json:"due,omitzero"`     // when the next message is due; zero: none is
	Told   []string    `json:"told,omitempty"`   // notifier IDs that got a trigger; resolve goes to them
}

// Evidence is one bounded piece of diagnosis.
type Evidence struct {
	Title string      `json:"title"` // "journal of checkout.service, last 40 lines"
	At    clock.Stamp `json:"at"`
	Text  string      `json:"text"`
}

// ByRule is the author of an attempt that no person asked for.
const ByRule = "rule"

// Attempt is one run of one remedy.
type Attempt struct {
	ID       string          `json:"id"`
	Incident string          `json:"incident"`
	Rule     string          `json:"rule"`
	Remedy   string          `json:"remedy"`
	Kind     string          `json:"kind"`
	Service  string          `json:"service"`
	Instance string          `json:"instance"`
	Target   string          `json:"target"` // unit, pool or program acted on
	By       string          `json:"by"`     // ByRule or the operator's name
	Phase    Phase           `json:"phase"`
	Outcome  Outcome         `json:"outcome,omitempty"`
	Reason   string          `json:"reason,omitempty"` // of outcome, refusal or settlement
	Stays    string          `json:"stays,omitempty"`  // why it can never be taken back, as its undo found out; "": it may, or it was
	Error    string          `json:"error,omitempty"`  // of the action
	Before   json.RawMessage `json:"before,omitempty"` // the kind's evidence from before: InvocationID, old values
	After    json.RawMessage `json:"after,omitempty"`
	Undo     json.RawMessage `json:"undo,omitempty"`    // what undo needs; nil: cannot be undone
	For      time.Duration   `json:"for,omitempty"`     // taken back so long after Intended; 0: when it is asked for
	Locks    []remedy.Lock   `json:"locks,omitempty"`   // what nobody else touches before it has ended, in the order of their names
	Affects  []string        `json:"affects,omitempty"` // services that it takes down as well, whose alerts are muted meanwhile
	Fired    clock.Stamp     `json:"fired,omitzero"`    // when the alert fired that it answers
	Intended clock.Stamp     `json:"intended"`
	Acted    clock.Stamp     `json:"acted,omitzero"`
	Judged   clock.Stamp     `json:"judged,omitzero"`
	Undone   clock.Stamp     `json:"undone,omitzero"`
	Permit   *permit.Held    `json:"permit,omitempty"` // the controller's leave; nil: it needed none
}

// Open reports whether the attempt still has a step before it that must not be forgotten.
func (a *Attempt) Open() bool {
	switch a.Phase {
	case Intended, Acted, Undoing:
		return true
	}
	return false
}

// Keep takes over what must not get lost of last, the record that a is about to replace. Who judges an attempt and who takes
// it back write without asking each other: what is undone stays so, what is being taken back is so until that is over, and
// an outcome stands.
func (a *Attempt) Keep(last *Attempt) {
	if a.Outcome == "" && last.Outcome != "" {
		a.Outcome, a.Reason, a.Judged = last.Outcome, last.Reason, last.Judged
	}
	if a.Outcome != "" && a.Phase == Acted {
		a.Phase = Judged
	}
	over := a.Stays != "" // the undo has ended without taking it back
	a.Stays = cmp.Or(a.Stays, last.Stays)
	switch {
	case last.Phase == Undone:
		a.Phase, a.Undone = Undone, last.Undone
	case last.Phase == Undoing && !over && (a.Phase == Acted || a.Phase == Judged):
		a.Phase = Undoing
	}
}

// Pause is a local stop of all remedies for what it matches.
type Pause struct {
	ID      string        `json:"id"`
	Scope   string        `json:"scope"` // "all", "service:NAME", "unit:NAME"
	By      string        `json:"by"`
	Reason  string        `json:"reason"`
	From    clock.Stamp   `json:"from"`
	For     time.Duration `json:"for,omitempty"` // 0: until resumed, with a daily reminder
	Reminds clock.Stamp   `json:"reminds,omitzero"`
}
