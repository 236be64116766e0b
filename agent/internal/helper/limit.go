package helper

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	sd "github.com/coreos/go-systemd/v22/dbus"
	"github.com/godbus/dbus/v5"

	"github.com/salveops/salve/agent/internal/order"
	"github.com/salveops/salve/agent/internal/systemd"
)

// A limit that ends is a limit and a timer of systemd's, which puts back what was before. Once it is made it takes
// neither the agent nor the helper, and systemd forgets both together at a reboot.
//
//	salve-limit-UNIT.timer ──after For──► salve-limit-UNIT.service ─► systemctl set-property --runtime UNIT OLD…
//	       ▲ first                              ▲                     rm drop-ins that were not there before
//	limit ─┴─► set-property UNIT NEW…    lift ──┘ at once, and the timer is stopped
//
// There is one at a time for a unit: a second one would take the first one's limit for what was before, and put that
// back for good.

const limitPrefix = "salve-limit-"

// maxName is systemd's limit for the names of units.
const maxName = 255

// Timer is the name of the timer that ends a limit of the unit, and thereby the sign that there is one.
func Timer(unit string) string { return limitPrefix + unit + ".timer" }

func serviceOf(timer string) string { return strings.TrimSuffix(timer, ".timer") + ".service" }

// manager is where the helper's systemd keeps what it is told, and how its own tools reach it.
type manager struct {
	bus     string   // "unix:path=…/systemd/private"
	control string   // folder of the drop-ins that set-property --runtime makes
	ctl     []string // systemctl
}

// SystemBus is the private socket of process 1, which only root can open.
const SystemBus = "unix:path=/run/systemd/private"

func newManager(bus string) (manager, error) {
	dir, ok := strings.CutSuffix(strings.TrimPrefix(bus, "unix:path="), "/private")
	if !ok || !filepath.IsAbs(dir) {
		return manager{}, fmt.Errorf("%q is no systemd's private socket: want unix:path=…/systemd/private", bus)
	}
	program, err := find("systemctl")
	if err != nil {
		return manager{}, err
	}
	if bus == SystemBus {
		return manager{bus, filepath.Join(dir, "system.control"), []string{program}}, nil
	}
	return manager{bus, filepath.Join(dir, "user.control"), []string{program, "--user"}}, nil
}

// find looks where distributions put it, never in $PATH.
func find(program string) (string, error) {
	for _, dir := range []string{"/usr/bin", "/bin"} {
		path := filepath.Join(dir, program)
		if _, err := os.Stat(path); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("%s is not installed", program)
}

// limit sets what ends by itself. The timer comes first: if this process dies after it, a limit that was never set
// is taken back, which does nothing.
func (m manager) limit(ctx context.Context, c *systemd.Calls, o order.Order) error {
	timer := Timer(o.Unit)
	if len(serviceOf(timer)) > maxName {
		return fmt.Errorf("the name of %s is too long for a limit that ends", o.Unit)
	}
	switch pending, err := pending(ctx, c, timer); {
	case err != nil:
		return err
	case pending:
		return fmt.Errorf("%s has a limit already that ends by itself", o.Unit)
	}
	old, err := order.Read(ctx, c, o.Unit, o.Properties)
	if err != nil {
		return err
	}
	if err := m.begin(ctx, c, o, old); err != nil {
		return err
	}
	o.For = 0
	_, err = order.Do(ctx, c, o)
	if err != nil && !errors.Is(err, order.ErrLost) {
		_, stopErr := c.StopUnitContext(ctx, timer, "fail", nil)
		return errors.Join(err, stopErr)
	}
	return err
}

// begin makes the timer and waits until it runs.
func (m manager) begin(ctx context.Context, c *systemd.Calls, o order.Order, old map[string]order.Value) error {
	back, err := m.back(o.Unit, old)
	if err != nil {
		return err
	}
	timer, about := Timer(o.Unit), sd.PropDescription("Salve: put back the limits of "+o.Unit)
	collect := property("CollectMode", "inactive-or-failed") // so that the name is free again
	done := make(chan string, 1)
	_, err = c.StartTransientUnitAux(ctx, timer, "fail", []sd.Property{
		about, collect,
		property("OnActiveSec", uint64(o.For.Microseconds())),
		property("AccuracyUSec", uint64(100_000)),
		property("RemainAfterElapse", false),
	}, []sd.PropertyCollection{{Name: serviceOf(timer), Properties: append(back,
		about, collect,
		// Systemd itself may be out of reach for a moment, as when it executes itself anew.
		property("Restart", "on-failure"),
		property("RestartUSec", uint64(10_000_000)),
		property("StartLimitIntervalUSec", uint64(3600_000_000)),
		property("StartLimitBurst", uint32(60)),
	)}}, done)
	if err != nil {
		return order.Verdict(err)
	}
	select {
	case result := <-done:
		if result != "done" {
			return fmt.Errorf("the timer that would end the limit did not start (%s)", result)
		}
		return nil
	case <-ctx.Done():
		return fmt.Errorf("the timer that would end the limit did not start: %w", ctx.Err())
	}
}

// back are the commands that put the old values back. They are systemd's own, so that the limit ends also when Salve
// is not installed any more.
func (m manager) back(unit string, old map[string]order.Value) ([]sd.Property, error) {
	assignments, err := order.Assignments(old)
	if err != nil {
		return nil, err
	}
	argv := slices.Concat(m.ctl, []string{"set-property", "--runtime", "--", unit}, assignments)
	out := []sd.Property{property("ExecStart", []command{{argv[0], argv, false}})}
	var files []string
	for name := range old {
		file := filepath.Join(m.control, unit+".d", "50-"+name+".conf")
		if _, err := os.Lstat(file); errors.Is(err, os.ErrNotExist) {
			files = append(files, file)
		}
	}
	if len(files) == 0 {
		return out, nil
	}
	slices.Sort(files)
	rm, err := find("rm")
	if err != nil {
		return nil, err
	}
	argv = slices.Concat([]string{rm, "-f", "-d", "--"}, files, []string{filepath.Dir(files[0])}) // the folder if empty
	return append(out, property("ExecStopPost", []command{{argv[0], argv, true}})), nil
}

// command is one of systemd's Exec lines as D-Bus has it.
type command struct {
	Path    string
	Argv    []string
	Ignored bool // whether a failure is
}

func property(name string, value any) sd.Property {
	return sd.Property{Name: name, Value: dbus.MakeVariant(value)}
}

// lift ends a limit now: what the timer would start is started, and the timer stopped. Where the timer does not run
// any more the limit ended already, or is about to, and nothing is done. It does not wait until the values are back.
func lift(ctx context.Context, c *systemd.Calls, unit string) error {
	timer := Timer(unit)
	if runs, err := active(ctx, c, timer); err != nil || !runs {
		return err
	}
	_, startErr := c.StartUnitContext(ctx, serviceOf(timer), "fail", nil)
	if startErr != nil && !gone(startErr) {
		return order.Verdict(startErr)
	}
	_, stopErr := c.StopUnitContext(ctx, timer, "fail", nil)
	if stopErr != nil && !gone(stopErr) {
		return order.Verdict(stopErr)
	}
	return nil
}

// gone reports whether systemd has no such unit any more: a timer goes with what it had to do.
func gone(err error) bool {
	var answer dbus.Error
	return errors.As(err, &answer) && answer.Name == "org.freedesktop.systemd1.NoSuchUnit"
}

// pending reports whether the timer waits, or what it started is at work.
func pending(ctx context.Context, c *systemd.Calls, timer string) (bool, error) {
	if runs, err := active(ctx, c, timer); err != nil || runs {
		return runs, err
	}
	return active(ctx, c, serviceOf(timer))
}

func active(ctx context.Context, c *systemd.Calls, unit string) (bool, error) {
	p, err := c.GetUnitPropertyContext(ctx, unit, "ActiveState")
	if err != nil {
		return false, fmt.Errorf("look for a limit that is in force: %w", err)
	}
	state, _ := p.Value.Value().(string)
	return state != "inactive" && state != "failed", nil
}
