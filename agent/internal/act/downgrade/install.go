package downgrade

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/salveops/salve/agent/internal/act/kind"
	"github.com/salveops/salve/agent/internal/helper"
	"github.com/salveops/salve/agent/internal/order"
	"github.com/salveops/salve/agent/internal/packages"
)

const quietTime = time.Second // for systemd to say whether the installer runs

// manager is what installs packages on this host.
type manager interface {
	packages.Manager
	// name is that of its program, for orders and for people.
	name() string
	// unhold is what a person says to end a hold.
	unhold() string
	// simulate returns the plan line by line, and refuses when that is not all that would be done, or cannot be done. It may
	// complete the plan. It takes no right.
	simulate(ctx context.Context, plan *record) ([]string, error)
	// guard refuses what would not only put these versions in place, as simulate does, without a look at more.
	guard(ctx context.Context, list []order.Package) error
}

// host is the manager of this host.
func host() manager {
	switch m := packages.Host().(type) {
	case packages.Dpkg:
		return apt{m}
	default:
		return dnf{m.(packages.Rpm)}
	}
}

// install has the helper put versions in place, and waits for the end of that. It goes on when nobody waits any more.
func (k Kind) install(ctx context.Context, list []order.Package, hold bool) error {
	m := host()
	o := order.Order{Verb: order.Install, Manager: m.name(), Packages: list, Hold: hold}
	e := k.Systemd.Expect(helper.Installer)
	defer e.Close()
	id, err := k.Helper.Ask(ctx, o)
	if err != nil {
		return err
	}
	e.Job(uint32(id))
	result, err := e.Wait(ctx)
	switch {
	case err != nil: // nobody waits for it any more, or hears of it
		return fmt.Errorf("%w: %s may be at work: %w", kind.ErrLost, helper.Installer, err)
	case result != "done":
		return fmt.Errorf("%s ended as %q: journalctl -u %s has what %s said", helper.Installer, result,
			helper.Installer, m.name())
	}
	return nil
}

// busy reports whether the installer is at work.
func (k Kind) busy(ctx context.Context) (bool, error) {
	u, err := k.Systemd.Read(ctx, helper.Installer)
	return u.Job != 0 || u.Active == "activating", err
}

// over waits until the installer is not at work.
func (k Kind) over(ctx context.Context) error {
	busy, err := true, error(nil)
	kind.Eventually(ctx, 50*time.Millisecond, func() bool {
		if now, failed := k.busy(ctx); failed == nil || ctx.Err() == nil { // else there was no time for an answer
			busy, err = now, failed
		}
		return err == nil && !busy
	})
	if err == nil && busy {
		err = fmt.Errorf("%s is still at work", helper.Installer)
	}
	return err
}

// state is what is installed of the packages of a plan.
type state struct {
	from, to bool   // all of them are as before, or as they were to be
	held     int    // so many are held
	other    string // one that is neither
	err      error  // one that is not there once and whole, or cannot be read: neither
	text     string
}

// look compares what is installed with a plan.
func look(plan record) state {
	var names, words []string
	for _, p := range plan.From {
		names = append(names, p.Name)
	}
	list, err := host().Installed(names)
	if err != nil {
		return state{err: err, text: err.Error()}
	}
	s := state{from: true, to: true}
	for i, p := range list {
		is := fmt.Sprintf("%s is %s at %s", p.Name, p.State, p.Version)
		words = append(words, is)
		before, after := p.Version == plan.From[i].Version, p.Version == plan.To[i].Version
		s.from, s.to = s.from && before && p.Whole(), s.to && after && p.Whole()
		if p.Held {
			s.held++
		}
		if !before && !after {
			s.other = is
		}
	}
	s.text = strings.Join(words, ", ")
	return s
}
