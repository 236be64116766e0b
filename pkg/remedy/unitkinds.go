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
	}
}

func restart() Spec {
	return Spec{
		Kind: Restart, Target: OnUnit, Args: []Arg{unitArg()}, decode: decodeUnit, Disruptive: true,
		Summary: "stop and start a unit in one job",
		Verbs:   []string{"restart", "reset-failed"},
	}
}

func reload() Spec {
	return Spec{
		Kind: Reload, Target: OnUnit, Args: []Arg{unitArg()}, decode: decodeUnit,
		Summary: "ask a unit to read its configuration again",
		Verbs:   []string{"reload"},
	}
}

func stop() Spec {
	return Spec{
		Kind: Stop, Target: OnUnit, Args: []Arg{unitArg()}, decode: decodeUnit, Disruptive: true, Undoable: true,
		Summary: "stop a unit; undo starts it again",
		Verbs:   []string{"stop", "start"},
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
