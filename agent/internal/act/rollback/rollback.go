// Package rollback is the kind of remedy that lets a service go back to the release that last ran well on this host.
package rollback

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/salveops/salve/agent/internal/act/kind"
	"github.com/salveops/salve/agent/internal/act/unit"
	"github.com/salveops/salve/agent/internal/release"
	"github.com/salveops/salve/pkg/clock"
	"github.com/salveops/salve/pkg/config"
	"github.com/salveops/salve/pkg/healing"
	"github.com/salveops/salve/pkg/incident"
	"github.com/salveops/salve/pkg/remedy"
)

// Kind lets the link to a release lead back. Make it with New.
type Kind struct {
	*kind.Host
	units   unit.Units
	restart unit.Restarter
	reload  unit.Reloader
}

// New prepares the kind; units is what it starts services anew with.
func New(h *kind.Host, units unit.Units) Kind {
	return Kind{Host: h, units: units, restart: unit.Restarter{Units: units}, reload: unit.Reloader{Units: units}}
}

// version is a release, and what the link says that leads to it.
type version struct {
	release.Release
	Text string `json:"text"`
}

// record is what taking back and settling need.
type record struct {
	Releases string      `json:"releases"` // the folder that they lie in
	From     version     `json:"from"`
	To       version     `json:"to"`
	Verb     remedy.Kind `json:"verb"` // remedy.Restart or remedy.Reload
	Parts    []part      `json:"parts"`
}

// part is one unit, with the evidence of its kind from before.
type part struct {
	Unit   string          `json:"unit"`
	Up     bool            `json:"up"`
	Before json.RawMessage `json:"before"`
}

// evidence is where the link leads.
type evidence struct {
	Release string `json:"release"`
}

func argsOf(q kind.Request) *remedy.RollbackArgs { return q.Remedy.Args.(*remedy.RollbackArgs) }

// Target implements kind.Kind: it is the link.
func (Kind) Target(_ context.Context, q kind.Request) (string, error) {
	a := argsOf(q)
	if a.Link == "" || len(a.Units) == 0 || q.Remedy.Service == nil {
		return "", kind.Refuse("the service names no release link, or no unit that runs what the link leads to")
	}
	return a.Link, nil
}

// Describe implements kind.Kind.
func (Kind) Describe(s *kind.Step) string {
	plan := s.Undo.(record)
	return fmt.Sprintf("let %s lead back from %s to %s, then %s what runs it", s.Target, plan.From.Name(), plan.To.Name(), plan.Verb)
}

// Precheck implements kind.Kind. It chooses the release, so that this is on disk before the link leads elsewhere.
func (k Kind) Precheck(ctx context.Context, s *kind.Step) error {
	a := argsOf(s.Request)
	p, err := release.Open(a.Link, a.Releases)
	if err != nil {
		return kind.Refuse("%v", err)
	}
	defer p.Close()
	from, err := p.Current()
	if err != nil {
		return kind.Refuse("the release that runs is not one that can be left: %v", err)
	}
	if marked, err := p.Marked(from.Release, a.Marker); err != nil {
		return kind.Unknown("whether there is a way back from "+from.Name(), err)
	} else if marked {
		return kind.Refuse("there is no way back from %s: it has a file %s", from.Name(), a.Marker)
	}
	past, err := k.Attempts(healing.PastAge)
	if err != nil {
		return kind.Unknown("which rollbacks there were", err)
	}
	to, err := choose(p, from.Release, candidates{good: k.Good(s.Remedy.Service.Name), past: past, now: clock.Now(k.Clock), step: s})
	if err != nil {
		return err
	}
	plan := record{Releases: a.Releases, From: version{from.Release, from.Text}, Verb: remedy.Restart}
	plan.To = version{to, rewrite(a.Link, from.Text, to.Folder)}
	if a.Reload {
		plan.Verb = remedy.Reload
	}
	s.Detail = []string{fmt.Sprintf("link %s to %s instead of %s", s.Target, plan.To.Text, plan.From.Text)}
	for _, name := range a.Units {
		one, err := k.units.Part(ctx, s, plan.Verb, name)
		if err == nil {
			err = k.of(plan.Verb).Precheck(ctx, one)
		}
		if err != nil {
			return err
		}
		up := a.Reload || one.Disruptive // a restart takes nothing away from what is down
		plan.Parts = append(plan.Parts, part{Unit: one.Target, Up: up, Before: kind.Raw(one.Before)})
		s.Detail = append(s.Detail, fmt.Sprintf("%s %s", plan.Verb, one.Target))
	}
	s.Before, s.Undo = evidence{from.Folder}, plan
	return nil
}

// of is the kind of the verb.
func (k Kind) of(verb remedy.Kind) kind.Kind {
	if verb == remedy.Reload {
		return k.reload
	}
	return k.restart
}

// Act implements kind.Kind. Once the link leads elsewhere the units follow at once, whoever wants it to end: what runs and
// what the next start would run are to be the same.
func (k Kind) Act(ctx context.Context, s *kind.Step) error {
	plan := s.Undo.(record)
	done, err := flip(s.Target, plan.Releases, plan.From, plan.To)
	if !done {
		s.Undo = nil
	}
	if err != nil {
		return err
	}
	s.After = evidence{plan.To.Folder}
	for _, p := range plan.Parts {
		one, err := k.units.Part(ctx, s, plan.Verb, p.Unit)
		if err == nil {
			err = k.of(plan.Verb).Act(ctx, one)
		}
		if err != nil {
			return fmt.Errorf("%s leads to %s; %s %s: %w", s.Target, plan.To.Name(), plan.Verb, p.Unit, err)
		}
	}
	return nil
}

// Undo implements kind.Kind: the link leads to the release from before, and units that ran the other are started anew. Where
// somebody has let the link lead elsewhere meanwhile, it stays.
func (k Kind) Undo(ctx context.Context, a *incident.Attempt) error {
	var plan record
	if err := json.Unmarshal(a.Undo, &plan); err != nil {
		return fmt.Errorf("read where the link led: %w", err)
	}
	text, err := says(a.Target, plan.Releases)
	switch {
	case err != nil:
		return err
	case text == plan.To.Text:
		if _, err := flip(a.Target, plan.Releases, plan.To, plan.From); err != nil {
			return err
		}
	case text != plan.From.Text: // an undo that was interrupted
		return kind.Refuse("%s leads to %s now, which is neither %s nor %s: somebody has changed it, and it stays", a.Target, text,
			plan.From.Name(), plan.To.Name())
	}
	for _, p := range plan.Parts {
		if err := k.back(ctx, plan.Verb, p, a); err != nil {
			return fmt.Errorf("%s leads to %s again; %s %s: %w", a.Target, plan.From.Name(), plan.Verb, p.Unit, err)
		}
	}
	return nil
}

// back starts a unit anew, unless it still runs what it ran before. One that was down before may come up as little as then.
func (k Kind) back(ctx context.Context, verb remedy.Kind, p part, a *incident.Attempt) error {
	was := &incident.Attempt{ID: a.ID, Remedy: a.Remedy, Target: p.Unit, Before: p.Before}
	if phase, _ := k.of(verb).Settle(ctx, was); phase == incident.NotDone {
		return nil
	}
	whole := &kind.Step{Request: kind.Request{Remedy: &config.Remedy{Name: a.Remedy}}}
	one, err := k.units.Part(ctx, whole, verb, p.Unit)
	if err == nil {
		err = k.of(verb).Precheck(ctx, one)
	}
	if err != nil {
		return err
	}
	if err := k.of(verb).Act(ctx, one); err != nil && p.Up {
		return err
	}
	return nil
}

// Repeatable implements kind.Kind: a link that leads where it led is left alone.
func (Kind) Repeatable() bool { return true }

// Settle implements kind.Kind: the link tells, because it is what comes first. Whether the units followed is for the
// verification to say, and what they do not run they need not be taken back from.
func (Kind) Settle(_ context.Context, a *incident.Attempt) (incident.Phase, string) {
	var plan record
	if err := json.Unmarshal(a.Undo, &plan); err != nil {
		return incident.Unknown, "where the link led is not recorded"
	}
	text, err := says(a.Target, plan.Releases)
	switch {
	case err != nil:
		return incident.Unknown, err.Error()
	case text == plan.From.Text:
		return incident.NotDone, fmt.Sprintf("%s still leads to %s", a.Target, plan.From.Name())
	case text == plan.To.Text:
		return incident.Acted, fmt.Sprintf("%s leads to %s", a.Target, plan.To.Name())
	}
	return incident.Unknown, fmt.Sprintf("%s leads to %s, neither to %s nor to %s", a.Target, text, plan.From.Name(), plan.To.Name())
}

// Quiet implements kind.Kind: systemd has no job left for a unit of it.
func (k Kind) Quiet(a *incident.Attempt) bool {
	var plan record
	if json.Unmarshal(a.Undo, &plan) != nil {
		return len(a.Undo) == 0 // nothing was changed
	}
	for _, p := range plan.Parts {
		if u, ok := k.Systemd.Unit(p.Unit); !ok || u.Job != 0 {
			return false
		}
	}
	return true
}
