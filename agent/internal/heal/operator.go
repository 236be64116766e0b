package heal

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/salveops/salve/agent/internal/act/kind"
	"github.com/salveops/salve/agent/internal/local"
	"github.com/salveops/salve/pkg/config"
	"github.com/salveops/salve/pkg/healing"
	"github.com/salveops/salve/pkg/incident"
)

// remindEvery is how often a pause without an end says that it still holds.
const remindEvery = 24 * time.Hour

// Pause starts a pause. It is on disk before this returns: a pause must survive everything.
func (e *Engine) Pause(
	ctx context.Context, scope string, d time.Duration, reason, by string,
) (incident.Pause, error) {
	if err := e.pausable(ctx, scope); err != nil {
		return incident.Pause{}, err
	}
	var id [4]byte
	if _, err := rand.Read(id[:]); err != nil {
		return incident.Pause{}, err
	}
	p := incident.Pause{ID: hex.EncodeToString(id[:]), Scope: scope, By: by, Reason: reason, From: e.stamp(), For: d}
	if d == 0 {
		p.Reminds = p.From
	}
	if err := e.o.Journal.PutPause(&p); err != nil {
		return incident.Pause{}, fmt.Errorf("journal pause: %w", err)
	}
	err := e.call(context.WithoutCancel(ctx), func() { // it is on disk: who asked may be gone, the pause holds
		e.pauses = append(e.pauses, p)
		e.halts()
		e.announce(fmt.Sprintf("%s paused %s%s: %s", by, scope, forText(d), reason), "")
	})
	return p, err
}

// pausable refuses a scope that means nothing here: a typing error must not look like safety.
func (e *Engine) pausable(ctx context.Context, scope string) error {
	kind, name, _ := strings.Cut(scope, ":")
	found := scope == "all"
	if err := e.call(ctx, func() {
		for _, s := range e.cfg.Services {
			found = found || kind == "service" && s.Name == name || kind == "unit" && s.Covers(name)
		}
		for _, r := range e.cfg.Rules {
			found = found || kind == "unit" && r.Unit == name
		}
	}); err != nil {
		return err
	}
	if !found {
		return fmt.Errorf("%s %q %w in the configuration", kind, name, local.ErrNotFound)
	}
	return nil
}

func forText(d time.Duration) string {
	if d == 0 {
		return " until resumed"
	}
	return " for " + d.String()
}

// announce tells those who watch what belongs to no incident.
func (e *Engine) announce(text, service string) {
	e.log.Info("person", "text", text)
	ev := incident.Event{At: e.stamp(), Type: incident.EvPerson, Text: text}
	e.watchers.publish(local.Event{Event: ev, Service: service})
}

// Resume ends the pause of that ID, or all of that scope.
func (e *Engine) Resume(ctx context.Context, what, by string) ([]incident.Pause, error) {
	var ended []incident.Pause
	if err := e.call(ctx, func() {
		for _, p := range e.pauses {
			if p.ID == what || p.Scope == what {
				ended = append(ended, p)
			}
		}
	}); err != nil {
		return nil, err
	}
	if len(ended) == 0 {
		return nil, fmt.Errorf("pause %q %w", what, local.ErrNotFound)
	}
	for _, p := range ended {
		if err := e.o.Journal.DeletePause(p.ID); err != nil {
			return nil, fmt.Errorf("journal end of pause: %w", err)
		}
	}
	err := e.call(context.WithoutCancel(ctx), func() {
		for _, gone := range ended {
			e.endPause(gone.ID)
			e.announce(fmt.Sprintf("%s resumed %s", by, gone.Scope), "")
		}
	})
	return ended, err
}

// endPause drops a pause and decides anew about everything.
func (e *Engine) endPause(id string) {
	e.pauses = slices.DeleteFunc(e.pauses, func(p incident.Pause) bool { return p.ID == id })
	e.rethink()
}

// remind says daily that a pause without an end still holds, and drops those that are over.
func (e *Engine) remind() {
	now := e.stamp()
	for _, p := range slices.Clone(e.pauses) {
		switch _, holds := healing.PauseLeft(&p, now); {
		case !holds:
			e.announce(fmt.Sprintf("the pause of %s by %s is over", p.Scope, p.By), "")
			e.endPause(p.ID)
			go e.forgetPause(p.ID)
		case p.For == 0 && p.Reminds.Age(now) >= remindEvery:
			e.announce(fmt.Sprintf("%s is still paused by %s since %s: %s; salve agent resume %s ends it", p.Scope, p.By,
				p.From.Wall.Format(time.RFC3339), p.Reason, p.ID), "")
			i := slices.IndexFunc(e.pauses, func(q incident.Pause) bool { return q.ID == p.ID })
			e.pauses[i].Reminds = now
		}
	}
}

func (e *Engine) forgetPause(id string) {
	if err := e.o.Journal.DeletePause(id); err != nil {
		e.log.Warn("cannot journal the end of a pause; it ends again at the next start", "pause", id, "error", err)
	}
}

// Acknowledge says that a person has the incident.
func (e *Engine) Acknowledge(ctx context.Context, id string, keep bool, comment, by string) (local.Story, error) {
	return e.change(ctx, id, func(s *story) error {
		if err := s.Acknowledge(by, keep); err != nil {
			return err
		}
		text := by + " acknowledged the incident: no new remedy runs until it is released"
		if keep {
			text = by + " acknowledged the incident; remedies go on"
		}
		if comment != "" {
			text += ": " + comment
		}
		e.note(s, incident.EvPerson, text, map[string]string{"by": by})
		e.closeIfQuiet(s)
		return nil
	})
}

// Release hands an acknowledged incident back.
func (e *Engine) Release(ctx context.Context, id, by string) (local.Story, error) {
	return e.change(ctx, id, func(s *story) error {
		if err := s.heldElsewhere(); err != nil {
			return err
		}
		if err := s.Release(e.stamp(), by); err != nil {
			return err
		}
		e.note(s, incident.EvPerson, by+" handed the incident back to Salve", map[string]string{"by": by})
		for _, p := range s.patients {
			p.due, p.said = e.o.Clock.Now().Boot, ""
			p.forgive()
		}
		e.wakeAt(e.o.Clock.Now().Boot)
		e.closeIfQuiet(s)
		return nil
	})
}

// change does something with an open incident in the engine's goroutine.
func (e *Engine) change(ctx context.Context, id string, f func(*story) error) (local.Story, error) {
	found, err := e.Incident(ctx, id)
	if err != nil {
		return local.Story{}, err
	}
	var failed error
	if err := e.call(ctx, func() {
		s := e.stories[found.ID]
		if s == nil {
			failed = fmt.Errorf("%w: %w", local.ErrRefused, incident.ErrEnded)
			return
		}
		if failed = f(s); failed != nil {
			failed = fmt.Errorf("%w: %w", local.ErrRefused, failed)
		}
		e.halts()
	}); err != nil {
		return local.Story{}, err
	}
	if failed != nil {
		return local.Story{}, failed
	}
	return e.Incident(ctx, found.ID)
}

// RunByHand runs a remedy, through all guards that bind a person.
func (e *Engine) RunByHand(
	ctx context.Context, req local.RunRequest, send func(local.Event) error,
) (local.RunResult, error) {
	rem, unit, err := e.findRemedy(ctx, req)
	if err != nil {
		return local.RunResult{}, err
	}
	if req.DryRun {
		return e.dryRun(ctx, rem, unit)
	}
	var r *run
	var d healing.Decision
	var events chan local.Event
	if err := e.call(ctx, func() {
		d = e.asked(rem, unit)
		if d.Verdict == healing.Act {
			_, events = e.watchers.subscribe(0)
			r = e.beginByHand(ctx, rem, unit, d, req.By)
		}
	}); err != nil {
		return local.RunResult{}, err
	}
	if r == nil {
		return local.RunResult{Verdict: "refused", Reason: d.Reason}, nil
	}
	defer e.post(func() { e.watchers.unsubscribe(events) })
	return e.follow(ctx, r, events, send)
}

// asked decides whether a remedy may run now because a person wants it.
func (e *Engine) asked(rem *config.Remedy, unit string) healing.Decision {
	s := e.services[rem.Owner()]
	d := healing.Request(e.stamp(), e.requestFacts(rem, unit, s, ""), rem.Name)
	switch {
	case e.stopping:
		d = healing.Decision{Verdict: healing.Hold, Guard: healing.Shutdown, Reason: ErrStopped.Error()}
	case d.Verdict == healing.Act && s != nil && s.run != nil: // an attempt is over but for its last words
		d = healing.Decision{Verdict: healing.Hold, Guard: healing.Busy,
			Reason: fmt.Sprintf("%s has not ended on %s", s.run.remedy.Name, s.run.attempt.Target)}
	}
	return d
}

// beginByHand joins the service's open incident, or opens one for the run.
func (e *Engine) beginByHand(ctx context.Context, rem *config.Remedy, unit string, d healing.Decision, by string) *run {
	s := e.services[rem.Owner()]
	if s == nil {
		s = e.unbidden(e.newID(), rem.Owner(), config.Info, fmt.Sprintf("%s ran %s by hand", by, rem.Name))
	}
	e.collect(context.WithoutCancel(ctx), s, unit)
	e.note(s, incident.EvPerson, fmt.Sprintf("%s asked for %s on %s", by, rem.Name, rem.Target(unit)),
		map[string]string{"by": by, "remedy": rem.Name})
	r := e.prepareRun(s, nil, rem, d, by)
	r.request.Unit, r.attempt.Instance, r.attempt.Target = unit, unit, rem.Target(unit)
	e.start(context.WithoutCancel(ctx), r)
	return r
}

// follow streams the incident's events until the run has ended.
func (e *Engine) follow(
	ctx context.Context, r *run, events chan local.Event, send func(local.Event) error,
) (local.RunResult, error) {
	id := r.story.ID
	for {
		select {
		case <-ctx.Done():
			return local.RunResult{}, fmt.Errorf("no longer following; the run goes on: %w", ctx.Err())
		case <-e.done:
			return local.RunResult{}, fmt.Errorf("the run ends when the agent is back: %w", ErrStopped)
		case ev, open := <-events:
			if !open {
				return local.RunResult{}, errSlow
			}
			if ev.Incident != id {
				continue
			}
			if err := send(ev); err != nil {
				return local.RunResult{}, err
			}
		case <-r.ended:
			for len(events) > 0 {
				if ev := <-events; ev.Incident == id {
					if err := send(ev); err != nil {
						return local.RunResult{}, err
					}
				}
			}
			return e.result(ctx, r)
		}
	}
}

func (e *Engine) result(ctx context.Context, r *run) (local.RunResult, error) {
	var a incident.Attempt
	if err := e.call(ctx, func() { a = *r.attempt }); err != nil {
		return local.RunResult{}, err
	}
	out := local.RunResult{Attempt: a.ID, Incident: a.Incident, Verdict: string(a.Outcome), Reason: a.Reason}
	if a.Phase == incident.Refused {
		out.Attempt, out.Verdict = "", "refused"
	}
	return out, nil
}

// dryRun does everything up to the intent, and nothing after.
func (e *Engine) dryRun(ctx context.Context, rem *config.Remedy, unit string) (local.RunResult, error) {
	var d healing.Decision
	if err := e.call(ctx, func() {
		d = e.asked(rem, unit)
	}); err != nil {
		return local.RunResult{}, err
	}
	if d.Verdict != healing.Act {
		return local.RunResult{Verdict: "refused", Reason: d.Reason}, nil
	}
	plan, err := e.o.Act.Prepare(ctx, kind.Request{Remedy: rem, Unit: unit, ByPerson: true, ResetFailed: d.ResetFailed})
	var refusal *kind.Refusal
	if errors.As(err, &refusal) {
		return local.RunResult{Verdict: "refused", Reason: refusal.Reason}, nil
	}
	if err != nil {
		return local.RunResult{}, err
	}
	return local.RunResult{Verdict: "would_run", Reason: strings.Join(append([]string{plan.Text}, plan.Detail...), "\n")}, nil
}

// findRemedy resolves NAME or SERVICE/NAME, and the unit that it is to be run for.
func (e *Engine) findRemedy(ctx context.Context, req local.RunRequest) (*config.Remedy, string, error) {
	service, name, qualified := strings.Cut(req.Remedy, "/")
	if !qualified {
		service, name = "", req.Remedy
	}
	var found []*config.Remedy
	if err := e.call(ctx, func() {
		for _, s := range e.cfg.Services {
			for _, r := range s.Remedies {
				if r.Name == name && (service == "" || s.Name == service) {
					found = append(found, r)
				}
			}
		}
		for _, r := range e.cfg.Remedies {
			if r.Name == name && service == "" {
				found = append(found, r)
			}
		}
	}); err != nil {
		return nil, "", err
	}
	switch len(found) {
	case 0:
		return nil, "", fmt.Errorf("remedy %q %w; salve agent doctor lists them", req.Remedy, local.ErrNotFound)
	case 1:
	default:
		return nil, "", fmt.Errorf("remedy %q %w: %d services have one; write SERVICE/%s", req.Remedy, local.ErrInvalid,
			len(found), name)
	}
	unit, err := e.instanceOf(found[0], req.Instance)
	return found[0], unit, err
}

// instanceOf is the unit that a remedy is run for.
func (e *Engine) instanceOf(rem *config.Remedy, wanted string) (string, error) {
	if rem.Service == nil {
		return wanted, nil
	}
	units := e.unitsOf(rem.Service)
	switch {
	case wanted != "" && slices.Contains(units, wanted):
		return wanted, nil
	case wanted != "":
		return "", fmt.Errorf("unit %q %w among those of %s", wanted, local.ErrNotFound, rem.Owner())
	case len(units) == 1:
		return units[0], nil
	case len(units) == 0:
		return "", fmt.Errorf("unit %s of service %s %w", rem.Service.Unit, rem.Owner(), local.ErrNotFound)
	}
	return "", fmt.Errorf("remedy %s %w without a unit: it could be %s", rem.Name, local.ErrInvalid,
		strings.Join(units, ", "))
}
