package healing

import (
	"time"

	"github.com/salveops/salve/pkg/remedy"
)

// Verdict is what to do now.
type Verdict string

// Verdicts.
const (
	// Nothing: the alert does not fire, so there is nothing to heal.
	Nothing Verdict = "nothing"
	// Act: run Remedy.
	Act Verdict = "act"
	// Observe: Remedy would run if autonomy allowed it. Record it.
	Observe Verdict = "observe"
	// Wait: something that passes by itself stands in the way. Decide again after Wait, and when facts change.
	Wait Verdict = "wait"
	// Hold: something that may never pass stands in the way. Decide again when facts change.
	Hold Verdict = "hold"
	// Escalate: hand the incident to people, set Story.Told, decide again.
	Escalate Verdict = "escalate"
)

// Guard names the rule that decided, for metrics, filters and tests.
type Guard string

// Guards in the order in which they are asked.
const (
	Recovered   Guard = "recovered"    // the alert is over, or on its way there
	Busy        Guard = "busy"         // an attempt is under way on the same thing
	Unknowable  Guard = "blind"        // the condition cannot be known
	Person      Guard = "acknowledged" // a person has the incident
	Dependent   Guard = "dependency"   // what it depends on is ill, or may be
	Paused      Guard = "paused"       // a pause or a window
	System      Guard = "system"       // the machine starts or is in maintenance
	Shutdown    Guard = "shutdown"     // the machine goes down
	HumanWins   Guard = "human_wins"   // a person stopped or masked the unit
	Transaction Guard = "transaction"  // a package manager is at work on the unit
	Moving      Guard = "moving"       // systemd is starting, stopping or about to restart the unit
	Starting    Guard = "startup"      // the unit is younger than its startup time
	Unstable    Guard = "flapping"     // the alert comes and goes
	Unsettled   Guard = "unsettled"    // how an earlier attempt ended is not known
	Amnesia     Guard = "journal_lost" // earlier attempts were lost with the journal
	Allowlist   Guard = "allowlist"    // the host's allow blocks do not permit it
	Precheck    Guard = "precheck"     // the executor refuses
	Condition   Guard = "precondition" // the remedy's own condition does not hold
	Budget      Guard = "budget"       // it ran too often already
	Recurring   Guard = "recurring"    // it "succeeded" too often
	Harmful     Guard = "worse"        // it made things worse in this incident
	Breaker     Guard = "breaker"      // many hosts have the same alert: a common cause
	NoPermit    Guard = "permit"       // the controller did not give leave
	Backoff     Guard = "backoff"      // too early after the attempt before
	Cooldown    Guard = "cooldown"     // too early after the remedy last ran
	HostRate    Guard = "host_rate"    // the host ran too many remedies in the last hour
	Spent       Guard = "spent"        // nothing is left to try
	Overdue     Guard = "overdue"      // it fires for longer than escalate.after
	Clear       Guard = ""             // nothing stands in the way
)

// Decision is what to do about an alert, and why.
type Decision struct {
	Verdict Verdict
	Remedy  string        // of Act and Observe
	Wait    time.Duration // decide again after this even if no fact changes; 0: only when one changes
	Guard   Guard         // which guard decided; Clear for Act and Observe
	Reason  string        // one sentence for a person
	// ResetFailed says that the target hit systemd's start limit, which must be reset before it starts.
	ResetFailed bool
	// Locks are all that the remedy needs which waits for some of them; nil: none waits. See Queue.
	Locks      []remedy.Lock
	Waits      string   // the remedy that waits for Locks
	Candidates []Choice // every candidate in the order of try; empty if a guard before them decided
}

// Choice says what a decision thought of one candidate.
type Choice struct {
	Remedy     string
	Verdict    Verdict // Act: it could run; Wait, Hold: not now; Escalate: not any more; Nothing: it was not reached
	Guard      Guard
	Wait       time.Duration
	Reason     string
	Confidence float64 // probability that it helps, 0 to 1
}

// finding is what a guard that objects says.
type finding struct {
	guard   Guard
	verdict Verdict
	wait    time.Duration
	reason  string
}

func (f finding) objects() bool { return f.guard != Clear }
