// Package downgrade is the kind of remedy that puts those versions of packages in place with which a service last ran well.
package downgrade

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/salveops/salve/agent/internal/act/kind"
	"github.com/salveops/salve/agent/internal/act/lastgood"
	"github.com/salveops/salve/agent/internal/act/unit"
	"github.com/salveops/salve/agent/internal/order"
	"github.com/salveops/salve/agent/internal/packages"
	"github.com/salveops/salve/agent/internal/release"
	"github.com/salveops/salve/pkg/incident"
	"github.com/salveops/salve/pkg/remedy"
)

// Kind lets packages go back. Make it with New.
type Kind struct {
	lastgood.Units
}

// New prepares the kind; units is what it starts services anew with.
func New(h *kind.Host, units unit.Units) Kind { return Kind{lastgood.New(h, units)} }

// record is what taking back and settling need: the packages whose versions differ.
type record struct {
	lastgood.Record
	From []order.Package `json:"from"`
	To   []order.Package `json:"to"`

	arch map[string]string // of each package that is installed
}

// evidence is what is installed.
type evidence struct {
	Packages string `json:"packages"`
}

func argsOf(q kind.Request) *remedy.PackagesArgs { return q.Remedy.Args.(*remedy.PackagesArgs) }

// Target implements kind.Kind: it is the first of the packages.
func (Kind) Target(_ context.Context, q kind.Request) (string, error) {
	a := argsOf(q)
	if len(a.Packages) == 0 || len(a.Units) == 0 || q.Remedy.Service == nil {
		return "", kind.Refuse("it names no packages, or its service has no unit that runs them")
	}
	return a.Packages[0], nil
}

// Describe implements kind.Kind.
func (Kind) Describe(s *kind.Step) string {
	plan := s.Undo.(record)
	return fmt.Sprintf("install %s in the place of %s, hold that, then %s what runs it", text(plan.To), text(plan.From), plan.Verb)
}

// Precheck implements kind.Kind. It chooses the versions, and has it said what would be done.
func (k Kind) Precheck(ctx context.Context, s *kind.Step) error {
	a := argsOf(s.Request)
	for _, name := range a.Packages {
		if !k.Allowed(remedy.RollbackPackages, name) {
			return kind.Refuse("no allow block of this host permits %s on %s", remedy.RollbackPackages, name)
		}
	}
	now, err := k.inPlace(a)
	if err != nil {
		return err
	}
	if mark, err := release.MarkedBy(a.Markers()); err != nil {
		return kind.Unknown("whether there is a way back", err)
	} else if mark != "" {
		return kind.Refuse("there is no way back: there is a file %s", mark)
	}
	from := release.Installed(now)
	to, err := lastgood.Choose(k.Host, s, lastgood.Choice{What: "set of packages", From: from, Check: func(v release.Version) error {
		return same(v, a.Packages)
	}})
	if err != nil {
		return err
	}
	for _, p := range now {
		if p.Held {
			return kind.Refuse("%s is held, and is at %s: somebody wants it so, or an earlier rollback did, until %s %s", p.Name, p.Version,
				host().unhold(), p.Name)
		}
	}
	plan := differing(now, to)
	if s.Detail, err = host().simulate(ctx, &plan); err != nil {
		return err
	}
	if plan.Record, err = k.Plan(ctx, s, from); err != nil {
		return err
	}
	if !k.Helper.Present() {
		return kind.Refuse("packages are changed by the helper, and there is none: systemctl enable --now salve-agent-helper.socket")
	}
	if !s.ByPerson {
		return kind.Refuse("%s could be installed in the place of %s, which takes a person: %s", text(plan.To),
			text(plan.From), s.Remedy.Command())
	}
	s.Before, s.Undo = evidence{from.Name}, plan
	return nil
}

// inPlace are the packages as they are, if they may be changed.
func (k Kind) inPlace(a *remedy.PackagesArgs) ([]packages.Package, error) {
	switch file, err := k.Packages(); {
	case err != nil:
		return nil, kind.Unknown("whether packages are being changed", err)
	case file != "":
		return nil, kind.Postpone("somebody changes packages at this moment: %s is locked", file)
	}
	list, err := host().Installed(a.Packages)
	if err != nil {
		return nil, kind.Refuse("%v", err)
	}
	for _, p := range list {
		switch {
		case !p.Whole():
			return nil, kind.Refuse("%s is %s: a person has to repair that first, with dpkg --configure or apt-get --fix-broken", p.Name, p.State)
		case p.Needed:
			return nil, kind.Refuse("%s is a package that the system needs, and is left to people", p.Name)
		}
	}
	return list, nil
}

// same says why a version is not one of just these packages.
func same(v release.Version, names []string) error {
	versions, ok := release.PackagesOf(v)
	if ok && len(versions) == len(names) && !slices.ContainsFunc(names, func(n string) bool { return versions[n] == "" }) {
		return nil
	}
	return fmt.Errorf("%s are other packages", v.Name)
}

// differing is the record of the packages that are to have another version.
func differing(now []packages.Package, to release.Version) record {
	plan := record{arch: map[string]string{}}
	versions, _ := release.PackagesOf(to)
	for _, p := range now {
		plan.arch[p.Name] = p.Arch
		if p.Version != versions[p.Name] {
			plan.From = append(plan.From, order.Package{Name: p.Name, Version: p.Version})
			plan.To = append(plan.To, order.Package{Name: p.Name, Version: versions[p.Name]})
		}
	}
	return plan
}

// detail is what would be installed, line by line, each with where it comes from.
func (r record) detail(from func(order.Package) string) (lines []string) {
	for i, p := range r.To {
		lines = append(lines, fmt.Sprintf("install %s%s instead of %s, and hold it", p, from(p), r.From[i].Version))
	}
	return lines
}

func text(list []order.Package) string {
	var words []string
	for _, p := range list {
		words = append(words, p.String())
	}
	return strings.Join(words, " ")
}

// Act implements kind.Kind. What was said is compared with what is installed then, which is what counts. Once the versions
// are in place the units follow.
func (k Kind) Act(ctx context.Context, s *kind.Step) error {
	plan := s.Undo.(record)
	err := k.install(ctx, plan.To, true)
	if errors.Is(err, kind.ErrLost) {
		return err
	}
	found := look(plan)
	s.After = evidence{found.text}
	switch {
	case found.from:
		s.Undo = nil
		return fmt.Errorf("nothing was changed: %w", cmp.Or(err, errors.New(host().name()+" found nothing to do")))
	case errors.Is(found.err, packages.ErrUnread):
		return fmt.Errorf("it cannot be known what is in place: %w", errors.Join(found.err, err))
	case !found.to:
		return fmt.Errorf("it is half done, %s: %w", found.text, cmp.Or(err, well()))
	}
	if follow := k.Follow(ctx, s, plan.Record); follow != nil {
		return fmt.Errorf("%s is in place; %w", text(plan.To), follow)
	}
	if found.held < len(plan.To) {
		return fmt.Errorf("%s is in place, but not held, so that the next upgrade undoes it: %w", text(plan.To), cmp.Or(err, well()))
	}
	return nil
}

// well is all that is known of what went wrong where the manager has not noticed it.
func well() error { return errors.New(host().name() + " said that it went well") }

// Undo implements kind.Kind: the versions from before are installed, and units that ran the others are started anew. Where
// somebody has installed something else meanwhile, that stays.
func (k Kind) Undo(ctx context.Context, a *incident.Attempt) error {
	var plan record
	if err := json.Unmarshal(a.Undo, &plan); err != nil {
		return fmt.Errorf("read what was installed: %w", err)
	}
	if busy, err := k.busy(ctx); err != nil || busy {
		return errors.Join(err, errors.New("packages are still being changed"))
	}
	switch found := look(plan); {
	case errors.Is(found.err, packages.ErrUnread):
		return found.err
	case found.err != nil:
		return kind.Refuse("%v, which is left to people", found.err)
	case found.other != "":
		return kind.Refuse("%s: somebody has changed that, and it stays", found.other)
	case !found.from || found.held > 0: // an undo that was interrupted may have done it
		if !found.from {
			if err := host().guard(ctx, plan.From); err != nil {
				return err
			}
		}
		err := k.install(ctx, plan.From, false)
		if found = look(plan); !found.from {
			return fmt.Errorf("%s: %w", found.text, cmp.Or(err, well()))
		} else if err != nil {
			return err
		}
	}
	if err := k.Back(ctx, a, plan.Record); err != nil {
		return fmt.Errorf("%s is in place again; %w", text(plan.From), err)
	}
	return nil
}

// Repeatable implements kind.Kind: what is installed already is not installed again.
func (Kind) Repeatable() bool { return true }

// Settle implements kind.Kind: what is installed tells, once nothing changes it any more.
func (k Kind) Settle(ctx context.Context, a *incident.Attempt) (incident.Phase, string) {
	var plan record
	if err := json.Unmarshal(a.Undo, &plan); err != nil {
		return incident.Unknown, "what was installed is not recorded"
	}
	if err := k.over(ctx); err != nil {
		return incident.Unknown, err.Error()
	}
	switch found := look(plan); {
	case found.from:
		return incident.NotDone, found.text
	case found.to && found.held == len(plan.To):
		return incident.Acted, found.text
	case found.to:
		return incident.Acted, found.text + ", and not held: the next upgrade would undo it"
	default:
		return incident.Unknown, found.text
	}
}

// Quiet implements kind.Kind: no package is being changed, and systemd has no job left for a unit of it.
func (k Kind) Quiet(a *incident.Attempt) bool {
	ctx, cancel := context.WithTimeout(context.Background(), quietTime)
	defer cancel()
	busy, err := k.busy(ctx)
	return err == nil && !busy && k.Units.Quiet(a)
}
