package remedy

import (
	"fmt"
	"path"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/salveops/salve/pkg/defaults"
)

// Values are the arguments as they were written: argument name → value of the Go type that its Type
// stands for. Arguments that were not written are absent.
type Values map[string]any

// Problem is something wrong with one argument.
type Problem struct {
	Arg  string // "" when it is the remedy as a whole
	Text string // one sentence
	// Given and Known are set when a word was not understood, so that a message can suggest one.
	Given string
	Known []string
}

// Most that a remedy may carry.
const (
	maxWords      = 64
	maxWord       = 4096
	maxProperties = 16
)

// Decode turns the values into checked arguments. Names and types of the values are those of the
// kind's Args; the caller has seen to that. The problems come in the order of the arguments.
func (s Spec) Decode(v Values) (Args, []Problem) {
	args := Args{Runtime: s.Kind == SetProperty}
	var problems []Problem
	for _, arg := range s.Args {
		value, written := v[arg.Name]
		if !written && arg.Required {
			problems = append(problems, Problem{Text: fmt.Sprintf("%s needs %q: %s", s.Kind, arg.Name, arg.Help)})
		}
		if !written {
			if arg.Type != String {
				continue // the zero value, or what is set above
			}
			value = arg.Default
		}
		problems = append(problems, args.set(s.Kind, arg.Name, value, written)...)
	}
	if args.For > 0 && !args.Runtime {
		problems = append(problems, Problem{Arg: "for",
			Text: "a limit that ends by itself has to end with a reboot, too: leave out runtime = false"})
	}
	return args, problems
}

func (a *Args) set(kind Kind, name string, value any, written bool) []Problem {
	switch v := value.(type) {
	case string:
		return a.setString(name, v, written)
	case []string:
		return a.setCommand(name, v)
	case map[string]string:
		a.Properties = v
		return checkProperties(v)
	case bool:
		a.Runtime = v
	case time.Duration:
		a.For = v
	default:
		panic(fmt.Sprintf("remedy: argument %s of %s has the type %T", name, kind, value))
	}
	return nil
}

func (a *Args) setString(name, value string, written bool) []Problem {
	switch name {
	case "unit":
		a.Unit = value
		if written {
			return checkUnit(value)
		}
	case "signal":
		a.Signal = value
		return oneOf(name, value, Signals())
	case "whom":
		a.Whom = value
		return oneOf(name, value, []string{defaults.KillWhom, "all"})
	case "pool":
		a.Pool = value
		if written && value == "" {
			return []Problem{{Arg: name, Text: "the pool has no name"}}
		}
	case "mode":
		a.Mode = value
		return oneOf(name, value, []string{defaults.ResetMode})
	}
	return nil
}

func (a *Args) setCommand(name string, argv []string) []Problem {
	if name == "undo" {
		a.UndoExec = argv
	} else {
		a.Command = argv
	}
	if text := CheckCommand(argv); text != "" {
		return []Problem{{Arg: name, Text: text}}
	}
	return nil
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

func checkProperties(settings map[string]string) []Problem {
	if len(settings) == 0 || len(settings) > maxProperties {
		return []Problem{{Arg: "properties", Text: fmt.Sprintf("from 1 to %d properties, not %d",
			maxProperties, len(settings))}}
	}
	names := make([]string, 0, len(settings))
	for name := range settings {
		names = append(names, name)
	}
	sort.Strings(names)
	var problems []Problem
	for _, name := range names {
		if text := checkProperty(name, settings[name]); text != "" {
			p := Problem{Arg: "properties", Text: text}
			if _, known := findProperty(name); !known {
				p.Given, p.Known = name, Properties()
			}
			problems = append(problems, p)
		}
	}
	return problems
}

func checkUnit(name string) []Problem {
	if text := CheckUnitName(name, false); text != "" {
		return []Problem{{Arg: "unit", Text: text}}
	}
	return nil
}

func oneOf(arg, value string, known []string) []Problem {
	if slices.Contains(known, value) {
		return nil
	}
	return []Problem{{Arg: arg, Given: value, Known: known,
		Text: fmt.Sprintf("%q is none of %s", value, strings.Join(known, ", "))}}
}

// Signals that kill may send. SIGSTOP is not among them: a stopped service is a hung service.
func Signals() []string {
	return []string{
		"SIGKILL", "SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT", "SIGABRT", "SIGUSR1", "SIGUSR2", "SIGCONT",
	}
}
