package healing

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/salveops/salve/pkg/clock"
	"github.com/salveops/salve/pkg/defaults"
	"github.com/salveops/salve/pkg/expr"
	"github.com/salveops/salve/pkg/remedy"
)

type candidateGuard func(clock.Stamp, *Facts, *Candidate) finding

// candidateGuards are asked of every candidate, in this order: first what rules it out for good, then
// what rules it out for now, last what only delays it.
var candidateGuards = []candidateGuard{
	allowlist, refused, harmful, recurring, budget, breaker, targetPaused, targetFree, precondition, cooldown, backoff,
	leave, locked,
}

// requestGuards are those that also bind a person who asks for the remedy.
var requestGuards = []candidateGuard{allowlist, refused, targetPaused, requestFree, precondition, requestLocked}

// choose asks the candidates, least tried first, and takes the first that may run or is worth a wait.
func choose(now clock.Stamp, f *Facts) Decision {
	d := Decision{Candidates: make([]Choice, len(f.Candidates))}
	for i := range f.Candidates {
		c := &f.Candidates[i]
		d.Candidates[i] = Choice{Remedy: c.Name, Verdict: Nothing, Reason: "not reached",
			Confidence: Confidence(c.Prior, c.Verified, c.Failed)}
	}
	for _, i := range order(now, f) {
		c, choice := &f.Candidates[i], &d.Candidates[i]
		*choice = ask(now, f, c, candidateGuards)
		switch {
		case choice.Verdict == Act:
			return run(now, f, c, d)
		case choice.Verdict == Wait, choice.Guard == Recurring:
			d.Verdict, d.Guard, d.Wait, d.Reason = choice.Verdict, choice.Guard, choice.Wait, choice.Reason
			if choice.Guard == Busy {
				d.Locks, d.Waits = c.Locks, c.Name
			}
			return d
		}
	}
	return spent(f, d)
}

// order is the candidates' indices, those tried least in this incident first, else as in try.
func order(now clock.Stamp, f *Facts) []int {
	indices := make([]int, len(f.Candidates))
	tries := make([]int, len(f.Candidates))
	for i := range indices {
		indices[i], tries[i] = i, f.tries(now, &f.Candidates[i])
	}
	slices.SortStableFunc(indices, func(a, b int) int { return cmp.Compare(tries[a], tries[b]) })
	return indices
}

// ask collects what the guards say of one candidate; the first objection counts.
func ask(now clock.Stamp, f *Facts, c *Candidate, guards []candidateGuard) Choice {
	choice := Choice{Remedy: c.Name, Verdict: Act, Confidence: Confidence(c.Prior, c.Verified, c.Failed)}
	for _, g := range guards {
		if found := g(now, f, c); found.objects() {
			choice.take(found)
			return choice
		}
	}
	choice.Reason = "nothing stands in its way"
	return choice
}

func (c *Choice) take(f finding) {
	c.Verdict, c.Guard, c.Wait, c.Reason = f.verdict, f.guard, f.wait, f.reason
}

// run is the decision for a candidate that may run: act, unless the host ran too much or only observes.
func run(now clock.Stamp, f *Facts, c *Candidate, d Decision) Decision {
	if found := hostRate(now, f); found.objects() {
		d.Verdict, d.Guard, d.Wait, d.Reason = found.verdict, found.guard, found.wait, found.reason
		return d
	}
	d.Verdict, d.Remedy = Act, c.Name
	d.ResetFailed = f.target(c).startLimited()
	n := f.within(now, c, defaults.AttemptsWindow) + 1
	d.Reason = fmt.Sprintf("%s is the remedy to try for %s: attempt %d of %d in an hour, confidence %s",
		c.Name, f.Alert.thing(), n, c.Attempts, percent(Confidence(c.Prior, c.Verified, c.Failed)))
	if d.ResetFailed {
		d.Reason += fmt.Sprintf("; %s hit systemd's start limit, which is reset first", f.target(c).Name)
	}
	if f.Observe != "" {
		d.Verdict = Observe
		d.Reason = f.Observe + ", nothing is done; otherwise " + d.Reason
	}
	return d
}

// spent is the decision when no candidate may run: hold if one still might, else hand over.
func spent(f *Facts, d Decision) Decision {
	var held, over []string
	for i := range d.Candidates {
		c := &d.Candidates[i]
		if c.Verdict == Hold {
			if len(held) == 0 {
				d.Guard = c.Guard
			}
			held = append(held, c.Reason)
		} else {
			over = append(over, c.Reason)
		}
	}
	switch {
	case len(held) > 0:
		d.Verdict = Hold
		d.Reason = "no remedy may run now: " + strings.Join(append(held, over...), "; ")
	case len(over) > 0:
		d.Verdict, d.Guard = Escalate, Spent
		d.Reason = fmt.Sprintf("nothing is left to try for %s: %s", f.Alert.thing(), strings.Join(over, "; "))
	default:
		d.Verdict, d.Guard = Escalate, Spent
		d.Reason = fmt.Sprintf("%s has no remedy for %s", f.Alert.Rule, f.Alert.thing())
	}
	return d
}

// target is the unit that the candidate acts on; nameless if it acts on something else.
func (f *Facts) target(c *Candidate) *Unit {
	if c.Target == f.Unit.Name {
		return &f.Unit
	}
	return &c.Unit
}

func allowlist(_ clock.Stamp, _ *Facts, c *Candidate) finding {
	switch {
	case c.Target == "":
		return finding{Allowlist, Escalate, 0, fmt.Sprintf(
			"%s has no target, and no target means nothing, never everything", c.Name)}
	case !c.Allowed:
		return finding{Allowlist, Escalate, 0, fmt.Sprintf("no allow block of this host permits %s on %s",
			c.Kind, c.Target)}
	}
	return finding{}
}

func refused(_ clock.Stamp, _ *Facts, c *Candidate) finding {
	if c.Refusal == "" {
		return finding{}
	}
	return finding{Precheck, Escalate, 0, fmt.Sprintf("%s was refused: %s", c.Name, c.Refusal)}
}

func targetPaused(now clock.Stamp, f *Facts, c *Candidate) finding {
	if found := besidePaused(now, f, c.Locks, c.Services); found.objects() {
		return found
	}
	if c.Taken != "" {
		return finding{Person, Hold, 0, fmt.Sprintf("%s would act on what a person is at work on: %s", c.Name, c.Taken)}
	}
	return stopped(now, f, f.Alert.Service, f.target(c).Name, c.Kind.OnHost())
}

func targetFree(_ clock.Stamp, f *Facts, c *Candidate) finding {
	if u := f.target(c); u.Name != "" {
		return u.free(unitGuards)
	}
	return finding{}
}

func requestFree(_ clock.Stamp, f *Facts, c *Candidate) finding {
	if u := f.target(c); u.Name != "" {
		return u.free(requestUnitGuards)
	}
	return finding{}
}

// precondition: what is not known to hold does not hold.
func precondition(_ clock.Stamp, _ *Facts, c *Candidate) finding {
	if !c.Conditional || c.Precondition == expr.True {
		return finding{}
	}
	state := "does not hold"
	if c.Precondition == expr.Unknown {
		state = "cannot be known"
	}
	return finding{Condition, Hold, 0, fmt.Sprintf("the precondition of %s %s", c.Name, state)}
}

// breaker: what fires on many hosts at once has a common cause that no local remedy mends. Starting what is
// dead takes nothing away, and passes.
func breaker(_ clock.Stamp, f *Facts, c *Candidate) finding {
	if !f.Broken || f.revives(c) {
		return finding{}
	}
	return finding{Breaker, Hold, 0, fmt.Sprintf(
		"%s fires on many hosts of %s at once: a common cause, for which nothing is done until a person has looked",
		f.Alert.Rule, cmp.Or(f.Alert.Service, "the fleet"))}
}

// revives reports whether the candidate starts a unit of which nothing runs.
func (f *Facts) revives(c *Candidate) bool {
	u := f.target(c)
	return (c.Kind == remedy.Start || c.Kind == remedy.Restart) && u.Name != "" && u.Dead()
}

// leave: what the controller refused is asked for again on the facts of then, not tried anyhow. What may never
// be permitted lets the next candidate have its turn.
func leave(_ clock.Stamp, _ *Facts, c *Candidate) finding {
	switch {
	case c.Denied == "":
		return finding{}
	case c.DeniedFor > 0:
		return finding{NoPermit, Wait, c.DeniedFor, fmt.Sprintf("%s waits for its permit: %s", c.Name, c.Denied)}
	}
	return finding{NoPermit, Hold, 0, fmt.Sprintf("%s has no permit: %s", c.Name, c.Denied)}
}
