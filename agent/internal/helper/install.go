package helper

import (
	"context"
	"fmt"
	"slices"
	"strings"

	sd "github.com/coreos/go-systemd/v22/dbus"

	"github.com/salveops/salve/agent/internal/order"
	"github.com/salveops/salve/agent/internal/systemd"
)

// Installer is the service in which versions of packages are put in place. It is process 1's, so that it ends what it began
// whether the agent and the helper live or not. There is one, as there is one package manager.
const Installer = "salve-packages.service"

// stopTime is how long a person who stops it, or the machine that goes down, waits for dpkg or rpm, as their own services do.
const stopTime = 900_000_000 // µs

// install starts the service. Nothing ends it but itself: a package manager that is killed leaves more to repair than one
// that takes long. What it waits for is bounded, for a lock, a mirror, and an answer that nobody gives; but for the lock of rpm,
// and once the versions are in place for that of dnf, which another has as long as it takes.
func (m manager) install(ctx context.Context, c *systemd.Calls, o order.Order) (job int, err error) {
	var commands []command
	for _, argv := range o.Commands() {
		program, err := find(argv[0])
		if err != nil {
			return 0, err
		}
		commands = append(commands, command{program, slices.Concat([]string{program}, argv[1:]), false})
	}
	var names []string
	for _, p := range o.Packages {
		names = append(names, p.String())
	}
	job, err = c.StartTransientUnitAux(ctx, Installer, "fail", []sd.Property{
		sd.PropDescription("Salve: install " + strings.Join(names, " ")),
		property("Type", "oneshot"),
		property("CollectMode", "inactive-or-failed"), // so that the name is free again
		property("ExecStart", commands),
		property("Environment", []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8", "DEBIAN_FRONTEND=noninteractive",
			"DEBIAN_PRIORITY=critical", "UCF_FORCE_CONFFOLD=1", "APT_LISTCHANGES_FRONTEND=none", "NEEDRESTART_SUSPEND=1"}),
		property("KillMode", "process"),
		property("SendSIGKILL", false),
		property("TimeoutStopUSec", uint64(stopTime)),
	}, nil, nil)
	if err != nil {
		return 0, order.Verdict(err)
	}
	return job, nil
}

// may reports whether the list permits to change each of the packages.
func (l List) may(packages []order.Package) error {
	for _, p := range packages {
		if !l.PermitsPackage(p.Name) {
			return fmt.Errorf("the list permits no %s of %s", order.Install, p.Name)
		}
	}
	return nil
}
