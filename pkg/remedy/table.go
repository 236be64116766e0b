package remedy

import (
	"time"

	"github.com/salveops/salve/pkg/defaults"
)

// Bounds of how long a limit may last that ends by itself.
const (
	ShortestLimit = time.Second
	LongestLimit  = 24 * time.Hour
)

// Specs lists every kind that exists, in the order in which people read them.
func Specs() []Spec {
	unit := Arg{Name: "unit", Type: String, Help: "unit to act on; default: the unit that the alert is about"}
	return []Spec{
		{
			Kind: Start, Target: OnUnit, Args: []Arg{unit},
			Summary: "start a unit that is not running; a start limit that was hit is reset first",
			Verbs:   []string{"start", "reset-failed"},
		},
		{
			Kind: Restart, Target: OnUnit, Args: []Arg{unit}, Disruptive: true,
			Summary: "stop and start a unit in one job",
			Verbs:   []string{"restart", "reset-failed"},
		},
		{
			Kind: Reload, Target: OnUnit, Args: []Arg{unit},
			Summary: "ask a unit to read its configuration again",
			Verbs:   []string{"reload"},
		},
		{
			Kind: Stop, Target: OnUnit, Args: []Arg{unit}, Disruptive: true, Undoable: true,
			Summary: "stop a unit; undo starts it again",
			Verbs:   []string{"stop", "start"},
		},
		{
			Kind: Kill, Target: OnUnit, Disruptive: true,
			Summary: "send a signal to the processes of a unit",
			Verbs:   []string{"kill"},
			Args: []Arg{
				unit,
				{Name: "signal", Type: String, Default: defaults.KillSignal, Help: "signal to send"},
				{Name: "whom", Type: String, Default: defaults.KillWhom,
					Help: "\"main\": the main process; \"all\": every process of the unit"},
			},
		},
		{
			Kind: SetProperty, Target: OnUnit, Disruptive: true, Undoable: true,
			Summary: "change resource limits of a unit while it runs; undo puts the old values back",
			Verbs:   []string{"set-property"},
			Args: []Arg{
				unit,
				{Name: "properties", Type: Map, Required: true,
					Help: "systemd property and value, as in unit files: { CPUQuota = \"20%\" }"},
				{Name: "runtime", Type: Bool, Default: "true", Help: "true: lost at reboot"},
				{Name: "for", Type: Duration, Min: ShortestLimit, Max: LongestLimit,
					Help: "taken back after this time, also if the agent is dead then, by the helper; default: kept until undone"},
			},
		},
		{
			Kind: Exec, Target: OnExec, Disruptive: true, Undoable: true,
			Summary: "run a program of your own",
			Args: []Arg{
				{Name: "command", Type: Strings, Required: true,
					Help: "program with an absolute path, and its arguments; no shell"},
				{Name: "undo", Type: Strings, Help: "program that takes it back; default: it cannot be undone"},
			},
		},
		{
			Kind: ResetPool, Target: OnPool,
			Summary: "make a connection pool replace its connections to the database",
			Args: []Arg{
				{Name: "pool", Type: String, Required: true, Help: "name of a pool block of the same service"},
				{Name: "mode", Type: String, Default: defaults.ResetMode,
					Help: "\"reconnect\": server connections are replaced as they become free; no query is cut"},
			},
		},
	}
}

// Lookup finds the kind by the name that configurations use.
func Lookup(name string) (Spec, bool) {
	for _, s := range Specs() {
		if string(s.Kind) == name {
			return s, true
		}
	}
	return Spec{}, false
}

// Names lists the kinds that exist.
func Names() []string {
	var names []string
	for _, s := range Specs() {
		names = append(names, string(s.Kind))
	}
	return names
}

// Later says what a known kind that does not exist yet will do.
func Later(name string) (what string, ok bool) {
	what, ok = later()[name]
	return what, ok
}

func later() map[string]string {
	return map[string]string{
		"clear_cache": "empties a cache",
		"isolate":     "takes the host out of the traffic",
		"scale":       "changes the number of instances",
		"rollback":    "goes back to the version before",
		"free_space":  "removes old files from allowed folders",
		"shed":        "refuses part of the load",
		"dump":        "saves a core dump or a profile",
		"reboot":      "reboots the host",
	}
}

// Risk says what an attempt with these arguments may take away. Facts just before acting can only
// make it milder: starting or restarting a unit that has no main process takes nothing away.
func (s Spec) Risk(a Args) (disruptive, shared bool) {
	if s.Kind == SetProperty {
		return limits(a.Properties), s.Shared
	}
	return s.Disruptive, s.Shared
}

// CanUndo reports whether an attempt with these arguments can be taken back.
func (s Spec) CanUndo(a Args) bool {
	if s.Kind == Exec {
		return len(a.UndoExec) > 0
	}
	return s.Undoable
}
