package remedy

import "github.com/salveops/salve/pkg/defaults"

// UnitArgs are the arguments of start, restart, reload and stop.
type UnitArgs struct {
	Unit string // unit to act on; "" means the alert's own unit
}

// Names implements Args.
func (a *UnitArgs) Names() string { return a.Unit }

// unitArg is the argument that every kind has which acts on a unit.
func unitArg() Arg {
	return Arg{Name: "unit", Type: String, Target: true, Help: "unit to act on; default: the unit that the alert is about"}
}

// unit reads unitArg.
func (r *reader) unit() UnitArgs {
	name := r.text("unit")
	if r.has("unit") {
		if wrong := CheckUnitName(name, false); wrong != "" {
			r.problem("unit", "%s", wrong)
		}
	}
	return UnitArgs{Unit: name}
}

func decodeUnit(r *reader) Args {
	a := r.unit()
	return &a
}

func start() Spec {
	return Spec{
		Kind: Start, Target: OnUnit, Args: []Arg{unitArg()}, decode: decodeUnit,
		Summary: "start a unit that is not running; a start limit that was hit is reset first",
		Verbs:   []string{"start", "reset-failed"},
		Worst: "a service comes up that had better stayed down. What a person stopped or masked stays down, and a start that " +
			"would bring up or stop another unit is refused unless that is allowed, too.",
		Back: "Never: what was dead and runs is what was wanted.",
	}
}

func restart() Spec {
	return Spec{
		Kind: Restart, Target: OnUnit, Args: []Arg{unitArg()}, decode: decodeUnit, Disruptive: true,
		Summary: "stop and start a unit in one job",
		Verbs:   []string{"restart", "reset-failed"},
		Worst: "requests that run are cut, and it may not come up again. It needs a permit where others serve the same, is " +
			"refused while systemd has a job for the unit, and takes no unit along on which it is not allowed.",
		Back: "Never: the process from before is gone.",
	}
}

func reload() Spec {
	return Spec{
		Kind: Reload, Target: OnUnit, Args: []Arg{unitArg()}, decode: decodeUnit,
		Summary: "ask a unit to read its configuration again",
		Verbs:   []string{"reload"},
		Worst: "a configuration that somebody edited and did not try comes into force. A unit without ExecReload= is refused, and " +
			"so is one whose reload is passed on to units on which it is not allowed.",
		Back: "Never: what the configuration was is not known.",
	}
}

func stop() Spec {
	return Spec{
		Kind: Stop, Target: OnUnit, Args: []Arg{unitArg()}, decode: decodeUnit, Disruptive: true, Undoable: true,
		Summary: "stop a unit; undo starts it again",
		Verbs:   []string{"stop", "start"},
		Worst:   "what the unit serves is gone. It needs a permit, and takes nothing along on which it is not allowed.",
		Back:    "The unit and what went along with it are started again, each unless a person started, stopped or masked it meanwhile.",
	}
}

// KillArgs are the arguments of kill.
type KillArgs struct {
	UnitArgs
	Signal string // by name, as in SIGTERM
	Whom   string // "main" or "all"
}

func kill() Spec {
	return Spec{
		Kind: Kill, Target: OnUnit, Disruptive: true,
		Summary: "send a signal to the processes of a unit",
		Verbs:   []string{"kill"},
		Worst: "requests that run are cut, and data is lost that was not written. systemd sends it, so it cannot meet a process " +
			"that only has the same number; SIGSTOP is not among the signals.",
		Back: "Never: what a signal did cannot be taken back.",
		Args: []Arg{
			unitArg(),
			{Name: "signal", Type: String, Default: defaults.KillSignal, Help: "signal to send"},
			{Name: "whom", Type: String, Default: defaults.KillWhom,
				Help: "\"main\": the main process; \"all\": every process of the unit"},
		},
		decode: func(r *reader) Args {
			return &KillArgs{r.unit(), r.oneOf("signal", Signals()...), r.oneOf("whom", defaults.KillWhom, "all")}
		},
	}
}

// Signals that kill may send. SIGSTOP is not among them: a stopped service is a hung service.
func Signals() []string {
	return []string{
		"SIGKILL", "SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT", "SIGABRT", "SIGUSR1", "SIGUSR2", "SIGCONT",
	}
}
