package heal

import (
	"time"

	"github.com/salveops/salve/pkg/care"
	"github.com/salveops/salve/pkg/clock"
	"github.com/salveops/salve/pkg/defaults"
	"github.com/salveops/salve/pkg/expr"
	"github.com/salveops/salve/pkg/incident"
	"github.com/salveops/salve/pkg/rule"
)

// verify begins to judge an attempt whose action ended.
func (e *Engine) verify(r *run) {
	a := r.attempt
	acted := clock.Instant{Boot: a.Acted.Boot, Wall: a.Acted.Wall}
	if a.Acted.BootID != e.o.Clock.BootID() || acted.Boot < e.started.Boot {
		acted = e.o.Clock.Now() // resumed: what an earlier process saw is lost, and it gets the time to see it again
	}
	ask, within, hold := e.proof(r, acted)
	if of := r.remedy.Service; of != nil {
		e.o.Observe.Afresh(of.Name)
	}
	r.trial.Begin(care.Course{Remedy: r.remedy, Intended: a.Intended.Boot, Afresh: e.o.Clock.Now().Boot,
		Gravest: r.story.Severity, Firing: r.story.firing()}, acted, ask, within, hold)
	if a.Error != "" && !r.uncertain() {
		e.sentence(r, verdict{incident.Ineffective, care.ActionFailed(a.Error)})
		return
	}
	e.stepRun(r, e.o.Clock.Now())
}

// uncertain reports whether the action may have worked although it reported an error.
func (r *run) uncertain() bool { return r.attempt.Phase == incident.Unknown }

// proof is the condition of recovery over samples from after the action, and the times that it is given.
func (e *Engine) proof(r *run, acted clock.Instant) (ask care.Proof, within, hold time.Duration) {
	if r.patient != nil {
		return care.ProofFor(e.rules, r.patient.live, r.remedy, acted.Boot)
	}
	hold, within = defaults.VerifyHold, r.remedy.Service.StartupTime()+defaults.VerifyHold
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
func (e *Engine) isUp(unit string, acted clock.Instant) care.Proof {
	u := e.units[unit]
	return func(clock.Instant) expr.Truth {
		if u == nil || !u.Active.Evident(acted.Boot) {
			return expr.Unknown
		}
		if v, _, known := u.Active.Last(); known {
			return expr.Of(v == 1)
		}
		return expr.Unknown
	}
}

// step feeds every judge with what is known now.
func (e *Engine) step(now clock.Instant) {
	for _, s := range e.stories {
		if s.run != nil && s.run.trial.Judging() {
			e.stepRun(s.run, now)
		}
	}
}

func (e *Engine) stepRun(r *run, now clock.Instant) {
	outcome, done, reason := r.trial.Step(now, r.story.firing(), e.life(r.request.Unit), e.life(r.attempt.Target))
	if done {
		e.sentence(r, verdict{outcome, reason})
	}
}

// sentence ends the judging.
func (e *Engine) sentence(r *run, v verdict) {
	r.trial.End()
	r.judged <- v
}
