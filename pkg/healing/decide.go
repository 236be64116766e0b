package healing

import (
	"fmt"
	"slices"
	"time"

	"github.com/salveops/salve/pkg/clock"
	"github.com/salveops/salve/pkg/incident"
)

// Decide says what to do about one alert. It is a pure function of its arguments.
//
// First come the guards that hold for the alert as a whole, in the order of the Guard constants. Then
// the candidates are asked: those not yet tried in this incident in the order of the rule's try,
// after them those tried once, and so on. One that can never run is passed over; one that can run a
// little later is waited for, so that a back-off never promotes a harsher remedy.
func Decide(now clock.Stamp, f Facts) Decision {
	return climb(now, &f, decide(now, &f))
}

func decide(now clock.Stamp, f *Facts) Decision {
	for _, g := range alertGuards {
		if found := g(now, f); found.objects() {
			return Decision{Verdict: found.verdict, Guard: found.guard, Wait: found.wait, Reason: found.reason}
		}
	}
	return choose(now, f)
}

// Confirm asks once more, just before acting, whether the remedy may still run: every guard, on the
// facts of now. attempt is the intent that is already on disk for it; "" if none is. Anything but Act
// or Observe means: do not begin.
func Confirm(now clock.Stamp, f Facts, remedy, attempt string) Decision {
	f.History = without(f.History, attempt)
	d := decide(now, &f)
	if d.Verdict == Act && d.Remedy != remedy {
		d.Verdict, d.Guard = Hold, Spent
		d.Reason = fmt.Sprintf("%s is no longer the remedy to run: %s comes first now", remedy, d.Remedy)
		d.Remedy, d.ResetFailed = "", false
	}
	return d
}

// Request asks whether a remedy may run because a person wants it to. A person is not held back by
// what only restrains the automation: autonomy, acknowledgement, a unit that a person stopped, budgets
// of the remedy, dependencies. What protects the host holds for everyone.
func Request(now clock.Stamp, f Facts, remedy string) Decision {
	for _, g := range hostGuards {
		if found := g(now, &f); found.objects() {
			return Decision{Verdict: found.verdict, Guard: found.guard, Wait: found.wait, Reason: found.reason}
		}
	}
	i := slices.IndexFunc(f.Candidates, func(c Candidate) bool { return c.Name == remedy })
	if i < 0 {
		return Decision{Verdict: Hold, Guard: Spent,
			Reason: fmt.Sprintf("there is no remedy %s for %s", remedy, f.Alert.thing())}
	}
	c := &f.Candidates[i]
	choice := ask(now, &f, c, requestGuards)
	if choice.Verdict == Act {
		if found := hostRate(now, &f); found.objects() {
			choice.take(found)
		}
	}
	d := Decision{Verdict: choice.Verdict, Guard: choice.Guard, Wait: choice.Wait, Reason: choice.Reason,
		Candidates: []Choice{choice}}
	switch d.Verdict {
	case Act:
		d.Remedy, d.ResetFailed = c.Name, f.target(c).startLimited()
		d.Reason = fmt.Sprintf("%s was asked for by a person and nothing stands in its way", c.Name)
	case Escalate: // there is nobody to escalate to but the one who asks
		d.Verdict = Hold
	}
	return d
}

// climb turns a decision that leaves the alert firing into an escalation once people must be told, and
// an escalation into standing still once they were.
func climb(now clock.Stamp, f *Facts, d Decision) Decision {
	told := f.Incident.Told || f.Incident.AckBy != ""
	switch {
	case d.Verdict == Escalate && told:
		d.Verdict = Hold
		return d
	case told, d.Verdict == Escalate, d.Verdict == Nothing, d.Verdict == Act, quiet(d.Guard):
		return d
	}
	left := f.Alert.EscalateAfter - f.Alert.Fired.Age(now)
	if left > 0 {
		d.Wait = soonest(d.Wait, left)
		return d
	}
	why := d.Reason
	if d.Verdict == Observe {
		why = fmt.Sprintf("%s, %s would run", f.Observe, d.Remedy)
	}
	d.Verdict, d.Guard = Escalate, Overdue
	d.Reason = fmt.Sprintf("%s still fires after %s: %s", f.Alert.Rule, span(f.Alert.Fired.Age(now)), why)
	d.Remedy, d.Wait = "", 0
	return d
}

// quiet reports whether a guard also keeps the alert from people: a dependency's incident speaks for
// its dependents, what has recovered needs nobody, and a machine that goes down is meant to.
func quiet(g Guard) bool { return g == Dependent || g == Recovered || g == Shutdown }

// soonest is the shorter of two waits, where 0 stands for none.
func soonest(a, b time.Duration) time.Duration {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}

func without(history []incident.Attempt, id string) []incident.Attempt {
	if id == "" {
		return history
	}
	return slices.DeleteFunc(slices.Clone(history), func(a incident.Attempt) bool { return a.ID == id })
}
