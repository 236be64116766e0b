package remedy

import (
	"strings"
	"time"
)

// ShedArgs are the arguments of shed.
type ShedArgs struct {
	Victims []string      // units that may suffer, or globs of them; of equals the one that is named first
	By      string        // "memory" or "cpu": what the victim uses most of
	How     string        // "stop", "freeze" or "throttle"
	Limit   string        // of a throttle: CPUQuota for cpu, MemoryHigh for memory
	For     time.Duration // taken back after this time
}

// Words of shed.
const (
	ByMemory    = "memory"
	ByCPU       = "cpu"
	HowStop     = "stop"
	HowFreeze   = "freeze"
	HowThrottle = "throttle"
)

const maxVictims = 32

// Names implements Args: what people call it until one is chosen.
func (a *ShedArgs) Names() string { return strings.Join(a.Victims, " or ") }

// Among implements Choice.
func (a *ShedArgs) Among() []string { return a.Victims }

// Lasts implements Limited.
func (a *ShedArgs) Lasts() time.Duration { return a.For }

// Properties are the limits of a throttle.
func (a *ShedArgs) Properties() map[string]string {
	if a.By == ByCPU {
		return map[string]string{"CPUQuota": a.Limit}
	}
	return map[string]string{"MemoryHigh": a.Limit}
}

func shed() Spec {
	return Spec{
		Kind: Shed, Target: OnUnit, Disruptive: true, Undoable: true,
		Summary: "stop, freeze or throttle the unit that uses most, among those that may suffer; undo gives it back",
		Verbs:   []string{"start", "stop", "freeze", "thaw", "set-property"},
		Needs: "A throttle needs the controller of the limit, for memory in version 2 of control groups. A freeze needs version 2 " +
			"alone, and a unit without a watchdog.",
		Worst: "the work of one unit that was declared to be dispensable is cut, waits or is slow. Only the units of \"victims\" are looked at, " +
			"each as far as an allow block permits shed on it; never the unit of the alert, never one that Salve needs, and one unit " +
			"in one run, with what a stop takes along if an allow block permits stop on that.",
		Back: "After \"for\", by this agent or the next one: what was stopped is started, with what went along, each unless a person " +
			"started, stopped or masked it meanwhile; what was frozen goes on; a limit becomes what it was.",
		Args: []Arg{
			{Name: "victims", Type: Strings, Required: true, Target: true, Help: "units that may suffer, or globs such as " +
				"\"backup*.service\". The running one that uses most is chosen; of equals the one that is named first"},
			{Name: "by", Type: String, Required: true, Help: "\"memory\" or \"cpu\": what the victim is to use most of"},
			{Name: "how", Type: String, Required: true, Help: "\"stop\"; \"freeze\": its processes wait, use no CPU and " +
				"ask for no more memory, but keep what they have; \"throttle\""},
			{Name: "limit", Type: String, Help: "of a throttle: CPUQuota (\"20%\") for cpu, MemoryHigh (\"512M\") for memory"},
			{Name: "for", Type: Duration, Default: "10m", Min: ShortestLimit, Max: LongestLimit, Help: "taken back after this time"},
		},
		decode: func(r *reader) Args {
			a := &ShedArgs{Victims: r.strings("victims"), By: r.text("by"), How: r.text("how"), Limit: r.text("limit"),
				For: r.duration("for", 10*time.Minute)}
			r.checkShed(a)
			return a
		},
	}
}

func (r *reader) checkShed(a *ShedArgs) {
	if n := len(a.Victims); r.has("victims") && (n == 0 || n > maxVictims) {
		r.problem("victims", "from 1 to %d victims, not %d", maxVictims, n)
	}
	for _, glob := range a.Victims {
		if wrong := CheckUnitName(glob, true); wrong != "" {
			r.problem("victims", "%s", wrong)
		} else if !strings.HasSuffix(glob, ".service") {
			r.problem("victims", "%q does not end in .service: only services are shed", glob)
		}
	}
	if r.has("by") {
		r.oneOf("by", ByMemory, ByCPU)
	}
	if r.has("how") {
		r.oneOf("how", HowStop, HowFreeze, HowThrottle)
	}
	switch {
	case a.How != HowThrottle && r.has("limit"):
		r.problem("limit", "only a throttle has a limit")
	case a.How == HowThrottle && !r.has("limit"):
		r.problem("", "shed by a throttle needs limit: what the victim may still use")
	case a.How == HowThrottle && (a.By == ByCPU || a.By == ByMemory):
		for name, value := range a.Properties() {
			if wrong := checkProperty(name, value); wrong != "" {
				r.problem("limit", "%s", wrong)
			} else if !limits(a.Properties()) {
				r.problem("limit", "%s=%s limits nothing", name, value)
			}
		}
	}
}
