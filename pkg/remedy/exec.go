package remedy

import (
	"fmt"
	"path"
	"strings"
)

// Most that a command may carry.
const (
	maxWords = 64
	maxWord  = 4096
)

// ExecArgs are the arguments of exec.
type ExecArgs struct {
	Command []string // argv with an absolute path
	Undo    []string // argv that takes it back; nil means none
}

// Names implements Args.
func (a *ExecArgs) Names() string {
	if len(a.Command) == 0 {
		return ""
	}
	return a.Command[0]
}

func (a *ExecArgs) undoable() bool { return len(a.Undo) > 0 }

func execute() Spec {
	return Spec{
		Kind: Exec, Target: OnExec, Disruptive: true, Undoable: true,
		Summary: "run a program of your own",
		Needs:   "The program and each folder on its way may be writable by nobody but root and the agent's user.",
		Worst: "whatever the program does. It is run without a shell, in a clean environment, as the agent's user, in a process " +
			"group of its own that is killed at the time-out; never twice for one attempt.",
		Back: "By the program in \"undo\", run once; without one, never.",
		Args: []Arg{
			{Name: "command", Type: Command, Required: true, Target: true,
				Help: "program with an absolute path, and its arguments; no shell"},
			{Name: "undo", Type: Command, Help: "program that takes it back; default: it cannot be undone"},
		},
		decode: func(r *reader) Args { return &ExecArgs{Command: r.command("command"), Undo: r.command("undo")} },
	}
}

// command is an argv that was written well.
func (r *reader) command(name string) []string {
	argv, written := r.values[name].([]string)
	if !written {
		return nil
	}
	if wrong := CheckCommand(argv); wrong != "" {
		r.problem(name, "%s", wrong)
	}
	return argv
}

// CheckCommand returns what is wrong with an argv that the agent is to run, or "". It looks at the
// words only; whether the program is there, allowed and safe is for those who can see the host.
func CheckCommand(argv []string) string {
	if len(argv) == 0 || argv[0] == "" {
		return "the command is empty"
	}
	if !path.IsAbs(argv[0]) {
		return fmt.Sprintf("the program %q needs an absolute path: what a relative one means depends on who runs it",
			argv[0])
	}
	if path.Clean(argv[0]) != argv[0] {
		return fmt.Sprintf("the program %q must be written without \"..\", \".\" and double slashes: %s",
			argv[0], path.Clean(argv[0]))
	}
	if len(argv) > maxWords {
		return fmt.Sprintf("the command has %d words; at most %d", len(argv), maxWords)
	}
	for _, word := range argv {
		if len(word) > maxWord || strings.ContainsRune(word, 0) {
			return fmt.Sprintf("a word of the command is longer than %d bytes or holds a zero byte", maxWord)
		}
	}
	return ""
}
