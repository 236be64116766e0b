package lastgood

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/salveops/salve/agent/internal/act/kind"
	"github.com/salveops/salve/agent/internal/act/unit"
	"github.com/salveops/salve/agent/internal/release"
	"github.com/salveops/salve/pkg/config"
	"github.com/salveops/salve/pkg/incident"
	"github.com/salveops/salve/pkg/remedy"
)

// Record is part of what each of these kinds leaves in an attempt's Undo: the version that it leaves, and the units that follow.
type Record struct {
	Left  release.Version `json:"left"`
	Verb  remedy.Kind     `json:"verb"` // remedy.Restart or remedy.Reload
	Parts []part          `json:"parts"`
}

// part is one unit, with the evidence of its kind from before.
type part struct {
	Unit   string          `json:"unit"`
	Up     bool            `json:"up"`
	Before json.RawMessage `json:"before"`
}

// Units start services anew that are to run another version. Make it with New.
type Units struct {
	*kind.Host
	units   unit.Units
	restart unit.Restarter
	reload  unit.Reloader
}

// New prepares them.
func New(h *kind.Host, units unit.Units) Units {
	return Units{h, units, unit.Restarter{Units: units}, unit.Reloader{Units: units}}
}

// of is the kind of the verb.
func (u Units) of(verb remedy.Kind) kind.Kind {
	if verb == remedy.Reload {
		return u.reload
	}
	return u.restart
}

// Plan finds out whether the units may and can follow, without side effects, and adds a line for each to the step's Detail.
func (u Units) Plan(ctx context.Context, s *kind.Step, from release.Version) (Record, error) {
	a := s.Remedy.Args.(remedy.Returning).Returns()
	plan := Record{Left: from, Verb: remedy.Restart}
	if a.Reload {
		plan.Verb = remedy.Reload
	}
	for _, name := range a.Units {
		one, err := u.units.Part(ctx, s, plan.Verb, name)
		if err == nil {
			err = u.of(plan.Verb).Precheck(ctx, one)
		}
		if err != nil {
			return plan, err
		}
		up := a.Reload || one.Disruptive // a restart takes nothing away from what is down
		plan.Parts = append(plan.Parts, part{Unit: one.Target, Up: up, Before: kind.Raw(one.Before)})
		s.Detail = append(s.Detail, fmt.Sprintf("%s %s", plan.Verb, one.Target))
	}
	return plan, nil
}

// Follow starts the units anew, one after another until the step is halted: the permit for what it would take down may be over.
func (u Units) Follow(ctx context.Context, s *kind.Step, plan Record) error {
	for _, p := range plan.Parts {
		if err := u.follow(ctx, s, plan.Verb, p.Unit); err != nil {
			return fmt.Errorf("%s %s: %w", plan.Verb, p.Unit, err)
		}
	}
	return nil
}

func (u Units) follow(ctx context.Context, s *kind.Step, verb remedy.Kind, unit string) error {
	if err := s.Halted(ctx); err != nil {
		return err
	}
	one, err := u.units.Part(ctx, s, verb, unit)
	if err != nil || u.left(one) {
		return err
	}
	return u.of(verb).Act(ctx, one)
}

// left reports whether a person has stopped the unit since it was planned: it runs no version, and stays down.
func (u Units) left(s *kind.Step) bool { return !s.ByPerson && u.Systemd.StoppedByPerson(s.Target) }

// Back starts those units anew that do not still run what they ran before the attempt. One that was down before may come up as
// little as then.
func (u Units) Back(ctx context.Context, a *incident.Attempt, plan Record) error {
	for _, p := range plan.Parts {
		if err := u.back(ctx, a, plan.Verb, p); err != nil {
			return fmt.Errorf("%s %s: %w", plan.Verb, p.Unit, err)
		}
	}
	return nil
}

func (u Units) back(ctx context.Context, a *incident.Attempt, verb remedy.Kind, p part) error {
	was := &incident.Attempt{ID: a.ID, Remedy: a.Remedy, Target: p.Unit, Before: p.Before}
	if phase, _ := u.of(verb).Settle(ctx, was); phase == incident.NotDone {
		return nil
	}
	whole := &kind.Step{Request: kind.Request{Remedy: &config.Remedy{Name: a.Remedy}}}
	one, err := u.units.Part(ctx, whole, verb, p.Unit)
	if err != nil || u.left(one) {
		return err
	}
	if err := u.of(verb).Precheck(ctx, one); err != nil {
		return err
	}
	if err := u.of(verb).Act(ctx, one); err != nil && p.Up {
		return err
	}
	return nil
}

// ReloadManager has systemd read its units' files again, for the sake of this one.
func (u Units) ReloadManager(ctx context.Context, unit string) error {
	return u.units.ReloadManager(ctx, unit)
}

// Quiet reports whether systemd has no job left for a unit of the attempt.
func (u Units) Quiet(a *incident.Attempt) bool {
	var plan Record
	if json.Unmarshal(a.Undo, &plan) != nil {
		return len(a.Undo) == 0 // nothing was changed
	}
	for _, p := range plan.Parts {
		if unit, ok := u.Systemd.Unit(p.Unit); !ok || unit.Job != 0 {
			return false
		}
	}
	return true
}
