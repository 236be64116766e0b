package care

import (
	"fmt"
	"time"

	"github.com/salveops/salve/pkg/clock"
	"github.com/salveops/salve/pkg/config"
	"github.com/salveops/salve/pkg/expr"
	"github.com/salveops/salve/pkg/healing"
	"github.com/salveops/salve/pkg/incident"
	"github.com/salveops/salve/pkg/remedy"
	"github.com/salveops/salve/pkg/rule"
	"github.com/salveops/salve/pkg/series"
)

// Trial watches one attempt: what was well before it, and whether it helped.
type Trial struct {
	probes []*series.Series // that were ok before the action
	course Course
	firing map[firingID]bool // alerts that fired when the action ended
	truth  Proof
	judge  *healing.Judge // nil: nothing is being judged
}

// firingID names an alert across reloads.
type firingID struct{ rule, service, instance string }

func idOf(a *rule.Alert) firingID { return firingID{a.Rule.Name, Service(a), a.Instance} }

// Proof is the condition of recovery, over samples from after the action.
type Proof func(now clock.Instant) expr.Truth

// Remember notes which probes of the service are well before the action; of no service (nil), none.
func (t *Trial) Remember(of *config.Service, store *series.Store) {
	if of == nil {
		return
	}
	for _, p := range of.Probes {
		s := store.Lookup(series.Key{Signal: "probe." + p.Name + ".ok", Of: of.Name})
		if s == nil {
			continue
		}
		if v, _, known := s.Last(); known && v == 1 {
			t.probes = append(t.probes, s)
		}
	}
}

// Course is how the attempt went, and what fired when its action ended.
type Course struct {
	Remedy   *config.Remedy
	Intended time.Duration // when the action began
	Afresh   time.Duration // since when, after its end, no probe rests on a question from before
	Gravest  string        // severity of the incident
	Firing   []*rule.Alert
}

// Begin begins to judge, by a condition that must hold for hold, and all that within the given time. What began to
// fire while the action ran is its own echo.
func (t *Trial) Begin(c Course, acted clock.Instant, ask Proof, within, hold time.Duration) {
	t.course, t.firing = c, make(map[firingID]bool)
	for _, a := range c.Firing {
		t.firing[idOf(a)] = true
	}
	t.truth, t.judge = ask, healing.NewJudge(acted, within, hold)
}

// Judging reports whether Step has something to say.
func (t *Trial) Judging() bool { return t.judge != nil }

// End ends the judging.
func (t *Trial) End() { t.judge = nil }

// ProofFor is the condition of recovery of an attempt for an alert, and the times that it is given.
func ProofFor(
	rules *rule.Engine, a *rule.Alert, rem *config.Remedy, acted time.Duration,
) (ask Proof, within, hold time.Duration) {
	v := rem.Verification(a.Rule)
	p := rules.Proof(a, v)
	return func(now clock.Instant) expr.Truth { return p.Eval(now, acted) }, v.Within, v.Hold
}

// Step looks at the patient now: at the alerts that fire in a fixed order, at the unit that the alert is about and at
// the one that was acted on; nil is none, or one of which nothing is known. When done is true the outcome stands.
func (t *Trial) Step(
	now clock.Instant, firing []*rule.Alert, unit, target *Life,
) (outcome incident.Outcome, done bool, reason string) {
	if t.course.Remedy.Kind.Gathers() {
		return incident.Ineffective, true, "it heals nothing and was not meant to: what it found is kept, and the next remedy has its turn"
	}
	sample := healing.Sample{Truth: t.truth(now), Worse: t.worse(now, firing, unit), Dead: t.dead(target)}
	return t.judge.Step(now, sample)
}

// worse says which signal of the service was good before and is bad now, or which graver alert came.
// While the unit starts nobody judges its probes.
func (t *Trial) worse(now clock.Instant, firing []*rule.Alert, unit *Life) string {
	for _, a := range firing {
		if !t.firing[idOf(a)] && incident.Graver(string(a.Rule.Severity), t.course.Gravest) {
			return fmt.Sprintf("%s began to fire for %s", a.Rule.Name, Subject(a))
		}
	}
	if unit != nil && now.Boot-unit.ActiveEnter < t.course.Remedy.Service.StartupTime() {
		return ""
	}
	for _, s := range t.probes {
		if v, at, known := s.Last(); known && v == 0 && at > t.course.Afresh {
			return fmt.Sprintf("%s was true and is false", s.Key().Signal)
		}
	}
	return ""
}

// dead says that what the action brought up is down again, so that nobody needs to wait for it.
func (t *Trial) dead(target *Life) string {
	switch t.course.Remedy.Kind {
	case remedy.Start, remedy.Restart, remedy.Reload:
	default:
		return ""
	}
	if target == nil || target.Active != "failed" || target.Changed < t.course.Intended {
		return ""
	}
	return fmt.Sprintf("%s failed again (%s)", target.Name, target.Result)
}
