package remedy

import (
	"fmt"
	"time"

	"github.com/salveops/salve/pkg/defaults"
)

// ThisHost is the target of what takes the whole host.
const ThisHost = "host"

// RebootArgs are the arguments of reboot.
type RebootArgs struct {
	MinUptime time.Duration // a boot that is younger is left alone
	PerDay    int           // so many reboots by this host's agent in 24 h; at least 1
}

// Names implements Args.
func (a *RebootArgs) Names() string { return ThisHost }

func reboot() Spec {
	return Spec{
		Kind: Reboot, Target: OnHost, Disruptive: true, Shared: true,
		Summary: "reboot the host in order, as the last resort; one host of the fleet at a time",
		Needs: "A controller that gives a permit for all services of the host: without one nothing is rebooted, and neither `alone` nor a " +
			"person's `salve agent run` changes that. systemd as PID 1 with logind, and polkit's leave for it, which salve-agent " +
			"polkit-rules gives where an allow block has `host = true`.",
		Worst: "every service of the host is away for as long as it boots, or for good if it does not come up again. Refused while another " +
			"remedy runs or is being verified here, a package transaction runs, somebody is logged in or has an inhibitor (systemd-inhibit), " +
			"anything of the host is paused or was stopped by a person, for the last host that serves one of its services, in a boot " +
			"younger than \"min_uptime\", and more than \"per_day\" times a day.",
		Back: "Never. Whether it took place is told by the identity of the boot, and whether it helped by what is verified after it.",
		Args: []Arg{
			{Name: "min_uptime", Type: Duration, Default: defaults.Duration(defaults.RebootMinUptime), Min: 10 * time.Second,
				Max: 30 * 24 * time.Hour, Help: "a boot that is younger is left alone: what a reboot did not heal, the next one will not"},
			{Name: "per_day", Type: Integer, Default: fmt.Sprint(defaults.RebootPerDay), Least: 1, Most: 3,
				Help: "so many reboots by Salve in 24 hours, of all remedies of this kind on the host"},
		},
		decode: func(r *reader) Args {
			return &RebootArgs{MinUptime: r.duration("min_uptime", defaults.RebootMinUptime),
				PerDay: r.integer("per_day", defaults.RebootPerDay)}
		},
	}
}
