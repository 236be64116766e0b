package unit

import (
	"context"
	"slices"
	"strings"

	"github.com/salveops/salve/agent/internal/act/kind"
	"github.com/salveops/salve/agent/internal/systemd"
	"github.com/salveops/salve/pkg/remedy"
)

// alone refuses a job that would touch other units than its own, unless the allow blocks permit the
// same on those. It follows what systemd follows when it builds a transaction: a stop takes along what
// requires the unit, is bound to it or is part of it; a start brings up what the unit requires and
// stops what it conflicts with. What a unit merely wants is left out: it starts only if it is down,
// and neither fails nor stops with the unit.
func (k Units) alone(ctx context.Context, s *kind.Step, u systemd.Unit, verb remedy.Kind) error {
	_, err := k.along(ctx, s, u, verb)
	return err
}

// along are the units that the job would take down with its own, each with its invocation ID, or else the refusal of alone.
func (k Units) along(ctx context.Context, s *kind.Step, u systemd.Unit, verb remedy.Kind) (map[string]string, error) {
	u, err := k.Systemd.Current(ctx, u.Name)
	if err != nil {
		return nil, kind.Unknown("what depends on "+s.Target, err)
	}
	d := drag{Units: k, step: s, seen: map[string]bool{u.Name: true}, down: map[string]string{}}
	return d.down, d.all(ctx, u, verb)
}

// drag walks the units that one job would touch.
type drag struct {
	Units
	step *kind.Step
	seen map[string]bool
	down map[string]string // what stops, with the invocation ID of each
}

// all follows the whole job.
func (d drag) all(ctx context.Context, u systemd.Unit, verb remedy.Kind) error {
	switch verb {
	case remedy.Start:
		return d.starts(ctx, u)
	case remedy.Reload:
		return d.reloads(u)
	}
	if !u.Down() {
		if err := d.stops(ctx, u, verb); err != nil {
			return err
		}
	}
	if verb == remedy.Restart {
		return d.starts(ctx, u)
	}
	return nil
}

// stops follows what a stop or restart of u takes along; only what is up is touched.
func (d drag) stops(ctx context.Context, u systemd.Unit, verb remedy.Kind) error {
	for _, name := range slices.Concat(u.RequiredBy, u.BoundBy, u.ConsistsOf, u.PropagatesStopTo) {
		if d.seen[name] || !d.isUp(name) {
			continue
		}
		d.seen[name] = true
		if !d.Allowed(verb, name) {
			return kind.Refuse("%s on %s would take %s along, on which no allow block permits it", verb, u.Name, name)
		}
		next, err := d.Systemd.Current(ctx, name)
		if err != nil {
			return kind.Unknown("what depends on "+name, err)
		}
		d.down[name] = next.InvocationID
		if err := d.Unprotected(ctx, next); err != nil {
			return err
		}
		if err := d.stops(ctx, next, verb); err != nil {
			return err
		}
	}
	return nil
}

// starts follows what a start of u brings up or puts down. Slices, targets, devices and sockets are
// systemd's own furniture: nothing runs in them.
func (d drag) starts(ctx context.Context, u systemd.Unit) error {
	for _, name := range slices.Concat(u.Conflicts, u.ConflictedBy) {
		if d.isUp(name) && !d.seen[name] && !d.Allowed(remedy.Stop, name) {
			return kind.Refuse("a start of %s would stop %s, with which it conflicts", u.Name, name)
		}
	}
	for _, name := range slices.Concat(u.Requires, u.BindsTo) {
		if d.seen[name] || !runs(name) {
			continue
		}
		if d.Systemd.Queued(name) || d.Systemd.Active(name) == "deactivating" {
			return kind.Postpone("%s needs %s, which is starting or stopping", u.Name, name)
		}
		if d.isUp(name) {
			continue
		}
		d.seen[name] = true
		if !d.Allowed(remedy.Start, name) {
			return kind.Refuse("%s needs %s, which is down, and no allow block permits to start that", u.Name, name)
		}
		next, err := d.look(ctx, name)
		switch {
		case err != nil:
			return err
		case next.Load == "masked":
			return kind.Refuse("%s needs %s, which is masked: a person wants it not to run", u.Name, name)
		case next.Stopped == systemd.Person && !d.step.ByPerson:
			return kind.Refuse("%s needs %s, which was stopped by a person and stays stopped", u.Name, name)
		}
		if err := d.starts(ctx, next); err != nil {
			return err
		}
	}
	return nil
}

// reloads follows where a reload is passed on.
func (d drag) reloads(u systemd.Unit) error {
	for _, name := range u.PropagatesReloadTo {
		if d.isUp(name) && !d.Allowed(remedy.Reload, name) {
			return kind.Refuse("a reload of %s would be passed on to %s, on which no allow block permits it", u.Name, name)
		}
	}
	return nil
}

// isUp reports whether a job could do something to a unit that runs.
func (d drag) isUp(name string) bool {
	switch d.Systemd.Active(name) {
	case "inactive", "failed", "":
		return false
	}
	return true
}

func runs(name string) bool {
	for _, suffix := range []string{".service", ".mount", ".swap", ".timer", ".path", ".automount"} {
		if strings.HasSuffix(name, suffix) {
			return true
		}
	}
	return false
}
