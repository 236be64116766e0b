package downgrade

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/salveops/salve/agent/internal/act/kind"
	"github.com/salveops/salve/agent/internal/act/program"
	"github.com/salveops/salve/agent/internal/dpkg"
	"github.com/salveops/salve/agent/internal/helper"
	"github.com/salveops/salve/agent/internal/order"
)

const quietTime = time.Second // for systemd to say whether the installer runs

// install has the helper put versions in place, and waits for the end of that. It goes on when nobody waits any more.
func (k Kind) install(ctx context.Context, o order.Order) error {
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
		return fmt.Errorf("%s ended as %q: journalctl -u %s has what apt-get said", helper.Installer, result, helper.Installer)
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
	text     string
}

// look compares what is installed with a plan. What cannot be read is neither.
func look(plan record) state {
	var names, words []string
	for _, p := range plan.From {
		names = append(names, p.Name)
	}
	list, err := dpkg.Host.Installed(names)
	if err != nil {
		return state{other: err.Error(), text: err.Error()}
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

// aptGet is the program that says what it would do. The helper finds its own.
const aptGet = "/usr/bin/apt-get"

const simulateTime = 30 * time.Second

// simulate lets apt-get say what it would do, which takes no right, and refuses when that is anything but the plan. It returns
// the plan line by line. What no repository has any more may still lie where apt-get keeps what it has downloaded.
func (k Kind) simulate(ctx context.Context, plan record) ([]string, error) {
	if err := program.Check(aptGet); err != nil {
		return nil, kind.Refuse("%v", err)
	}
	ask := func() (program.Output, error) {
		o := order.Order{Verb: order.Install, Packages: plan.To, Hold: true}
		return program.Run(ctx, aptGet, program.Cmd{Argv: slices.Concat([]string{aptGet, "--simulate"}, o.Apt()), Timeout: simulateTime})
	}
	out, err := ask()
	if err == nil && out.Code != 0 && plan.keep() {
		out, err = ask()
	}
	switch {
	case err != nil:
		return nil, kind.Unknown("what apt-get would do", err)
	case out.Code != 0:
		return nil, kind.Refuse("apt-get would not install %s: %s", text(plan.To), complaint(string(out.Stderr)))
	case out.Truncated:
		return nil, kind.Refuse("apt-get would do more than can be read")
	}
	if wrong := beyond(steps(string(out.Stdout)), plan); wrong != "" {
		return nil, kind.Refuse("apt-get would not only install %s: %s", text(plan.To), wrong)
	}
	var detail []string
	for i, p := range plan.To {
		from := ""
		if p.Kept != "" {
			from = " from " + p.File(p.Kept)
		}
		detail = append(detail, fmt.Sprintf("install %s%s instead of %s, and hold it", p, from, plan.From[i].Version))
	}
	return detail, nil
}

// keep has those versions come from files that apt-get keeps of which there is one, and reports whether there are any.
func (r record) keep() (any bool) {
	for i, p := range r.To {
		for _, arch := range []string{r.arch[p.Name], "all"} {
			if _, err := os.Stat(p.File(arch)); err == nil && arch != "" {
				r.To[i].Kept, any = arch, true
			}
		}
	}
	return any
}
