package heal

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/salveops/salve/agent/internal/act"
	"github.com/salveops/salve/agent/internal/act/kind"
	"github.com/salveops/salve/pkg/care"
	"github.com/salveops/salve/pkg/config"
	"github.com/salveops/salve/pkg/healing"
	"github.com/salveops/salve/pkg/incident"
	"github.com/salveops/salve/pkg/rule"
)

// run is one attempt from its decision to its end. Its goroutine does what takes time, the engine's
// goroutine owns the fields and judges.
//
//	prepare ─► permit ─► confirm ─► intent, gate, act ─► verify ─► journal outcome ─► undo if it did not help ─► finished
//	   └──────────┴─────────┴────────────┴─► refused                                     the permit is settled ◄──┘
type run struct {
	story   *story
	patient *patient // nil: asked for by a person without an alert
	remedy  *config.Remedy
	attempt *incident.Attempt // as far as the engine knows it
	request kind.Request
	dead    bool // the target has no main process: nothing delays its start

	checking time.Duration // how long it took to check whether it may run

	halt    chan struct{} // closed when it is to begin no further part
	halted  bool
	yielded bool               // it has no locks yet: the controller is asked, or was
	cut     context.CancelFunc // ends the action at its next safe end; nil while none runs

	trial  care.Trial    // judges from Acted on
	judged chan verdict  // what the engine's judge says; one value
	left   chan struct{} // closed when the agent stops: the result is on disk, the judging is for the next start
	ended  chan struct{} // closed when the run is over
}

type verdict struct {
	outcome incident.Outcome
	reason  string
}

// errNoLonger says that the facts changed between the decision and the act: what is decided now.
type errNoLonger struct{ healing.Decision }

func (e errNoLonger) Error() string { return e.Reason }

// begin starts an attempt that was decided. The engine's goroutine calls it.
func (e *Engine) begin(ctx context.Context, s *story, p *patient, rem *config.Remedy, d healing.Decision) {
	e.start(ctx, e.prepareRun(s, p, rem, d, incident.ByRule))
}

// prepareRun makes the record of an attempt that is about to start.
func (e *Engine) prepareRun(s *story, p *patient, rem *config.Remedy, d healing.Decision, by string) *run {
	r := &run{
		story: s, patient: p, remedy: rem, judged: make(chan verdict, 1), halt: make(chan struct{}),
		left: make(chan struct{}), ended: make(chan struct{}),
	}
	r.attempt = &incident.Attempt{
		ID: e.number(s), Incident: s.ID, Remedy: rem.Name, Kind: string(rem.Kind),
		Service: s.Service, Affects: rem.Affects, By: by, Phase: incident.Intended, Intended: e.stamp(),
	}
	r.request = kind.Request{Remedy: rem, ResetFailed: d.ResetFailed, ByPerson: by != incident.ByRule}
	if p != nil {
		r.attempt.Rule, r.attempt.Instance, r.attempt.Fired = p.live.Rule.Name, p.live.Instance, p.fired
		r.request.Unit = unitOf(p.live)
		if read := p.live.When.Readings(e.o.Clock.Now()); len(read) > 0 && read[0].Known {
			r.request.Value = &read[0].Value
		}
	}
	r.attempt.Target = rem.Target(r.request.Unit)
	return r
}

// number is the ID of the incident's next attempt. None is ever given twice.
func (e *Engine) number(s *story) string {
	for s.begun = max(s.begun, len(s.Attempts)) + 1; ; s.begun++ {
		if id := fmt.Sprintf("%s-%d", s.ID, s.begun); e.past.ByID(id) == nil {
			return id
		}
	}
}

// start lets the attempt begin.
func (e *Engine) start(ctx context.Context, r *run) {
	s := r.story
	if u, ok := e.o.Units.Unit(r.attempt.Target); ok {
		r.dead = u.MainPID == 0 && u.Down()
	}
	r.request.Attempt = *r.attempt
	r.attempt.Locks = r.remedy.Locks(r.request.Unit)
	s.Attempts = append(s.Attempts, r.attempt.ID)
	s.run = r
	e.past.Put(r.attempt)
	if err := s.Heal(); err != nil {
		e.log.Error("cannot mark incident as healing", "id", s.ID, "error", err)
	}
	e.work.Add(1)
	go func() {
		defer e.work.Done()
		e.attempt(ctx, r)
	}()
}

// attempt runs in a goroutine of its own.
func (e *Engine) attempt(ctx context.Context, r *run) {
	done, err := e.act(ctx, r)
	if err != nil {
		e.post(func() { e.refuse(r, err) })
		e.unbegun(r.request.Attempt.ID, err)
		return
	}
	if done.Phase == incident.Intended {
		return // it ends this process: the next one goes on
	}
	e.post(func() { e.acted(r, done) })
	e.conclude(ctx, r, done)
}

// act checks, waits for what the action would destroy to be recorded, checks again, and acts.
func (e *Engine) act(ctx context.Context, r *run) (*incident.Attempt, error) {
	e.o.Step("prepare")
	began := e.o.Clock.Now()
	plan, err := e.o.Act.Prepare(ctx, r.request)
	if err != nil {
		return nil, err
	}
	r.checking = e.o.Clock.Now().Sub(began)
	if !r.dead {
		r.story.evidence.await(ctx)
	}
	l, err := e.seek(ctx, r, plan)
	if err != nil {
		return nil, err
	}
	ctx, cut := context.WithCancel(ctx)
	defer cut()
	var again healing.Decision
	if err := e.call(ctx, func() {
		if again = e.confirm(r); again.Verdict == healing.Act {
			e.lock(r)
			if r.cut = cut; l == nil {
				e.intend(r, plan, l)
			}
		}
	}); err != nil {
		return nil, err
	}
	if again.Verdict != healing.Act {
		return nil, errNoLonger{again}
	}
	if l != nil {
		if plan, err = e.admitted(ctx, r, l, plan); err != nil {
			return nil, err
		}
		if err := e.call(ctx, func() { e.intend(r, plan, l) }); err != nil {
			return nil, err
		}
	}
	plan.Halt = r.halt
	e.o.Step("act")
	done, err := e.o.Act.Run(ctx, plan)
	if err != nil {
		return nil, err
	}
	return &done, nil
}

// intend notes that the attempt is about to begin, whose leave it has, and what is well before it.
func (e *Engine) intend(r *run, plan act.Plan, l *leave) {
	r.trial.Remember(r.remedy.Service, e.store)
	fields := map[string]string{"attempt": r.attempt.ID, "disruptive": strconv.FormatBool(plan.Disruptive)}
	switch {
	case l == nil:
	case l.alone:
		e.note(r.story, incident.EvPermit, fmt.Sprintf(
			"%s runs without being permitted: the controller cannot be reached, and this host may act alone", r.remedy.Name), fields)
	default:
		e.noteHere(r.story, incident.EvPermit, fmt.Sprintf("the controller permits %s", r.remedy.Name), fields)
	}
	e.note(r.story, incident.EvIntent, fmt.Sprintf("%s begins: %s", r.remedy.Name, plan.Text), fields)
}

// conclude waits for the verdict, writes it down, and takes back what did not help.
func (e *Engine) conclude(ctx context.Context, r *run, a *incident.Attempt) {
	var v verdict
	select {
	case v = <-r.judged:
	case <-r.left:
		return
	}
	e.o.Step("judge")
	a.Outcome, a.Reason, a.Judged = v.outcome, v.reason, e.stamp()
	if a.Phase != incident.Unknown || v.outcome == incident.Verified {
		a.Phase = incident.Judged // what may have run stays unknown unless it was seen to help
	}
	if len(a.Undo) > 0 && (v.outcome == incident.Ineffective || v.outcome == incident.Worse) {
		a.Phase = incident.Undoing
	}
	judged := *a
	e.end(&judged)
	e.post(func() { e.outcome(r, judged) })
	if judged.Phase == incident.Undoing { // for that, or because its time is over
		e.undo(ctx, r, judged)
		return
	}
	e.post(func() { e.finish(r) })
}

// refuse ends an attempt that did not begin. Nothing of it is kept.
func (e *Engine) refuse(r *run, err error) {
	var refusal *kind.Refusal
	var changed errNoLonger
	a := *r.attempt
	a.Phase, a.Reason = incident.Refused, err.Error()
	r.attempt = &a
	e.past.Drop(a.ID)
	if !errors.As(err, &changed) { // else the decision of now has said whether it waits
		e.leave(r)
	}
	r.story.Attempts = slices.DeleteFunc(r.story.Attempts, func(id string) bool { return id == a.ID })
	if no := refusalOf(err); no != nil && r.patient != nil { // the decision that follows says so
		e.deny(r, no)
		e.finish(r)
		return
	}
	why, said := a.Reason, false
	switch {
	case errors.As(err, &changed), refusalOf(err) != nil, errors.Is(err, context.Canceled):
	case errors.As(err, &refusal) && r.patient != nil:
		why, said = r.patient.refuse(r.remedy.Name, refusal, e.o.Clock.Now().Boot)
	case errors.As(err, &refusal):
	default: // no intent on disk, or systemd unreachable: nothing ran, and nothing says that it must not
		e.log.Error("attempt could not begin", "attempt", a.ID, "error", err)
	}
	text := fmt.Sprintf("%s does not run: %s", r.remedy.Name, why)
	if p := r.patient; p == nil || p.unable != text && !said {
		e.note(r.story, incident.EvDecide, text, map[string]string{"remedy": r.remedy.Name, "attempt": a.ID})
	}
	if r.patient != nil {
		e.putOff(r, text)
	}
	e.finish(r)
}

// putOff lets the alert of a refused attempt be decided about again later, and tells people when that
// has gone on for too long: a decision that is always to act would never hand over.
func (e *Engine) putOff(r *run, why string) {
	p := r.patient
	p.unable, p.due = why, e.o.Clock.Now().Boot+p.retry()
	e.wakeAt(p.due)
	s := r.story
	if fires := p.fired.Age(e.stamp()); s.Escalate.Since.IsZero() && s.AckBy == "" && fires >= p.live.Rule.Escalate.After {
		e.handOver(s, fmt.Sprintf("%s still fires after %s: %s", p.live.Rule.Name, fires.Round(time.Second), why))
	}
}

// acted takes over the result of the action and begins to verify it.
func (e *Engine) acted(r *run, done *incident.Attempt) {
	a := *done
	r.cut = nil
	if r.patient != nil {
		delete(r.patient.doubts, r.remedy.Name)
	}
	e.past.Put(&a)
	r.attempt = &a
	text := fmt.Sprintf("%s on %s took %s", r.remedy.Name, a.Target, a.Intended.Age(a.Acted).Round(100*time.Microsecond))
	if a.Error != "" {
		text = fmt.Sprintf("%s on %s failed: %s", r.remedy.Name, a.Target, a.Error)
	} else if r.remedy.Kind.Gathers() { // what was found is all that there is to tell, also to those who cannot ask this host
		text += "; kept " + string(a.After)
	}
	e.note(r.story, incident.EvAct, text, map[string]string{"attempt": a.ID, "remedy": r.remedy.Name,
		"kind": a.Kind, "target": a.Target, "by": a.By})
	e.verify(r)
}

// outcome records what the judge said.
func (e *Engine) outcome(r *run, a incident.Attempt) {
	e.past.Put(&a)
	e.watchEnd(&a)
	r.attempt = &a
	e.stats.attempt(a)
	e.noteWith(r.story, incident.EvVerify, fmt.Sprintf("%s: %s: %s", r.remedy.Name, a.Outcome, a.Reason),
		map[string]string{"attempt": a.ID, "outcome": string(a.Outcome)}, tellOutcome(&a))
}

// finish frees the incident for the next decision. Alerts whose recovery was just proved end now, so
// that the next fault fires anew.
func (e *Engine) finish(r *run) {
	r.story.run, r.cut = nil, nil
	r.story.goOn()
	close(r.ended)
	e.settle(r)
	e.tellEnds(r.story, r.attempt.Outcome == incident.Verified)
	switch a := e.residue(r.story); {
	case a != nil && a.Phase == incident.Unknown:
		e.handOver(r.story, leftBehind(a))
	case r.attempt.Outcome == incident.Inconclusive && len(r.story.patients) > 0:
		e.handOver(r.story, care.Inconclusive(r.attempt))
	}
	e.save(r.story)
	if r.attempt.Outcome == incident.Verified {
		now := e.o.Clock.Now()
		for _, p := range r.story.ordered() {
			e.rules.Settle(p.live, now, func(ev rule.Event) { e.discharge(ev, true) })
		}
	}
	for _, p := range r.story.patients {
		if r.attempt.Phase != incident.Refused {
			p.said, p.unable, p.noLeave, p.turned, p.wait = "", "", "", false, 0
		}
		if p.due == 0 {
			p.due = e.o.Clock.Now().Boot
		}
	}
	e.wakeAt(e.o.Clock.Now().Boot)
	e.nextTurn()
	for _, name := range r.attempt.Affects {
		e.unmute(name)
	}
	if r.story.ending && r.story.State != incident.Resolved {
		e.endBy(r.story)
		return
	}
	e.closeIfQuiet(r.story)
}
