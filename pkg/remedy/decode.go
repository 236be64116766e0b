package remedy

import (
	"fmt"
	"slices"
	"strings"
	"time"
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

// Decode turns the values into checked arguments. Names and types of the values are those of the
// kind's Args; the caller has seen to that.
func (s Spec) Decode(v Values) (Args, []Problem) {
	r := &reader{values: v, args: s.Args}
	for _, arg := range s.Args {
		if _, written := v[arg.Name]; !written && arg.Required {
			r.problem("", "%s needs %q: %s", s.Kind, arg.Name, arg.Help)
		}
	}
	return s.decode(r), r.problems
}

// reader hands the values to a kind's own decoder and gathers what that finds wrong. An argument that is required and
// missing is reported already.
type reader struct {
	values   Values
	args     []Arg
	problems []Problem
}

func (r *reader) problem(arg, format string, args ...any) {
	r.problems = append(r.problems, Problem{Arg: arg, Text: fmt.Sprintf(format, args...)})
}

// has reports whether the argument was written.
func (r *reader) has(name string) bool {
	_, written := r.values[name]
	return written
}

// text is a string as it was written, or else its default.
func (r *reader) text(name string) string {
	if s, ok := r.values[name].(string); ok {
		return s
	}
	i := slices.IndexFunc(r.args, func(a Arg) bool { return a.Name == name })
	return r.args[i].Default
}

// oneOf is a string that must be one of the known words.
func (r *reader) oneOf(name string, known ...string) string {
	value := r.text(name)
	if !slices.Contains(known, value) {
		r.problems = append(r.problems, Problem{Arg: name, Given: value, Known: known,
			Text: fmt.Sprintf("%q is none of %s", value, strings.Join(known, ", "))})
	}
	return value
}

func (r *reader) dict(name string) map[string]string {
	m, _ := r.values[name].(map[string]string)
	return m
}

// boolean is a bool as it was written, or else unwritten.
func (r *reader) boolean(name string, unwritten bool) bool {
	if b, ok := r.values[name].(bool); ok {
		return b
	}
	return unwritten
}

// duration is a time as it was written, or else unwritten.
func (r *reader) duration(name string, unwritten time.Duration) time.Duration {
	if d, ok := r.values[name].(time.Duration); ok {
		return d
	}
	return unwritten
}

func (r *reader) strings(name string) []string {
	list, _ := r.values[name].([]string)
	return list
}

// integer is a whole number as it was written, or else unwritten.
func (r *reader) integer(name string, unwritten int) int {
	if n, ok := r.values[name].(int); ok {
		return n
	}
	return unwritten
}

// share is a share as it was written, or else unwritten.
func (r *reader) share(name string, unwritten float64) float64 {
	if f, ok := r.values[name].(float64); ok {
		return f
	}
	return unwritten
}

func (r *reader) integers(name string) []int {
	list, _ := r.values[name].([]int)
	return list
}
