package healing

import (
	"fmt"
	"testing"
	"time"

	"github.com/salveops/salve/pkg/clock"
	"github.com/salveops/salve/pkg/expr"
	"github.com/salveops/salve/pkg/incident"
)

// Ways in which self-healing went wrong elsewhere; those that the decision must prevent.
func TestFailureModes(t *testing.T) {
	t.Run("restart-storm", restartStorm)
	t.Run("lockstep", lockstep)
	t.Run("own-echo", ownEcho)
	t.Run("success-that-fixes-nothing", successThatFixesNothing)
	t.Run("silence-is-not-health", silenceIsNotHealth)
	t.Run("empty-means-all", emptyMeansAll)
	t.Run("budget-reset", budgetReset)
	t.Run("acting-on-recovery", actingOnRecovery)
	t.Run("one-pass-resets", onePassResets)
	t.Run("child-before-parent", childBeforeParent)
}

// simulation lets Decide look at a sick unit once a second and obeys it.
type simulation struct {
	facts    Facts
	life     time.Duration // the unit fails again so long after each restart
	new      bool          // each failure is an incident of its own: the restart before it was verified
	began    []time.Duration
	told     int
	incident int
}

func (s *simulation) run(d time.Duration) {
	failed := time.Duration(0) // when the unit last failed
	for now := time.Duration(0); now < d; now += time.Second {
		if now < failed {
			continue
		}
		decision := Decide(at(now), s.facts)
		switch decision.Verdict {
		case Escalate:
			s.told++
			s.facts.Incident.Told = true
		case Act:
			s.act(now)
			failed = now + s.life
		}
	}
}

func (s *simulation) act(now time.Duration) {
	a := attempt(s.facts.Candidates[0], now, incident.Ineffective)
	a.ID, a.Incident, a.Fired = fmt.Sprint("a", len(s.began)), s.facts.Incident.ID, s.facts.Alert.Fired
	a.Acted, a.Judged = at(now), at(now+min(s.life, 5*time.Second))
	if s.new {
		a.Outcome = incident.Verified
		s.incident++
		s.facts.Incident = Story{ID: fmt.Sprint("n", s.incident)}
		s.facts.Alert.Fired = at(now + s.life)
	}
	s.facts.History = append(s.facts.History, a)
	s.began = append(s.began, now)
}

// most is the greatest number of attempts within any window.
func (s *simulation) most(window time.Duration) int {
	most := 0
	for i := range s.began {
		n := 0
		for _, b := range s.began[i:] {
			if b-s.began[i] < window {
				n++
			}
		}
		most = max(most, n)
	}
	return most
}

// A flat back-off restarted a unit 1,655 times in four hours, the alert path with it.
func restartStorm(t *testing.T) {
	t.Run("one incident", func(t *testing.T) {
		s := &simulation{facts: dead(), life: time.Second}
		s.run(4 * time.Hour)
		if len(s.began) != 3 || s.told != 1 {
			t.Errorf("%d restarts in four hours, people told %d times; want 3 and 1", len(s.began), s.told)
		}
		if len(s.began) > 0 && s.began[0] != 0 {
			t.Errorf("the first restart came after %v, want at once", s.began[0])
		}
	})
	t.Run("many incidents", func(t *testing.T) {
		s := &simulation{facts: dead(), life: 20 * time.Second, new: true}
		s.facts.Candidates[0].Attempts = 2 // below what counts as recurring
		s.run(4 * time.Hour)
		if n := s.most(time.Hour); n != 2 {
			t.Errorf("%d restarts within an hour, limit 2: %v", n, s.began)
		}
	})
	t.Run("growing waits", func(t *testing.T) {
		s := &simulation{facts: dead(), life: time.Second}
		s.facts.Candidates[0].Attempts, s.facts.Candidates[0].Cooldown = 1000, 0
		s.facts.Host.PerHour = 1000
		s.run(4 * time.Hour)
		if n := len(s.began); n < 20 || n > 40 {
			t.Errorf("%d restarts in four hours by back-off alone, want about 30", n)
		}
		for i := 2; i < len(s.began); i++ {
			gap, before := s.began[i]-s.began[i-1], s.began[i-1]-s.began[i-2]
			if gap < min(before*13/10, 8*time.Minute) {
				t.Errorf("wait %d is %v after %v", i, gap, before)
			}
		}
	})
}

// The health check and RestartSec had the same period, so that each look fell into the same phase: the
// service was killed for ever, and the cool-down, armed at success, never began.
func lockstep(t *testing.T) {
	s := &simulation{facts: dead(), life: 10 * time.Second}
	s.facts.Candidates[0].Attempts = 1000
	s.facts.Host.PerHour = 1000
	s.run(10 * time.Minute)
	for i := 1; i < len(s.began); i++ {
		if gap := s.began[i] - s.began[i-1]; gap < time.Minute {
			t.Errorf("attempt %d came %v after the one before; the cool-down is a minute, armed at the attempt", i, gap)
		}
	}
	waits := make(map[time.Duration]int)
	for i := range 100 {
		waits[Delay(3, fmt.Sprint("attempt ", i))]++
	}
	if len(waits) < 90 {
		t.Errorf("100 attempts share %d back-offs: they keep step", len(waits))
	}
}

// The remedy's own effect triggered the rule again.
func ownEcho(t *testing.T) {
	running := attempt(restart(), 0, "")
	running.Phase, running.Incident = incident.Acted, "another rule's"
	f := dead()
	f.Alert.Rule, f.Alert.Fired = "slow", at(time.Second)
	f.Unit.Active, f.Unit.Startup = "active", 0
	f.History = []incident.Attempt{running}
	if d := Decide(at(time.Second), f); d.Verdict != Hold || d.Guard != Busy {
		t.Errorf("acts on its own echo: %s/%q %s", d.Verdict, d.Guard, d.Reason)
	}
	f.History = nil
	f.Unit.Startup, f.Unit.ActiveFor = 30*time.Second, time.Second
	if d := Decide(at(time.Second), f); d.Verdict != Wait || d.Guard != Starting {
		t.Errorf("judges a unit that just started: %s/%q %s", d.Verdict, d.Guard, d.Reason)
	}
}

// The same fix "succeeded" 39 times.
func successThatFixesNothing(t *testing.T) {
	s := &simulation{facts: dead(), life: 2 * time.Hour, new: true}
	s.run(78 * time.Hour)
	if n := s.most(24 * time.Hour); n > 3 || s.told == 0 {
		t.Errorf("%d \"successes\" in 24 hours, people told %d times; want at most 3, and told", n, s.told)
	}
}

// No samples after the fix were scored as recovery.
func silenceIsNotHealth(t *testing.T) {
	j := NewJudge(clock.Instant{Boot: time.Hour}, 30*time.Second, 5*time.Second)
	now := clock.Instant{Boot: time.Hour}
	for i := range 30 {
		now = now.Add(time.Second)
		truth := expr.Unknown
		if i == 0 || i == 20 { // two good samples are no recovery that held
			truth = expr.True
		}
		outcome, done, reason := j.Step(now, Sample{Truth: truth})
		if outcome == incident.Verified {
			t.Fatalf("silence counted as recovery: %s", reason)
		}
		if done != (i == 29) || done && outcome != incident.Inconclusive {
			t.Fatalf("step %d: %q, done %v", i, outcome, done)
		}
	}
	f := dead()
	f.History = []incident.Attempt{attempt(restart(), 0, incident.Inconclusive)}
	if d := Decide(at(10*time.Minute), f); d.Verdict != Escalate || d.Guard != Unsettled {
		t.Errorf("an inconclusive attempt: %s/%q %s", d.Verdict, d.Guard, d.Reason)
	}
}

// An empty target list erased almost every machine.
func emptyMeansAll(t *testing.T) {
	f := dead()
	f.Candidates[0].Target = ""
	if d := Decide(at(0), f); d.Verdict == Act {
		t.Error("a remedy without target runs")
	}
	if d := Request(at(0), f, "restart-app"); d.Verdict == Act {
		t.Error("a remedy without target runs when asked for")
	}
	f = dead()
	f.Candidates[0].Allowed = false // no allow block at all
	if d := Decide(at(0), f); d.Verdict == Act {
		t.Error("nothing listed must be nothing allowed")
	}
}

// Corrupt state reset the attempt counter; a timed-out attempt was retried.
func budgetReset(t *testing.T) {
	f := dead()
	f.Host.Lost = at(-time.Minute)
	if d := Decide(at(0), f); d.Verdict != Escalate || d.Guard != Amnesia {
		t.Errorf("a lost journal freed the budget: %s/%q %s", d.Verdict, d.Guard, d.Reason)
	}
	timedOut := attempt(restart(), 0, "")
	timedOut.Phase, timedOut.Reason = incident.Unknown, "the action timed out"
	f = dead()
	f.Candidates = append(f.Candidates, drain())
	f.History = []incident.Attempt{timedOut}
	if d := Decide(at(10*time.Minute), f); d.Verdict != Escalate || d.Guard != Unsettled {
		t.Errorf("goes on although nobody knows how the last attempt ended: %s/%q %s", d.Verdict, d.Guard, d.Reason)
	}
	f = dead()
	timedOut.Incident = "an earlier one"
	f.History = []incident.Attempt{timedOut}
	if d := Decide(at(10*time.Minute), f); d.Verdict == Act {
		t.Errorf("an attempt of an earlier incident, whose end is not known, was repeated: %s", d.Reason)
	}
}

// The action ran on "resolved" and removed the healthy replacement.
func actingOnRecovery(t *testing.T) {
	f := dead()
	f.Alert.Firing = false
	if d := Decide(at(time.Hour), f); d.Verdict != Nothing {
		t.Errorf("acts on what resolved: %s %s", d.Verdict, d.Reason)
	}
	if d := Confirm(at(time.Hour), f, "restart-app", ""); d.Verdict == Act {
		t.Errorf("an action that was decided before the recovery still runs: %s", d.Reason)
	}
	f.Alert.Firing, f.Alert.Clearing = true, true
	if d := Decide(at(time.Hour), f); d.Verdict == Act {
		t.Errorf("acts on what is recovering: %s", d.Reason)
	}
}

// A single good sample reset the failure count of a flapping service.
func onePassResets(t *testing.T) {
	f := dead()
	for i := range 2 { // each was verified, and the next failure came a minute later
		a := elsewhere(attempt(restart(), time.Duration(i)*70*time.Second, incident.Verified))
		f.History = append(f.History, a)
	}
	f.Alert.Fired = at(140 * time.Second)
	f.Candidates[0].Cooldown = 0
	if n, _ := f.chain(&f.Candidates[0]); n != 2 {
		t.Errorf("%d attempts count for the back-off, want 2: a minute of health resets nothing", n)
	}
	f.Alert.Fired = at(80*time.Second + 10*time.Minute)
	if n, _ := f.chain(&f.Candidates[0]); n != 0 {
		t.Errorf("%d attempts count after ten minutes of health, want none", n)
	}
	f.Alert.Flapping = true
	if d := Decide(f.Alert.Fired, f); d.Verdict != Escalate || d.Guard != Unstable {
		t.Errorf("a flapping alert: %s/%q", d.Verdict, d.Guard)
	}
}

// The dependent's alert fired before the dependency's was known.
func childBeforeParent(t *testing.T) {
	f := dead()
	f.Depends = []Dependency{{Service: "postgres", Detection: 2 * time.Second}}
	if d := Decide(at(0), f); d.Verdict != Wait || d.Wait != 2*time.Second {
		t.Errorf("the child is treated before the parent could speak: %s %s", d.Verdict, d.Reason)
	}
	f.Depends[0].Open = true
	if d := Decide(at(time.Hour), f); d.Verdict != Hold || d.Guard != Dependent {
		t.Errorf("the child of an ill parent: %s/%q %s", d.Verdict, d.Guard, d.Reason)
	}
	f.Depends[0].Open = false
	if d := Decide(at(3*time.Second), f); d.Verdict != Act {
		t.Errorf("the child of a healthy parent: %s %s", d.Verdict, d.Reason)
	}
}
