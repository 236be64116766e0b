package heal

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"time"

	"github.com/salveops/salve/agent/internal/act"
	"github.com/salveops/salve/agent/internal/session"
	"github.com/salveops/salve/pkg/config"
	"github.com/salveops/salve/pkg/healing"
	"github.com/salveops/salve/pkg/incident"
	"github.com/salveops/salve/pkg/permit"
)

const (
	denyShortest = time.Second      // between two questions about one remedy
	denyLongest  = time.Minute      // whatever the controller says of when to ask again
	denyRecheck  = 30 * time.Second // of what has no time of its own
	slowCheck    = time.Second      // that takes a part of the time to begin that counts
)

// leave is what an attempt has of the controller before it begins.
type leave struct {
	ask   permit.Ask
	alone bool // nobody could be asked, and this host may act alone
}

// denial is the controller's no to one remedy of one alert.
type denial struct {
	text  string
	until time.Duration // CLOCK_BOOTTIME from when it may be asked again
	holds bool          // it may never be permitted
	firm  bool          // it stands whatever changes
}

// seek asks the controller whether the attempt may run; nil without an error: it needs nobody's leave. It waits,
// and runs in the attempt's goroutine.
func (e *Engine) seek(ctx context.Context, r *run, plan act.Plan) (*leave, error) {
	switch {
	case e.o.Controller != nil:
	case r.remedy.Permit != "":
		return nil, &session.Refusal{Code: session.Unreachable, Text: fmt.Sprintf("%s acts on %s, which hosts share, and there is no "+
			"controller to permit it", r.remedy.Name, r.remedy.Permit)}
	default:
		return nil, nil // what takes the whole host has been refused by its precheck
	}
	var needed, alone bool
	var l leave
	if err := e.call(ctx, func() {
		r.attempt.Target = plan.Target // of several, the one that was chosen
		if needed = plan.Disruptive || plan.Shared || r.remedy.Permit != "" || e.permitAlways(r); needed {
			e.yield(r)
			l.ask = e.askFor(r, plan)
			alone = e.mayActAlone(l.ask.Targets)
		}
	}); err != nil || !needed {
		return nil, err
	}
	e.o.Step("permit")
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-r.left:
			cancel()
		case <-ctx.Done():
		}
	}()
	err := e.o.Controller.Permits.Ask(ctx, l.ask)
	var no *session.Refusal
	if errors.As(err, &no) && no.Code == session.Unreachable {
		if l.alone = alone && no.RetryAfter == 0; l.alone {
			return &l, nil
		}
		if !alone {
			no.RetryAfter = 0 // time alone gives no leave
		}
	}
	return &l, err
}

// permitAlways reports whether nothing of the attempt's services runs without a permit.
func (e *Engine) permitAlways(r *run) bool {
	for _, t := range e.targets(r) {
		if s := e.cfg.Service(t.Service); s != nil && s.PermitAlways || e.fleet.order(t.Service).GetPermitAlways() {
			return true
		}
	}
	return false
}

// mayActAlone reports whether this host has the right to act while it is cut off: the controller made it the only
// host of every service that the attempt takes away, or somebody accepted that nothing is guaranteed.
func (e *Engine) mayActAlone(targets []permit.Target) bool {
	for _, t := range targets {
		o, s := e.fleet.order(t.Service), e.cfg.Service(t.Service)
		if t.Service == "" || !o.GetSole() && !o.GetAloneAct() && (s == nil || s.Alone != config.AloneAct) {
			return false
		}
	}
	return len(targets) > 0
}

// targets are all that the attempt may take away: its own service, those that it says it affects, and those of the
// units that it changes; for a remedy of the host, or one that takes all of it, every service of it.
func (e *Engine) targets(r *run) []permit.Target {
	var names []string
	if r.remedy.Service != nil && !r.remedy.Kind.OnHost() {
		names = append(names, r.remedy.Service.Name)
	} else {
		for _, s := range e.cfg.Services {
			names = append(names, s.Name)
		}
	}
	names = append(names, r.remedy.Affects...)
	if r.remedy.Among() == nil { // else the one that was chosen
		names = append(names, e.owners(r.attempt.Locks)...)
	}
	if r.remedy.Kind.OnUnit() {
		if s := e.keeper(r.attempt.Target); s != nil {
			names = append(names, s.Name)
		}
	}
	var out []permit.Target
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		out = append(out, permit.Target{Service: name, Host: e.o.Journal.Host()})
	}
	return out
}

// askFor is what the attempt asks for.
func (e *Engine) askFor(r *run, plan act.Plan) permit.Ask {
	a := permit.Ask{
		Attempt: r.attempt.ID, Incident: r.attempt.Incident, Service: r.remedy.Owner(), Rule: r.attempt.Rule,
		Remedy: r.remedy.Name, Digest: digest(r.remedy), Targets: e.targets(r), StartDead: !plan.Disruptive && r.dead,
		StartBy: r.startBy(), RunFor: e.runFor(r), WholeHost: r.remedy.Kind.OnHost(),
	}
	switch {
	case r.remedy.Permit != "":
		a.Targets = append(a.Targets, permit.Target{Resource: r.remedy.Permit})
	case plan.Shared: // hosts that call it the same mean the same
		a.Targets = append(a.Targets, permit.Target{Resource: fmt.Sprintf("%s:%s", plan.Kind, plan.Target)})
	}
	if r.remedy.Kind.OnUnit() {
		a.Unit = plan.Target
	}
	if r.attempt.By != incident.ByRule {
		a.By = r.attempt.By
	}
	a.Claims = e.claims(a.Targets)
	return a
}

// digest names a remedy by what it does: one that was changed is another one.
func digest(rem *config.Remedy) []byte {
	text, err := json.Marshal(rem.Args)
	if err != nil {
		panic("heal: arguments cannot be marshalled: " + err.Error()) // plain fields only
	}
	h := sha256.New()
	fmt.Fprintf(h, "%s\n%s\n", rem.Kind, text)
	return h.Sum(nil)
}

// startBy is how long after its question the action may begin; 0: no later than usual. Everything is checked once more before
// it, which may take twice as long as it did before.
func (r *run) startBy() time.Duration {
	if r.checking < slowCheck {
		return 0
	}
	return permit.StartBy + 2*r.checking
}

// runFor is how long the attempt may take from its question to its end; 0: no longer than usual.
func (e *Engine) runFor(r *run) time.Duration {
	within := r.remedy.Service.StartupTime()
	if r.patient != nil {
		within = r.remedy.Verification(r.patient.live.Rule).Within
	} else if v := r.remedy.Verify; v != nil {
		within = max(within, v.Within)
	}
	if need := max(permit.StartBy, r.startBy()) + r.remedy.Timeout + within + time.Minute; need > permit.RunFor {
		return need
	}
	return 0
}

// admitted makes the permit part of the plan: with the intent it goes to disk, and between that and the action
// everything is asked once more.
func (e *Engine) admitted(ctx context.Context, r *run, l *leave, plan act.Plan) (act.Plan, error) {
	var f permit.Facts
	if err := e.call(ctx, func() { f.Claims = e.claims(l.ask.Targets) }); err != nil {
		return plan, err
	}
	begin := func() (permit.Held, error) { return e.o.Controller.Permits.Begin(r.attempt.ID, f) }
	if l.alone {
		begin = func() (permit.Held, error) { return e.o.Controller.Permits.BeginAlone(l.ask, f) }
	}
	held, err := begin()
	if err != nil {
		return plan, err
	}
	plan.Permit = &held
	plan.Gate = func() error { return e.gate(ctx, r, l) }
	return plan, nil
}

// gate is the last question before the action: every guard, on the facts of this moment, and then the permit.
func (e *Engine) gate(ctx context.Context, r *run, l *leave) error {
	var d healing.Decision
	var f permit.Facts
	if err := e.call(ctx, func() {
		d, f.Claims = e.confirm(r), e.claims(l.ask.Targets)
		if l.alone && !e.mayActAlone(l.ask.Targets) {
			f.Stop = "the right to act alone was taken back"
		}
	}); err != nil {
		return err
	}
	if d.Verdict != healing.Act {
		return errNoLonger{d}
	}
	return e.o.Controller.Permits.Act(r.attempt.ID, f)
}

// deny remembers a no, for when the same remedy may be asked for again.
func (e *Engine) deny(r *run, no *session.Refusal) {
	p := r.patient
	p.turned = true
	if p.denied == nil {
		p.denied = make(map[string]denial)
	}
	// Who revokes a permit does not want the next one to be asked for at once.
	d := denial{text: no.Text, holds: no.RetryAfter <= 0, firm: no.Code == permit.Revoked}
	wait := denyRecheck
	if !d.holds {
		wait = min(max(no.RetryAfter, denyShortest), denyLongest)
	}
	d.until = e.o.Clock.Now().Boot + spread(wait, r.attempt.ID)
	p.denied[r.remedy.Name] = d
}

// spread makes a wait a little longer, by up to a fifth, so that many hosts do not ask at once.
func spread(wait time.Duration, seed string) time.Duration {
	h := fnv.New64a()
	h.Write([]byte(seed))
	return wait + time.Duration(float64(wait)*0.2*float64(h.Sum64()>>11)/(1<<53))
}

// refusalOf is the controller's no behind an attempt that did not begin, nil if it has another reason.
func refusalOf(err error) *session.Refusal {
	var no *session.Refusal
	var void *permit.Void
	switch {
	case errors.As(err, &no):
		return no
	case errors.As(err, &void):
		after := denyShortest
		if void.Code == permit.Revoked {
			after = denyLongest
		}
		return &session.Refusal{Code: void.Code, Text: void.Text, RetryAfter: after}
	}
	return nil
}

// settle tells the controller how an attempt ended that had its leave. What was verified serves, if the service
// does.
func (e *Engine) settle(r *run) {
	if e.fleet == nil {
		return
	}
	a := r.attempt
	how := session.Settlement(a)
	switch {
	case how == permit.Unused:
		e.fleet.Permits.Withdraw(a.ID, a.Reason)
		return
	case how == permit.Serving && a.Permit != nil && !e.serves(a.Permit.Targets):
		how = permit.Failed
	case how == "":
		how = permit.Unknown // it is over, and its record does not say how
	}
	e.fleet.Permits.Settle(a.ID, how, a.Reason)
}

// overruns ends attempts whose permit's time is up: the action comes to a safe end, and what was done is taken
// back. A host that has begun to go down has no such end before it is up again, and that it is late is the controller's
// to tell.
func (e *Engine) overruns() {
	if e.fleet == nil {
		return
	}
	for _, s := range e.openStories() {
		r := s.run
		if r == nil || r.remedy.Kind.OnHost() || !e.fleet.Permits.Overrun(r.attempt.ID) {
			continue
		}
		switch {
		case r.trial.Judging():
			e.sentence(r, verdict{incident.Ineffective, "the time of its permit was up before it was seen to help"})
		case r.cut != nil:
			e.halt(r, "the time of its permit is over")
			r.cut()
		}
	}
}

// clearDoubts says of attempts that nobody can tell about when nothing of them runs any more and the host serves.
func (e *Engine) clearDoubts() {
	if e.fleet == nil {
		return
	}
	for _, d := range e.fleet.Permits.Doubts() {
		a := e.past.ByID(d.Attempt)
		if e.serves(d.Targets) && e.still(d.Targets) && (a == nil || e.o.Act.Quiet(a)) {
			e.fleet.Permits.Clear(d.Token)
		}
	}
}

// still reports whether systemd has no job for any unit of the targets.
func (e *Engine) still(targets []permit.Target) bool {
	for _, t := range targets {
		s := e.cfg.Service(t.Service)
		if s == nil {
			continue
		}
		for _, name := range e.unitsOf(s) {
			if u, ok := e.o.Units.Unit(name); !ok || u.Job != 0 {
				return false
			}
		}
	}
	return true
}
