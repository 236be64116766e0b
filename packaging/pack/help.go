package main

import (
	"fmt"
	"os/exec"
	"regexp"
	"strings"
)

// page is what a command says of itself.
type page struct {
	command string // "salve agent pause"
	text    []part
	below   []string // names of commands below it
	flags   []flag
}

// part is one section of a help text; the first has no title.
type part struct {
	title string
	lines []string
}

// flag is one flag, "--config", and what it is for.
type flag struct{ name, short, help string }

// Sections of a help text that list no commands.
var noCommands = map[string]bool{"": true, "Usage": true, "Examples": true, "Flags": true, "Global Flags": true,
	"Aliases": true, "Additional help topics": true}

var (
	titleLine   = regexp.MustCompile(`^([A-Z][A-Za-z ]*):$`)
	commandLine = regexp.MustCompile(`^  ([a-z][a-z-]*) {2,}\S`)
	flagLine    = regexp.MustCompile(`^ +(?:(-[a-z]), )?(--[a-z][a-z-]*)\S*(?: [a-z]+)? {2,}(\S.*)$`)
)

// ask runs a command's help and takes it apart.
func ask(program string, command ...string) (page, error) {
	out, err := exec.Command(program, append(command[1:], "--help")...).CombinedOutput()
	if err != nil {
		return page{}, fmt.Errorf("%s --help: %w\n%s", strings.Join(command, " "), err, out)
	}
	return parseHelp(strings.Join(command, " "), string(out)), nil
}

func parseHelp(command, text string) page {
	p := page{command: command, text: []part{{}}}
	for line := range strings.SplitSeq(strings.TrimRight(text, "\n"), "\n") {
		now := &p.text[len(p.text)-1]
		if m := titleLine.FindStringSubmatch(line); m != nil {
			p.text = append(p.text, part{title: m[1]})
			continue
		}
		if strings.HasPrefix(line, "Usage: ") { // of the daemons
			p.text = append(p.text, part{title: "Usage", lines: []string{strings.Replace(line, "Usage:", "      ", 1)}})
			continue
		}
		if strings.HasPrefix(line, `Use "`) {
			continue // how to get this help
		}
		if now.title == "Usage" && line != "" && line[0] != ' ' { // words below the usage of a daemon
			p.text = append(p.text, part{})
			now = &p.text[len(p.text)-1]
		}
		now.lines = append(now.lines, line)
		if m := commandLine.FindStringSubmatch(line); m != nil && !noCommands[now.title] {
			p.below = append(p.below, m[1])
		}
		if m := flagLine.FindStringSubmatch(line); m != nil && strings.HasSuffix(now.title, "lags") {
			p.flags = append(p.flags, flag{name: m[2], short: m[1], help: m[3]})
		}
	}
	return p
}

// walkHelp asks a command and all below it, in the order in which they are listed.
func walkHelp(program string, command ...string) ([]page, error) {
	p, err := ask(program, command...)
	if err != nil {
		return nil, err
	}
	pages := []page{p}
	for _, name := range p.below {
		if len(command) == 1 && (name == "help" || name == "completion") {
			continue // cobra's own
		}
		more, err := walkHelp(program, append(append([]string{}, command...), name)...)
		if err != nil {
			return nil, err
		}
		pages = append(pages, more...)
	}
	return pages, nil
}
