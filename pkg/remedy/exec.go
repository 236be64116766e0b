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

// ExecArgs are the arguments of exec. Words of both commands may hold facts; see Expand.
type ExecArgs struct {
	Command  []string // argv with an absolute path
	Undo     []string // argv that takes it back; nil means none
	Unneeded []int    // exit codes that say: nothing was to be done, and nothing was
	Refused  []int    // exit codes that say: it would not, and nothing was done
	Retry    []int    // exit codes that say: not now, nothing was done, ask again
	Memory   int      // MiB that it may have, with all that it starts; 0: no limit
	Tasks    int      // processes and threads; 0: no limit
	CPU      float64  // share of one CPU; 0: no limit
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
		Needs: "The program and each folder on its way may be writable by nobody but root and the agent's user. A control group " +
			"of its own needs Linux 5.14 and examples/exec.conf of the package, the limits also systemd 254; without them, what it leaves is found by " +
			"its environment, and memory_mib, tasks and cpu are refused.",
		Worst: "whatever the program does. It is run without a shell, in a clean environment, as the agent's user and with no more " +
			"rights than that. At the time-out it is asked to end, and two seconds later killed with all that it started; what is left when it ends is " +
			"killed, too. What looks like a secret in its output is not kept. It is never run twice for one attempt but when it says so (retry).",
		Back: "By the program in \"undo\", which is on disk before the first one begins and is run once; without one, never. After " +
			"unneeded, refused and retry there is nothing to take back.",
		Args: []Arg{
			{Name: "command", Type: Command, Required: true, Target: true,
				Help: "program with an absolute path, and its arguments; no shell. ${NAME} in an argument is a fact: " + strings.Join(Facts(), ", ") +
					". A fact never becomes an option or a second argument; one that is not known refuses the remedy"},
			{Name: "undo", Type: Command, Help: "program that takes it back, with the same facts; default: it cannot be undone"},
			{Name: "unneeded", Type: Integers, Least: 1, Most: 125, Help: "exit codes that say that nothing was to be done; the recovery is verified as after 0"},
			{Name: "refused", Type: Integers, Least: 1, Most: 125, Help: "exit codes that say that it would not, and that nothing was done; the next remedy has its turn"},
			{Name: "retry", Type: Integers, Least: 1, Most: 125, Help: "exit codes that say that nothing was done yet: it is run again after 1 s, 2 s, 4 s, … until timeout"},
			{Name: "memory_mib", Type: Integer, Least: 4, Most: 1 << 20, Help: "memory of it and all that it starts; more kills them"},
			{Name: "tasks", Type: Integer, Least: 1, Most: 10_000, Help: "processes and threads of it and all that it starts"},
			{Name: "cpu", Type: Share, Help: "share of one CPU for it and all that it starts"},
		},
		decode: func(r *reader) Args {
			a := &ExecArgs{
				Command: r.command("command"), Undo: r.command("undo"), Unneeded: r.integers("unneeded"), Refused: r.integers("refused"),
				Retry: r.integers("retry"), Memory: r.integer("memory_mib", 0), Tasks: r.integer("tasks", 0), CPU: r.share("cpu", 0),
			}
			r.checkCodes(a)
			return a
		},
	}
}

// checkCodes: one exit code has one meaning.
func (r *reader) checkCodes(a *ExecArgs) {
	means := map[int]string{}
	for _, list := range []struct {
		name  string
		codes []int
	}{{"unneeded", a.Unneeded}, {"refused", a.Refused}, {"retry", a.Retry}} {
		for _, code := range list.codes {
			if other, double := means[code]; double {
				r.problem(list.name, "exit code %d is in %s already", code, other)
			}
			means[code] = list.name
		}
	}
}

// command is an argv that was written well.
func (r *reader) command(name string) []string {
	argv, written := r.values[name].([]string)
	if !written {
		return nil
	}
	wrong := CheckCommand(argv)
	for i, word := range argv {
		switch {
		case wrong != "":
		case i == 0 && strings.Contains(word, "${"):
			wrong = "the program itself is written out; facts stand in its arguments"
		default:
			wrong = checkWord(word)
		}
	}
	if wrong != "" {
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
