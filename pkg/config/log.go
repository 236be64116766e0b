package config

import (
	"regexp"
	"regexp/syntax"
	"strings"
	"time"
)

// Bounds of what is looked for in the journal. The time that an expression takes for one byte of a line grows with
// the steps that it is compiled to.
const (
	maxMatch = 512
	maxSteps = 1000
)

func (l *loader) decodeLog(b *block) *Log {
	g := &Log{Name: b.name("log", checkWord), Range: b.header, Window: b.duration("window"), Match: b.pattern("match")}
	if g.Window%time.Second != 0 {
		b.fail("window", "Out of bounds", "window is a number of whole seconds, not %s.", g.Window)
	}
	return g
}

// pattern reads a regular expression. It is never nil, so that reading goes on.
func (b *block) pattern(name string) *regexp.Regexp {
	re := regexp.MustCompile("")
	b.checked(name, func(s string) (wrong string) {
		re, wrong = compilePattern(s)
		return wrong
	})
	return re
}

func compilePattern(s string) (re *regexp.Regexp, wrong string) {
	none := regexp.MustCompile("")
	if len(s) > maxMatch {
		return none, "an expression has at most 512 bytes; several log blocks can look for more"
	}
	parsed, err := syntax.Parse(s, syntax.Perl)
	if err != nil {
		return none, "not a regular expression (RE2): " + strings.TrimPrefix(err.Error(), "error parsing regexp: ")
	}
	if prog, err := syntax.Compile(parsed.Simplify()); err != nil || len(prog.Inst) > maxSteps {
		return none, "the expression is too large: it repeats something long too often"
	}
	if re = regexp.MustCompile(s); re.MatchString("") {
		return re, "the expression matches the empty text, and so every line; to count all lines write \".\""
	}
	return re, ""
}

func (g *Log) name() string { return g.Name }

func logNames(logs []*Log) []string {
	names := make([]string, len(logs))
	for i, g := range logs {
		names[i] = g.Name
	}
	return names
}
