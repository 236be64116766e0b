// Package rollback is the kind of remedy that lets a service go back to the release that last ran well on this host.
package rollback

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/salveops/salve/agent/internal/act/kind"
	"github.com/salveops/salve/agent/internal/act/lastgood"
	"github.com/salveops/salve/agent/internal/act/unit"
	"github.com/salveops/salve/agent/internal/release"
	"github.com/salveops/salve/pkg/incident"
	"github.com/salveops/salve/pkg/remedy"
)

// Kind lets the link to a release lead back. Make it with New.
type Kind struct {
	lastgood.Units
}

// New prepares the kind; units is what it starts services anew with.
func New(h *kind.Host, units unit.Units) Kind { return Kind{lastgood.New(h, units)} }

// version is a release, and what the link says that leads to it.
type version struct {
	release.Release
	Text string `json:"text"`
}

// record is what taking back and settling need.
type record struct {
	lastgood.Record
	Releases string  `json:"releases"` // the folder that they lie in
	From     version `json:"from"`
	To       version `json:"to"`
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
	choice := lastgood.Choice{What: "release", From: from.Version(), Check: func(v release.Version) error {
		r := release.ReleaseOf(v)
		now, err := p.Find(r.Folder)
		if err == nil && now != r {
			err = fmt.Errorf("%s is another folder than the one that ran well", v.Name)
		}
		return err
	}}
	chosen, err := lastgood.Choose(k.Host, s, choice)
	if err != nil {
		return err
	}
	to := release.ReleaseOf(chosen)
	plan := record{Releases: a.Releases, From: version{from.Release, from.Text},
		To: version{to, rewrite(a.Link, from.Text, to.Folder)}}
	s.Detail = []string{fmt.Sprintf("link %s to %s instead of %s", s.Target, plan.To.Text, plan.From.Text)}
	if plan.Record, err = k.Plan(ctx, s, from.Version()); err != nil {
		return err
	}
	s.Before, s.Undo = evidence{from.Folder}, plan
	return nil
}

// Act implements kind.Kind. Once the link leads elsewhere the units follow, one after another.
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
	if err := k.Follow(ctx, s, plan.Record); err != nil {
		return fmt.Errorf("%s leads to %s; %w", s.Target, plan.To.Name(), err)
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
	if err := k.Back(ctx, a, plan.Record); err != nil {
		return fmt.Errorf("%s leads to %s again; %w", a.Target, plan.From.Name(), err)
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
