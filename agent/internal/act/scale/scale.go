// Package scale is the kind of remedy that starts more instances of a template, or stops some.
package scale

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/salveops/salve/agent/internal/act/backend"
	"github.com/salveops/salve/agent/internal/act/kind"
	"github.com/salveops/salve/agent/internal/act/unit"
	"github.com/salveops/salve/pkg/config"
	"github.com/salveops/salve/pkg/incident"
	"github.com/salveops/salve/pkg/remedy"
)

// Kind starts and stops instances. Make it with New.
type Kind struct {
	*kind.Host
	start unit.Starter
	stop  unit.Stopper
}

// New prepares the kind; units is what it starts and stops instances with.
func New(h *kind.Host, units unit.Units) Kind {
	return Kind{Host: h, start: unit.Starter{Units: units}, stop: unit.Stopper{Units: units}}
}

// evidence is which instances ran, before or after.
type evidence struct {
	Running []int `json:"running"`
}

// record is what taking back and settling need: the instances to be changed, in order, each as it was before. The others
// are nobody's business.
type record struct {
	Verb  remedy.Kind   `json:"verb"` // remedy.Start or remedy.Stop
	Parts []part        `json:"parts"`
	Wait  time.Duration `json:"wait,omitempty"` // for a server to be drained or healthy
}

// part is one instance, with what the kind of its verb left for taking back and settling.
type part struct {
	Unit   string          `json:"unit"`
	Before json.RawMessage `json:"before"`
	Undo   json.RawMessage `json:"undo,omitempty"`
	// Server sends the instance its requests; nil: there is none, or it is left alone.
	Server *backend.Server `json:"server,omitempty"`
}

// attempt is the part as an attempt of its own.
func (p part) attempt(a *incident.Attempt) *incident.Attempt {
	return &incident.Attempt{ID: a.ID, Remedy: a.Remedy, Target: p.Unit, Before: p.Before, Undo: p.Undo}
}

func (r record) names() string {
	var names []string
	for _, p := range r.Parts {
		names = append(names, p.Unit)
	}
	return strings.Join(names, ", ")
}

func argsOf(q kind.Request) *remedy.ScaleArgs { return q.Remedy.Args.(*remedy.ScaleArgs) }

// of is the kind of the verb.
func (k Kind) of(verb remedy.Kind) kind.Kind {
	if verb == remedy.Start {
		return k.start
	}
	return k.stop
}

// Target implements kind.Kind: it is the template.
func (Kind) Target(_ context.Context, q kind.Request) (string, error) {
	a := argsOf(q)
	if wrong := remedy.CheckTemplateName(a.Unit); wrong != "" {
		return "", kind.Refuse("%s", wrong)
	}
	return a.Unit, nil
}

// Describe implements kind.Kind.
func (Kind) Describe(s *kind.Step) string {
	plan, before := s.Undo.(record), s.Before.(evidence)
	return fmt.Sprintf("%s %s (%d of at most %d run)", plan.Verb, plan.names(), len(before.Running), argsOf(s.Request).Max)
}

// Precheck implements kind.Kind. It chooses the instances, so that they are on disk before one is touched.
func (k Kind) Precheck(ctx context.Context, s *kind.Step) error {
	if !k.Systemd.Connected() {
		return kind.Unknown("which instances run", errors.New("there is no connection to systemd"))
	}
	running, err := k.running(argsOf(s.Request))
	if err != nil {
		return err
	}
	s.Before = evidence{Running: slices.Clone(running)}
	verb, chosen, err := k.choose(ctx, argsOf(s.Request), running)
	if err != nil {
		return err
	}
	places, err := k.servers(ctx, s.Request, verb, chosen)
	if err != nil {
		return err
	}
	plan := record{Verb: verb, Wait: argsOf(s.Request).Wait}
	for _, n := range chosen {
		p := on(s, verb, argsOf(s.Request).Instance(n))
		if err := k.may(ctx, verb, p); err != nil {
			return err
		}
		plan.Parts = append(plan.Parts, part{Unit: p.Target, Before: kind.Raw(p.Before), Undo: kind.Raw(p.Undo), Server: places[n]})
		s.Detail = append(s.Detail, fmt.Sprintf("%s %s", verb, p.Target))
	}
	s.Undo, s.Disruptive = plan, verb == remedy.Stop
	return nil
}

// may refuses what must not happen to one instance now.
func (k Kind) may(ctx context.Context, verb remedy.Kind, p *kind.Step) error {
	if !k.Allowed(remedy.Scale, p.Target) {
		return kind.Refuse("no allow block of this host permits scale on %s", p.Target)
	}
	return k.of(verb).Precheck(ctx, p)
}

// on is the step for one instance. That a person stopped it was asked when it was chosen.
func on(s *kind.Step, verb remedy.Kind, name string) *kind.Step {
	p := s.Part(verb, name, &remedy.UnitArgs{Unit: name})
	p.Idle = true
	return p
}

// Act implements kind.Kind: one instance after the other, each up or down before the next is touched. Where one fails it
// ends, since the next would hardly fare better. Only what was begun stays recorded and is taken back: an instance that a
// person starts or stops then is none of it.
func (k Kind) Act(ctx context.Context, s *kind.Step) error {
	plan := s.Undo.(record)
	defer func() {
		if now, err := k.running(argsOf(s.Request)); err == nil {
			s.After = evidence{Running: now}
		}
	}()
	for i, p := range plan.Parts {
		s.Undo = record{plan.Verb, plan.Parts[:i], plan.Wait}
		one := on(s, plan.Verb, p.Unit)
		err := k.still(ctx, plan.Verb, one)
		if err == nil {
			s.Undo = record{plan.Verb, plan.Parts[:i+1], plan.Wait}
			err = k.one(ctx, plan, p, one)
		}
		if errors.Is(err, errDrained) {
			s.For = 1 // at once, and again until it is done
		}
		if err != nil {
			return fmt.Errorf("%s %s, after %d of %d: %w", plan.Verb, p.Unit, i, len(plan.Parts), err)
		}
	}
	return nil
}

// still asks whether one instance may be started or stopped: the ones before it have taken their time.
func (k Kind) still(ctx context.Context, verb remedy.Kind, p *kind.Step) error {
	if err := p.Halted(ctx); err != nil {
		return err
	}
	if verb == remedy.Start && k.Systemd.StoppedByPerson(p.Target) {
		return kind.Refuse("a person stopped it meanwhile")
	}
	return k.may(ctx, verb, p)
}

// one starts or stops one instance, with its server.
func (k Kind) one(ctx context.Context, plan record, p part, s *kind.Step) error {
	if plan.Verb == remedy.Stop {
		return k.down(ctx, s, p.Server, plan.Wait)
	}
	if err := k.start.Act(ctx, s); err != nil {
		return err
	}
	if u, err := k.Systemd.Read(ctx, s.Target); err == nil && u.Down() {
		return fmt.Errorf("it was started, and is %s (%s)", u.Active, u.Result)
	}
	if p.Server == nil {
		return nil
	}
	return in(ctx, p.Server, plan.Wait)
}

// down stops one instance when its server is drained.
func (k Kind) down(ctx context.Context, s *kind.Step, at *backend.Server, wait time.Duration) error {
	if at == nil {
		return k.stop.Act(ctx, s)
	}
	if err := out(ctx, s, at, wait); err != nil {
		return err
	}
	if err := k.stop.Act(ctx, s); err != nil {
		return ready(ctx, at, err)
	}
	return nil
}

// Undo implements kind.Kind: the instances of the plan become what they were, the last that was changed first. What a
// person changed meanwhile stays. All that were stopped run again before HAProxy is asked, which may hang.
func (k Kind) Undo(ctx context.Context, a *incident.Attempt) error {
	var plan record
	if err := json.Unmarshal(a.Undo, &plan); err != nil {
		return fmt.Errorf("read which instances were changed: %w", err)
	}
	var failed []error
	fails := func(p part, err error) bool {
		if err != nil {
			failed = append(failed, fmt.Errorf("%s: %w", p.Unit, err))
		}
		return err != nil
	}
	var up []part
	for _, p := range slices.Backward(plan.Parts) {
		runs, err := k.back(ctx, plan, p, a)
		if !fails(p, err) && runs && p.Server != nil {
			up = append(up, p)
		}
	}
	wait, cancel := context.WithTimeout(ctx, plan.Wait) // for all of them: one that stays ill takes nobody else's time
	defer cancel()
	for _, p := range up {
		_, _ = healthy(ctx, wait, p.Server) // HAProxy itself sends nothing to one that is not
		fails(p, p.Server.Restore(ctx, backend.ForcedDrain))
	}
	if slices.ContainsFunc(failed, mayPass) {
		return errors.New(errors.Join(failed...).Error()) // of several, a refusal is not the last word
	}
	return errors.Join(failed...)
}

// mayPass reports whether what failed is to be tried again.
func mayPass(err error) bool {
	var refusal *kind.Refusal
	return !errors.As(err, &refusal) || refusal.Temporary
}

// back makes one instance what it was. It reports whether that runs again.
func (k Kind) back(ctx context.Context, plan record, p part, a *incident.Attempt) (runs bool, err error) {
	if plan.Verb == remedy.Stop {
		one := p.attempt(a)
		if k.stop.ByPerson(one) {
			return false, nil // it was started meanwhile, and a person wants it down
		}
		err := k.stop.Undo(ctx, one)
		return err == nil, err
	}
	s := on(&kind.Step{Request: kind.Request{Remedy: &config.Remedy{Name: a.Remedy}}}, remedy.Stop, p.Unit)
	if err := k.stop.Precheck(ctx, s); err != nil {
		var refusal *kind.Refusal
		if errors.As(err, &refusal) && refusal.Needless {
			return false, nil
		}
		return false, err
	}
	return false, k.down(ctx, s, p.Server, plan.Wait)
}

// Repeatable implements kind.Kind: an instance that is as it was is left alone.
func (Kind) Repeatable() bool { return true }

// Settle implements kind.Kind: the recorded instances tell, each by itself. As soon as one was changed there is something
// to verify or to take back; of those that were not, nothing is.
func (k Kind) Settle(ctx context.Context, a *incident.Attempt) (incident.Phase, string) {
	var plan record
	if err := json.Unmarshal(a.Undo, &plan); err != nil || len(plan.Parts) == 0 {
		return incident.Unknown, "which instances were to be changed is not recorded"
	}
	count, unknown, left := map[incident.Phase]int{}, "", record{Verb: plan.Verb, Wait: plan.Wait}
	var halves []string
	for _, p := range plan.Parts {
		phase, why := k.of(plan.Verb).Settle(ctx, p.attempt(a))
		if half(ctx, plan.Verb, p, phase) {
			phase, a.For = incident.Acted, 1
			halves = append(halves, p.Server.String())
		}
		if count[phase]++; phase == incident.Unknown {
			unknown = why
		}
		if phase != incident.NotDone {
			left.Parts = append(left.Parts, p)
		}
	}
	a.Undo = kind.Raw(left)
	done := fmt.Sprintf("%s: done for %d of %d instances", plan.Verb, count[incident.Acted]-len(halves), len(plan.Parts))
	if len(halves) > 0 {
		done += "; what may be drained while its instance runs: " + strings.Join(halves, ", ")
	}
	switch {
	case count[incident.Acted] > 0:
		return incident.Acted, done
	case unknown != "":
		return incident.Unknown, unknown
	}
	return incident.NotDone, done
}

// Quiet implements kind.Kind.
func (k Kind) Quiet(a *incident.Attempt) bool {
	var plan record
	if json.Unmarshal(a.Undo, &plan) != nil || !k.Systemd.Connected() {
		return false
	}
	return !slices.ContainsFunc(plan.Parts, func(p part) bool { return k.Systemd.Queued(p.Unit) })
}
