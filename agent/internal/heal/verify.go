package heal

import (
	"fmt"
	"time"

	"github.com/salveops/salve/pkg/clock"
	"github.com/salveops/salve/pkg/config"
	"github.com/salveops/salve/pkg/defaults"
	"github.com/salveops/salve/pkg/expr"
	"github.com/salveops/salve/pkg/healing"
	"github.com/salveops/salve/pkg/incident"
	"github.com/salveops/salve/pkg/remedy"
	"github.com/salveops/salve/pkg/rule"
	"github.com/salveops/salve/pkg/series"
)

// healthBefore is what was well before, so that what turns bad is noticed.
type healthBefore struct {
	probes  []*series.Series   // that were ok before the action
	gravest string             // severity of the incident when the action ended
	firing  map[patientID]bool // alerts that fired then
}

// verify begins to judge an attempt whose action ended.
func (e *Engine) verify(r *run) {
	a := r.attempt
	acted := clock.Instant{Boot: a.Acted.Boot, Wall: a.Acted.Wall}
	if a.Acted.BootID != e.o.Clock.BootID() || acted.Boot < e.started.Boot {
		acted = e.o.Clock.Now() // resumed: what an earlier process saw is lost, and it gets the time to see it again
	}
	// What began to fire while the action ran is its own echo.
	r.before.gravest, r.before.firing = r.story.Severity, make(map[patientID]bool)
	for id := range r.story.patients {
		r.before.firing[id] = true
	}
	ask, within, hold := e.proof(r, acted)
	r.truth, r.judge = ask, healing.NewJudge(acted, within, hold)
	if a.Error != "" && !r.uncertain() {
		e.sentence(r, verdict{incident.Ineffective, "the action itself failed: " + a.Error})
		return
	}
	e.stepRun(r, e.o.Clock.Now())
}

// uncertain reports whether the action may have worked although it reported an error.
func (r *run) uncertain() bool { return r.attempt.Phase == incident.Unknown }

// startupOf is how long a unit of the service takes to start; of no service, the default.
func startupOf(s *config.Service) time.Duration {
	if s == nil {
		return defaults.Startup
	}
	return s.Startup
}

// proof is the condition of recovery over samples from after the action, and the times that it is given.
func (e *Engine) proof(r *run, acted clock.Instant) (ask func(clock.Instant) expr.Truth, within, hold time.Duration) {
	if r.patient != nil {
		v := r.remedy.Verification(r.patient.live.Rule)
		p := e.rules.Proof(r.patient.live, v)
		return func(now clock.Instant) expr.Truth { return p.Eval(now, acted.Boot) }, v.Within, v.Hold
	}
	hold, within = defaults.VerifyHold, startupOf(r.remedy.Service)+defaults.VerifyHold
	if v := r.remedy.Verify; v != nil {
		hold, within = v.Hold, max(v.Within, within)
		if v.When != nil {
			b := e.rules.Bind(rule.Subject{Service: r.remedy.Service, Unit: r.request.Unit}, v.When).Freeze(acted)
			return func(now clock.Instant) expr.Truth { return b.EvalSince(now, acted.Boot) }, within, hold
		}
	}
	return e.isUp(r.request.Unit, acted), max(within, defaults.VerifyWithin), hold
}

// isUp is what a remedy is judged by that a person asked for and that has no condition of its own: the
// unit is up, by samples from afterwards.
func (e *Engine) isUp(unit string, acted clock.Instant) func(clock.Instant) expr.Truth {
	u := e.units[unit]
	return func(clock.Instant) expr.Truth {
		if u == nil || !u.active.Evident(acted.Boot) {
			return expr.Unknown
		}
		if v, _, known := u.active.Last(); known {
			return expr.Of(v == 1)
		}
		return expr.Unknown
	}
}

// remember notes which probes are well before the action.
func (e *Engine) remember(r *run) {
	if r.remedy.Service == nil {
		return
	}
	for _, p := range r.remedy.Service.Probes {
		s := e.store.Lookup(series.Key{Signal: "probe." + p.Name + ".ok", Of: r.remedy.Service.Name})
		if s == nil {
			continue
		}
		if v, _, known := s.Last(); known && v == 1 {
			r.before.probes = append(r.before.probes, s)
		}
	}
}

// step feeds every judge with what is known now.
func (e *Engine) step(now clock.Instant) {
	for _, s := range e.stories {
		if s.run != nil && s.run.judge != nil {
			e.stepRun(s.run, now)
		}
	}
}

func (e *Engine) stepRun(r *run, now clock.Instant) {
	sample := healing.Sample{Truth: r.truth(now), Worse: e.worse(r, now), Dead: e.dead(r)}
	if outcome, done, reason := r.judge.Step(now, sample); done {
		e.sentence(r, verdict{outcome, reason})
	}
}

// sentence ends the judging.
func (e *Engine) sentence(r *run, v verdict) {
	r.judge = nil
	r.judged <- v
}

// worse says which signal of the service was good before and is bad now, or which graver alert came.
// While the unit starts nobody judges its probes.
func (e *Engine) worse(r *run, now clock.Instant) string {
	for _, p := range r.story.ordered() {
		if !r.before.firing[idOf(p.live)] && incident.Graver(string(p.live.Rule.Severity), r.before.gravest) {
			return fmt.Sprintf("%s began to fire for %s", p.live.Rule.Name, subject(p.live))
		}
	}
	if u, ok := e.o.Units.Unit(r.request.Unit); ok && now.Boot-u.ActiveEnter < startupOf(r.remedy.Service) {
		return ""
	}
	for _, s := range r.before.probes {
		if v, at, known := s.Last(); known && v == 0 && at > r.attempt.Acted.Boot {
			return fmt.Sprintf("%s was true and is false", s.Key().Signal)
		}
	}
	return ""
}

// dead says that what the action brought up is down again, so that nobody needs to wait for it.
func (e *Engine) dead(r *run) string {
	switch r.remedy.Kind {
	case remedy.Start, remedy.Restart, remedy.Reload:
	default:
		return ""
	}
	u, ok := e.o.Units.Unit(r.attempt.Target)
	if !ok || u.Active != "failed" || u.Changed < r.attempt.Intended.Boot {
		return ""
	}
	return fmt.Sprintf("%s failed again (%s)", u.Name, u.Result)
}
