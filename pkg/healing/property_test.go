package healing

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/salveops/salve/pkg/expr"
	"github.com/salveops/salve/pkg/incident"
	"github.com/salveops/salve/pkg/remedy"
)

// someFacts draws facts of which most would let a remedy run, so that every guard gets its turn.
func someFacts(t *rapid.T, now time.Duration) Facts {
	rarely := func(name string) bool { return rapid.IntRange(0, 19).Draw(t, name) == 0 }
	seldom := func(name string, usual string, others ...string) string {
		if rarely(name) {
			return rapid.SampledFrom(others).Draw(t, name+" value")
		}
		return usual
	}
	f := dead()
	f.Alert.Fired = at(now - time.Duration(rapid.IntRange(0, 600).Draw(t, "age"))*time.Second)
	f.Alert.Firing, f.Alert.Clearing = !rarely("resolved"), rarely("clearing")
	f.Alert.Blind, f.Alert.Flapping = rarely("blind"), rarely("flapping")
	f.Incident.AckBy, f.Incident.Told = seldom("ack", "", "kim"), rarely("told")
	f.Observe, f.Broken = seldom("observe", "", "autonomy is observe"), rarely("broken")
	f.Host.State = seldom("system", "running", "starting", "stopping", "")
	f.Host.PerHour = rapid.IntRange(0, 12).Draw(t, "per hour")
	f.Unit.Active = seldom("active", "failed", "activating", "active", "")
	f.Unit.Stopped = seldom("stopped", "itself", "person")
	f.Unit.Load = seldom("load", "loaded", "masked")
	f.Candidates = []Candidate{drain(), restart()}
	for i := range f.Candidates {
		c := &f.Candidates[i]
		c.Allowed, c.Conditional = !rarely("denied"), rarely("conditional")
		c.Precondition = rapid.SampledFrom([]expr.Truth{expr.Unknown, expr.False, expr.True}).Draw(t, "precondition")
		c.Target = seldom("target", c.Target, "")
		c.Denied = seldom("denied", "", "web-2 is under repair")
	}
	for range rapid.IntRange(0, 6).Draw(t, "attempts") {
		c := rapid.SampledFrom(f.Candidates).Draw(t, "remedy")
		begun := time.Duration(rapid.IntRange(0, int(now/time.Second)).Draw(t, "begun")) * time.Second
		a := attempt(c, begun, rapid.SampledFrom([]incident.Outcome{
			incident.Verified, incident.Ineffective, incident.Ineffective, incident.Worse, incident.Inconclusive,
		}).Draw(t, "outcome"))
		a.Incident = rapid.SampledFrom([]string{"i0", "i1"}).Draw(t, "incident")
		if rarely("open") {
			a.Phase = incident.Acted
		}
		f.History = append(f.History, a)
	}
	slices.SortStableFunc(f.History, func(a, b incident.Attempt) int { return int(a.Intended.Boot - b.Intended.Boot) })
	return f
}

// Whatever the facts are: the same facts give the same decision, a decision has a reason, and what
// acts may act.
func TestDecideProperty(t *testing.T) {
	acts := 0
	rapid.Check(t, func(rt *rapid.T) {
		now := 3 * time.Hour
		f := someFacts(rt, now)
		d := Decide(at(now), f)
		if diff := cmp.Diff(d, Decide(at(now), f)); diff != "" {
			rt.Fatalf("two decisions on the same facts differ:\n%s", diff)
		}
		if d.Reason == "" || d.Wait < 0 || (d.Remedy == "") != (d.Verdict != Act && d.Verdict != Observe) {
			rt.Fatalf("not a whole decision: %+v", d)
		}
		if d.Verdict != Act {
			return
		}
		acts++
		c := f.Candidates[slices.IndexFunc(f.Candidates, func(c Candidate) bool { return c.Name == d.Remedy })]
		switch {
		case !f.Alert.Firing, f.Alert.Clearing, f.Alert.Blind, f.Alert.Flapping, f.Observe != "", f.Incident.AckBy != "":
			rt.Fatalf("acts on %+v %+v", f.Alert, f.Incident)
		case f.Host.State != "running", f.Unit.Active == "activating", f.Unit.Active == "", f.Unit.Load == "masked":
			rt.Fatalf("acts on %+v %+v", f.Host, f.Unit)
		case c.Denied != "", f.Broken && (c.Kind != remedy.Restart || f.Unit.Active != "failed"):
			rt.Fatalf("runs %+v although it is denied, or the breaker is open: %t", c, f.Broken)
		case !c.Allowed, c.Target == "", c.Conditional && c.Precondition != expr.True:
			rt.Fatalf("runs %+v", c)
		}
		mine, all := 0, 0
		for _, a := range f.History {
			if a.Open() {
				rt.Fatalf("acts beside %+v", a)
			}
			if a.Intended.Age(at(now)) < time.Hour {
				all++
				if a.Remedy == c.Name {
					mine++
				}
			}
		}
		if mine >= c.Attempts || all >= f.Host.PerHour {
			rt.Fatalf("runs after %d of %d attempts, %d of %d on the host", mine, c.Attempts, all, f.Host.PerHour)
		}
	})
	if acts == 0 {
		t.Error("no facts let a remedy run: the property says nothing")
	}
}

// The first attempt never waits for a back-off, and later ones stay within the jitter around the step.
func TestDelayProperty(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		n, seed := rapid.IntRange(1, 40).Draw(rt, "n"), rapid.String().Draw(rt, "seed")
		step := 10 * time.Second
		for range n - 1 {
			step = min(2*step, 10*time.Minute)
		}
		if got := Delay(n, seed); got < step*8/10 || got > step*12/10 || got != Delay(n, seed) {
			rt.Fatalf("Delay(%d, %q) = %v, want %v give or take a fifth, always the same", n, seed, got, step)
		}
	})
}
