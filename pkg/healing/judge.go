package healing

import (
	"fmt"
	"time"

	"github.com/salveops/salve/pkg/clock"
	"github.com/salveops/salve/pkg/expr"
	"github.com/salveops/salve/pkg/incident"
)

// Judge decides whether an action helped. It is fed step by step with what the condition of recovery
// says of the samples from after the action, and ends at once when that has held for long enough.
//
//	watching ─┬─ true for hold ───────────────────────► verified
//	          ├─ something that was good turned bad ──► worse
//	          ├─ dead again, or false at the end ─────► ineffective
//	          └─ unknown or too few at the end ───────► inconclusive
//
// While the condition is unknown, the time that it held stands still: silence is never health.
type Judge struct {
	acted    time.Duration // end of the action, on the boot clock
	deadline time.Duration
	hold     time.Duration

	truth  expr.Truth    // at the step before
	at     time.Duration // of the step before
	held   time.Duration // how long the condition was seen to hold
	failed bool          // it was known not to hold at some step
}

// NewJudge starts the verification of an action that ended at acted: the condition must hold for hold,
// and all that within the given time.
func NewJudge(acted clock.Instant, within, hold time.Duration) *Judge {
	return &Judge{acted: acted.Boot, deadline: acted.Boot + within, hold: hold, truth: expr.Unknown, at: acted.Boot}
}

// Sample is one look at the patient after the action.
type Sample struct {
	// Truth of the condition of recovery over samples from after the action only.
	Truth expr.Truth
	// Worse says which signal of the service was good before and is bad now, or which graver alert
	// came; "" none.
	Worse string
	// Dead says that what the action brought up is down again and need not be waited for; "" it is not.
	Dead string
}

// Deadline is when the judge ends at the latest, on the boot clock.
func (j *Judge) Deadline() time.Duration { return j.deadline }

// Step takes one sample. When done is true the outcome stands, with its reason; later steps are not
// looked at.
func (j *Judge) Step(now clock.Instant, s Sample) (outcome incident.Outcome, done bool, reason string) {
	if s.Truth == expr.True && j.truth == expr.True {
		j.held += max(0, now.Boot-j.at)
	}
	if s.Truth == expr.False {
		j.held, j.failed = 0, true
	}
	j.truth, j.at = s.Truth, now.Boot

	after := now.Boot - j.acted
	switch {
	case s.Worse != "":
		return incident.Worse, true, fmt.Sprintf("%s after the action, %s", span(after), s.Worse)
	case s.Dead != "":
		return incident.Ineffective, true, fmt.Sprintf("%s after the action, %s", span(after), s.Dead)
	case s.Truth == expr.True && j.held >= j.hold:
		return incident.Verified, true, fmt.Sprintf("recovered, and held for %s; %s after the action",
			span(j.held), span(after))
	case now.Boot < j.deadline:
		return "", false, ""
	}
	outcome, reason = j.verdict(after)
	return outcome, true, reason
}

// verdict is the outcome when time is up.
func (j *Judge) verdict(after time.Duration) (incident.Outcome, string) {
	switch {
	case j.truth == expr.False:
		return incident.Ineffective, fmt.Sprintf("not recovered %s after the action", span(after))
	case j.truth == expr.Unknown:
		return incident.Inconclusive, fmt.Sprintf(
			"%s after the action there are too few fresh samples to tell", span(after))
	case j.failed:
		return incident.Ineffective, fmt.Sprintf("%s after the action it had recovered for %s only, of %s",
			span(after), span(j.held), span(j.hold))
	}
	return incident.Inconclusive, fmt.Sprintf(
		"%s after the action there were enough fresh samples for %s only, of %s", span(after), span(j.held), span(j.hold))
}
