package freespace

import (
	"context"
	"errors"
	"slices"

	"github.com/salveops/salve/agent/internal/act/folder"
	"github.com/salveops/salve/agent/internal/act/kind"
	"github.com/salveops/salve/agent/internal/systemd"
	"github.com/salveops/salve/agent/internal/transaction"
	"github.com/salveops/salve/pkg/remedy"
)

// leftOut is why a service of the recipe is left out, and no reason to leave out the rest.
type leftOut struct{ error }

// services checks those of the recipe, and counts them without those that are left out now, which are told in the step's Detail;
// out is why the last of them is.
func (k Kind) services(ctx context.Context, s *kind.Step) (n int, out, err error) {
	a := argsOf(s.Request)
	for i, name := range slices.Concat(a.Cleaners, a.Reopen) {
		may := k.mayClean
		if i >= len(a.Cleaners) {
			may = k.mayReopen
		}
		err := may(ctx, s, name)
		var left leftOut
		switch {
		case errors.As(err, &left):
			out, s.Detail = left.error, append(s.Detail, left.Error())
		case err != nil:
			return 0, nil, err
		default:
			n++
		}
	}
	return n, out, nil
}

// free gives the unit of a part, unless a package transaction may touch it: scripts of packages start and stop their units
// themselves.
func (k Kind) free(ctx context.Context, part *kind.Step) (systemd.Unit, error) {
	u, err := k.Systemd.Read(ctx, part.Target)
	if err != nil {
		return u, kind.Unknown("the state of "+part.Target, err)
	}
	if !transaction.Touches(u.FragmentPath) {
		return u, nil
	}
	file, err := k.Packages()
	switch {
	case err != nil:
		return u, leftOut{kind.Unknown("whether a package transaction touches "+part.Target, err)}
	case file != "":
		return u, leftOut{kind.Postpone("%s is left out: a package transaction (%s) may touch it", part.Target, file)}
	}
	return u, nil
}

// mayReopen refuses what nobody allows.
func (k Kind) mayReopen(ctx context.Context, s *kind.Step, name string) error {
	part, err := k.on(ctx, s, remedy.Reload, name)
	if err == nil {
		_, err = k.free(ctx, part)
	}
	return err
}

// mayClean refuses a cleaner that could do something else than run to its end.
func (k Kind) mayClean(ctx context.Context, s *kind.Step, name string) error {
	part, err := k.on(ctx, s, remedy.Start, name)
	if err != nil {
		return err
	}
	u, err := k.free(ctx, part)
	switch {
	case err != nil:
		return err
	case u.Type != "oneshot":
		return kind.Refuse("%s is no oneshot service: it would not end", name)
	}
	return k.start.Precheck(ctx, part)
}

// on is the step for one unit of the recipe.
func (k Kind) on(ctx context.Context, s *kind.Step, does remedy.Kind, name string) (*kind.Step, error) {
	part, err := k.units.Part(ctx, s, does, name)
	if err == nil {
		part.Idle = true // a cleaner that is not running was not stopped by anybody
	}
	return part, err
}

// clean runs a cleaner to its end.
func (k Kind) clean(ctx context.Context, s *kind.Step, name string) error {
	part, err := k.on(ctx, s, remedy.Start, name)
	if err == nil {
		_, err = k.free(ctx, part)
	}
	if err != nil {
		return err
	}
	return k.start.Act(ctx, part)
}

// reopen reloads the service if a process of it holds files of this file system open that were removed.
func (k Kind) reopen(ctx context.Context, s *kind.Step, dir *folder.Folder, name string) (did bool, err error) {
	part, err := k.on(ctx, s, remedy.Reload, name)
	if err != nil {
		return false, err
	}
	u, err := k.free(ctx, part)
	if err != nil {
		return false, err
	}
	held, err := holds(u.ControlGroup, dir.Dev)
	if err != nil || !held {
		return false, err
	}
	if err := k.reload.Precheck(ctx, part); err != nil {
		return false, err
	}
	return true, k.reload.Act(ctx, part)
}
