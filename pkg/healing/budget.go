package healing

import (
	"fmt"
	"hash/fnv"
	"math"
	"slices"
	"time"

	"github.com/salveops/salve/pkg/clock"
	"github.com/salveops/salve/pkg/defaults"
	"github.com/salveops/salve/pkg/incident"
	"github.com/salveops/salve/pkg/remedy"
)

// counts reports whether the attempt weighs in a budget: it began, or may have.
func counts(a *incident.Attempt) bool {
	return a.Phase != incident.NotDone && a.Phase != incident.Refused
}

// mine reports whether the attempt is one of the candidate on the same instance. The same unit or pool
// counts as the same instance under whatever name a rule came to it; a program serves every instance.
func (f *Facts) mine(c *Candidate, a *incident.Attempt) bool {
	if a.Remedy != c.Name || a.Service != f.Alert.Service || !counts(a) {
		return false
	}
	return a.Instance == f.Alert.Instance || shares(c, a)
}

// shares reports whether the candidate would act on the very thing that the attempt acted on.
func shares(c *Candidate, a *incident.Attempt) bool {
	return c.Kind != remedy.Exec && a.Kind != string(remedy.Exec) && a.Target == c.Target && c.Target != ""
}

// ours reports whether the attempt belongs to this incident and was not forgiven by a release.
func (f *Facts) ours(now clock.Stamp, a *incident.Attempt) bool {
	return a.Incident == f.Incident.ID && f.Incident.ID != "" && counts(a) &&
		!later(f.Incident.Released, a.Intended, now)
}

// tries is how often the candidate ran in this incident.
func (f *Facts) tries(now clock.Stamp, c *Candidate) int {
	n := 0
	for i := range f.History {
		if f.mine(c, &f.History[i]) && f.ours(now, &f.History[i]) {
			n++
		}
	}
	return n
}

// within counts the candidate's attempts no older than the window.
func (f *Facts) within(now clock.Stamp, c *Candidate, window time.Duration) int {
	n := 0
	for i := range f.History {
		if a := &f.History[i]; f.mine(c, a) && a.Intended.Age(now) < window {
			n++
		}
	}
	return n
}

// shared is what the remedies of the rule's try have together: how often they ran within the window, and how often they may,
// which is as often as the one with the most attempts. What only looks uses up nothing of that.
func (f *Facts) shared(now clock.Stamp, window time.Duration) (n, limit int) {
	for i := range f.Candidates {
		limit = max(limit, f.Candidates[i].Attempts)
	}
	for i := range f.History {
		a := &f.History[i]
		own := func(c Candidate) bool { return !c.Kind.Gathers() && f.mine(&c, a) }
		if a.Intended.Age(now) < window && slices.ContainsFunc(f.Candidates, own) {
			n++
		}
	}
	return n, limit
}

// budget: so many attempts an hour across incidents, and no more than that in one incident however
// long it lasts. The remedies of one try share it, but for the first turn of each.
func budget(now clock.Stamp, f *Facts, c *Candidate) finding {
	limit := max(c.Attempts, 0)
	if n := f.within(now, c, defaults.AttemptsWindow); n >= limit {
		return finding{Budget, Escalate, 0, fmt.Sprintf("%s already ran %s for %s %s; limit %d",
			c.Name, times(n), f.Alert.thing(), inLast(defaults.AttemptsWindow), limit)}
	}
	if n, all := f.shared(now, defaults.AttemptsWindow); n >= all && f.within(now, c, defaults.AttemptsWindow) > 0 {
		return finding{Budget, Escalate, 0, fmt.Sprintf("%s shares its budget with what is tried beside it: together they ran %s for %s %s; limit %d",
			c.Name, times(n), f.Alert.thing(), inLast(defaults.AttemptsWindow), all)}
	}
	if n := f.tries(now, c); n >= limit {
		return finding{Budget, Escalate, 0, fmt.Sprintf("%s already ran %s for %s in this incident; limit %d",
			c.Name, times(n), f.Alert.thing(), limit)}
	}
	return finding{}
}

// recurring: a remedy that "succeeds" again and again cures a symptom.
func recurring(now clock.Stamp, f *Facts, c *Candidate) finding {
	n := 0
	for i := range f.History {
		a := &f.History[i]
		if f.mine(c, a) && a.Outcome == incident.Verified && a.By == incident.ByRule &&
			a.Intended.Age(now) < defaults.RecurringWindow {
			n++
		}
	}
	if n < c.Recurring {
		return finding{}
	}
	return finding{Recurring, Escalate, 0, fmt.Sprintf(
		"%s \"helped\" %s %s %s and the trouble came back; limit %d, it needs a real fix",
		c.Name, f.Alert.thing(), times(n), inLast(defaults.RecurringWindow), c.Recurring)}
}

// harmful: what made things worse is not tried again in the same incident, and what may still be half
// done from an earlier one is not repeated.
func harmful(now clock.Stamp, f *Facts, c *Candidate) finding {
	for i := range f.History {
		a := &f.History[i]
		switch {
		case !f.mine(c, a):
		case a.Outcome == incident.Worse && f.ours(now, a):
			return finding{Harmful, Escalate, 0, fmt.Sprintf("%s made things worse%s", c.Name, because(a.Reason))}
		case a.Phase == incident.Unknown && !later(f.Incident.Released, a.Intended, now) &&
			a.Intended.Age(now) < defaults.AttemptsWindow:
			return finding{Unsettled, Escalate, 0, fmt.Sprintf(
				"how %s ended on %s %s ago is not known; it is not repeated",
				c.Name, a.Target, span(a.Intended.Age(now)))}
		}
	}
	return finding{}
}

// cooldown is armed when an attempt begins, however it ends.
func cooldown(now clock.Stamp, f *Facts, c *Candidate) finding {
	for i := len(f.History) - 1; i >= 0; i-- {
		a := &f.History[i]
		if !f.mine(c, a) {
			continue
		}
		if left := c.Cooldown - a.Intended.Age(now); left > 0 {
			return finding{Cooldown, Wait, left, fmt.Sprintf("%s ran for %s %s ago; it cools down for %s",
				c.Name, f.Alert.thing(), span(a.Intended.Age(now)), span(c.Cooldown))}
		}
		break
	}
	return finding{}
}

// backoff lets each attempt after the first wait longer than the one before. The first never waits.
func backoff(now clock.Stamp, f *Facts, c *Candidate) finding {
	n, last := f.chain(c)
	if n == 0 {
		return finding{}
	}
	wait := Delay(n, last.ID)
	if left := wait - ended(last).Age(now); left > 0 {
		return finding{Backoff, Wait, left, fmt.Sprintf("attempt %d for %s waits %s after the one before, %s more",
			n+1, f.Alert.thing(), span(wait), span(left))}
	}
	return finding{}
}

// chain counts the attempts since the instance was last healthy for long, and returns the newest.
// Once the unit hit systemd's start limit, attempts of every remedy on it count: each of them resets
// the limit and starts the unit.
func (f *Facts) chain(c *Candidate) (n int, newest *incident.Attempt) {
	limited := f.target(c).startLimited()
	fired := f.Alert.Fired
	for i := len(f.History) - 1; i >= 0; i-- {
		a := &f.History[i]
		if !f.mine(c, a) && !(limited && counts(a) && shares(c, a)) {
			continue
		}
		rest := ended(a).Age(fired)
		if a.Outcome == incident.Verified && rest >= defaults.BackoffReset || rest >= defaults.AttemptsWindow {
			break
		}
		if n++; newest == nil {
			newest = a
		}
		if fired = a.Fired; fired.IsZero() {
			fired = a.Intended
		}
	}
	return n, newest
}

// Delay is the back-off after the n-th attempt in a row. The jitter comes from seed, so that the same
// facts always give the same wait and two services never keep step.
func Delay(n int, seed string) time.Duration {
	wait := float64(defaults.BackoffFirst) * math.Pow(defaults.BackoffFactor, float64(n-1))
	wait = min(wait, float64(defaults.BackoffMax))
	h := fnv.New64a()
	h.Write([]byte(seed))
	share := float64(h.Sum64()>>11) / (1 << 53) // 0 to 1
	return time.Duration(wait * (1 + defaults.BackoffJitter*(2*share-1)))
}

// hostRate: a host that needs so many remedies needs a person.
func hostRate(now clock.Stamp, f *Facts) finding {
	var left []time.Duration // until each attempt of the last hour is an hour old, soonest first
	for i := range f.History {
		if a := &f.History[i]; counts(a) && a.Intended.Age(now) < time.Hour {
			left = append(left, time.Hour-a.Intended.Age(now))
		}
	}
	over := len(left) - f.Host.PerHour
	if over < 0 {
		return finding{}
	}
	slices.Sort(left)
	wait := time.Hour
	if over < len(left) {
		wait = left[over]
	}
	return finding{HostRate, Wait, wait, fmt.Sprintf("this host already ran %d remedies in the last hour; limit %d",
		len(left), f.Host.PerHour)}
}

// ended is when the attempt was over, as far as it came.
func ended(a *incident.Attempt) clock.Stamp {
	for _, s := range []clock.Stamp{a.Undone, a.Judged, a.Acted} {
		if !s.IsZero() {
			return s
		}
	}
	return a.Intended
}

// later reports whether a is more recent than b. A stamp that was never set is not.
func later(a, b, now clock.Stamp) bool {
	return !a.IsZero() && a.Age(now) <= b.Age(now)
}
