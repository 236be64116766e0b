package main

import (
	"fmt"
	"os/exec"
	"reflect"
	"strings"
	"unicode"
)

// manual is a man page as it is written down.
type manual struct {
	name, section, summary string
	date, version          string
	pages                  []page
	exit                   string // what the exit codes mean, "": the help says it
	see                    []string
}

// roff renders the page. Everything in it comes from the command's own help.
func (m manual) roff() string {
	var b strings.Builder
	fmt.Fprintf(&b, ".TH %s %s \"%s\" \"Salve %s\" \"Salve\"\n",
		strings.ToUpper(escape(m.name)), m.section, m.date, m.version)
	fmt.Fprintf(&b, ".SH NAME\n%s \\- %s\n", escape(m.name), escape(m.summary))
	top := m.pages[0]
	for _, p := range top.text {
		if p.title == "Usage" {
			heading(&b, ".SH", "Synopsis")
			verbatim(&b, p.lines)
		}
	}
	for _, p := range top.text {
		switch p.title {
		case "Usage", "Additional help topics":
		case "":
			if len(strings.TrimSpace(strings.Join(p.lines, ""))) > 0 {
				heading(&b, ".SH", "Description")
				prose(&b, p.lines)
			}
		default:
			heading(&b, ".SH", p.title)
			verbatim(&b, p.lines)
		}
	}
	if len(m.pages) > 1 {
		heading(&b, ".SH", "Commands")
	}
	for _, p := range m.pages[1:] {
		fmt.Fprintf(&b, ".SS \"%s\"\n", escape(p.command))
		for _, q := range p.text {
			m.part(&b, q)
		}
	}
	if m.exit != "" {
		heading(&b, ".SH", "Exit status")
		verbatim(&b, strings.Split(strings.TrimSpace(m.exit), "\n")[1:])
	}
	heading(&b, ".SH", "See also")
	for i, s := range m.see {
		name, section, _ := strings.Cut(s, ".")
		fmt.Fprintf(&b, ".BR %s (%s)%s\n", escape(name), section, map[bool]string{true: ",", false: ""}[i+1 < len(m.see)])
	}
	return b.String()
}

// part writes one section of a command below the first.
func (manual) part(b *strings.Builder, p part) {
	switch p.title {
	case "":
		prose(b, p.lines)
	case "Global Flags":
	default:
		fmt.Fprintf(b, ".PP\n.B %s\n", escape(p.title+":"))
		verbatim(b, p.lines)
	}
}

func heading(b *strings.Builder, macro, title string) {
	fmt.Fprintf(b, "%s \"%s\"\n", macro, strings.ToUpper(escape(title)))
}

// prose writes paragraphs, which end at empty lines; lines that begin with a space keep their shape.
func prose(b *strings.Builder, lines []string) {
	begun := false
	for _, l := range lines {
		switch {
		case strings.TrimSpace(l) == "":
			begun = false
			continue
		case strings.HasPrefix(l, " "):
			b.WriteString(".br\n")
		case !begun:
			b.WriteString(".PP\n")
		}
		begun = true
		b.WriteString(escape(strings.TrimSpace(l)) + "\n")
	}
}

// verbatim writes lines as they are, without empty ones around them.
func verbatim(b *strings.Builder, lines []string) {
	text := strings.Trim(strings.Join(lines, "\n"), "\n")
	if text == "" {
		return
	}
	b.WriteString(".PP\n.nf\n")
	for l := range strings.SplitSeq(text, "\n") {
		b.WriteString(escape(strings.TrimRightFunc(l, unicode.IsSpace)) + "\n")
	}
	b.WriteString(".fi\n")
}

// escape keeps roff from reading text as its own.
func escape(s string) string {
	s = strings.NewReplacer(`\`, `\e`, `-`, `\-`).Replace(s)
	if strings.HasPrefix(s, ".") || strings.HasPrefix(s, "'") {
		s = `\&` + s
	}
	return s
}

// manualOf asks the program for its manual.
func (b *builder) manualOf(name, program string) (manual, error) {
	m := manual{name: name, section: "8", date: b.o.git.date.Format("2006-01-02"), version: b.version}
	switch name {
	case "salve":
		m.section, m.summary, m.see = "1", "ask and steer Salve, which heals systemd hosts",
			[]string{"salve-agent.8", "salve-controller.8"}
		exit, err := exec.Command(program, "help", "exit-codes").Output()
		if err != nil {
			return m, fmt.Errorf("help exit-codes: %w", err)
		}
		m.exit = string(exit)
		m.pages, err = walkHelp(program, name)
		return m, err
	case "salve-agent":
		m.summary = "watch a systemd host, heal it, and prove it"
		m.see = []string{"salve.1", "salve-agent-helper.8", "salve-controller.8"}
	case "salve-agent-helper":
		m.summary, m.see = "change units as root for salve-agent", []string{"salve-agent.8"}
	case "salve-controller":
		m.summary, m.see = "keep a fleet from hurting itself while it heals", []string{"salve.1", "salve-agent.8"}
	}
	p, err := ask(program, name)
	if err != nil {
		return m, err
	}
	m.pages = []page{p}
	for _, command := range commandsOf(name, p) {
		below, err := ask(program, name, command)
		if err != nil {
			return m, err
		}
		if !reflect.DeepEqual(below.text, p.text) { // most have no help of their own
			m.pages = append(m.pages, below)
		}
	}
	return m, nil
}
