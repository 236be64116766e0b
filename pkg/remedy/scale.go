package remedy

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// ScaleArgs are the arguments of scale.
type ScaleArgs struct {
	Unit  string // template, "worker@.service"; its instances are numbered from 1
	Count        // Max is also the highest number of an instance

	Balancer string        // pool of the remedy's own service that is a backend of a HAProxy; "": there is none
	Server   string        // an instance's server in it, with %i for its number
	Wait     time.Duration // how long a server may take until its sessions have ended, or until it answers
}

// maxInstances is how many instances of a template scale looks after.
const maxInstances = 64

// Names implements Args.
func (a *ScaleArgs) Names() string { return a.Unit }

// Among implements Choice.
func (a *ScaleArgs) Among() []string {
	stem, suffix, _ := strings.Cut(a.Unit, "@")
	return []string{stem + "@*" + suffix}
}

// Instance is the unit of that number.
func (a *ScaleArgs) Instance(n int) string {
	stem, suffix, _ := strings.Cut(a.Unit, "@")
	return stem + "@" + strconv.Itoa(n) + suffix
}

// ServerOf is the server of the instance of that number.
func (a *ScaleArgs) ServerOf(n int) string {
	return strings.ReplaceAll(a.Server, "%i", strconv.Itoa(n))
}

func scale() Spec {
	return Spec{
		Kind: Scale, Target: OnUnit, Disruptive: true, Undoable: true,
		Summary: "start more instances of a template on this host, or stop some; undo brings back those that ran before",
		Verbs:   []string{"start", "stop", "reset-failed"},
		Needs: "A balancer needs a stats socket with level admin, and an allow block with its pool and reset_pool, since its servers " +
			"are drained.",
		Worst: "what an instance serves is cut when it is stopped, and the host is short of memory when more are started. There are " +
			"never fewer than min and never more than max. An instance that was seen to be stopped by a person, or is masked, " +
			"stays down. So does one that was stopped before the agent started, whoever did that, while systemd has it in memory, as " +
			"it has what another unit wants; else it cannot be told from one that never ran. With a balancer, what a server is at " +
			"work on is cut off after \"wait\"; never the last one that takes requests.",
		Back: "Those that were started are stopped, and those that were stopped are started, unless a person changed them meanwhile. With " +
			"a balancer, also by the next agent, after one that died in the middle.",
		Args: []Arg{
			{Name: "unit", Type: String, Required: true, Target: true,
				Help: "template such as \"worker@.service\", whose instances have the numbers 1, 2, …; others are left alone. An allow " +
					"block names it by units = [\"worker@*.service\"]"},
			{Name: "by", Type: Integer, Least: -maxInstances, Most: maxInstances,
				Help: "so many more: those that are missing, the lowest first; or, if it is negative, fewer: the highest first"},
			{Name: "to", Type: Integer, Least: 1, Most: maxInstances, Help: "so many in all, instead of by"},
			{Name: "min", Type: Integer, Default: "1", Least: 1, Most: maxInstances, Help: "never fewer than these"},
			{Name: "max", Type: Integer, Required: true, Least: 1, Most: maxInstances,
				Help: "never more than these, and none with a higher number"},
			{Name: "balancer", Type: String, Help: "name of a pool block of the same service that is a backend of a HAProxy. Before an " +
				"instance is stopped its server is drained, and stays so; one that is started gets requests once HAProxy finds it " +
				"healthy. What a person put into maintenance is left alone"},
			{Name: "server", Type: String, Help: "an instance's server of that backend, with %i for its number: \"worker%i\""},
			{Name: "wait", Type: Duration, Default: "10s", Min: time.Second, Max: time.Minute,
				Help: "with a balancer: how long sessions may take to end by themselves, and an instance to be found healthy"},
		},
		decode: func(r *reader) Args {
			a := &ScaleArgs{Unit: r.text("unit"), Count: r.count(), Balancer: r.text("balancer"), Server: r.text("server")}
			if r.has("balancer") {
				a.Wait = r.duration("wait", 10*time.Second)
			}
			r.checkScale(a)
			return a
		},
	}
}

func (r *reader) checkScale(a *ScaleArgs) {
	if r.has("unit") {
		if wrong := CheckTemplateName(a.Unit); wrong != "" {
			r.problem("unit", "%s", wrong)
		}
	}
	switch {
	case r.has("balancer") && a.Balancer == "":
		r.problem("balancer", "the balancer has no name")
	case r.has("balancer") && (strings.Count(a.Server, "%i") != 1 || !serverName.MatchString(a.ServerOf(maxInstances))):
		r.problem(r.written("server"), "a balancer needs the name of an instance's server as server, such as \"worker%%i\", not %q", a.Server)
	case !r.has("balancer") && r.has("server"):
		r.problem("server", "server names a server of a balancer, and there is none")
	case !r.has("balancer") && r.has("wait"):
		r.problem("wait", "wait is for a balancer, and there is none")
	}
}

// CheckTemplateName returns what is wrong with the name of a template of services, or "".
func CheckTemplateName(name string) string {
	stem, ok := strings.CutSuffix(name, "@.service")
	if !ok || stem == "" || strings.Contains(stem, "@") {
		return fmt.Sprintf("%q is no template of services; write it as \"worker@.service\"", name)
	}
	return CheckUnitName(stem+"@1.service", false)
}
