package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/salveops/salve/packaging/lab/rig"
)

// report is what a whole run found.
type report struct {
	machine rig.Machine
	opts    Options
	course  *course
	rows    []row
}

// leaks is how many figures grew beyond their limits.
func (r *report) leaks() (n int) {
	for _, x := range r.rows {
		if x.leaks() {
			n++
		}
	}
	return n
}

// markdown is the file of results.
func (r *report) markdown() string {
	var b strings.Builder
	b.WriteString("# Soak\n\nWritten by `make soak`; `soak.go` beside this page says how, `trend.go` has the limits and " +
		"why.\n\n")
	fmt.Fprintf(&b, "%sCommand: `%s`.\n\n", r.machine.Headline(), r.opts.Command)
	fmt.Fprintf(&b, "%v with %d controllers and %d agents, each with %d services: %s.\n\n", r.opts.Time.Round(time.Second),
		nodes, r.opts.Hosts, r.opts.Services, r.course)
	fmt.Fprintf(&b, "Each figure was taken every %v: at the start, after the warm-up of %v and at the end (the middle "+
		"one\n"+
		"of %d); the growth in an hour is by least squares over what came after the warm-up, with its standard error. What\n"+
		"exceeds its limit by more than two of these is a leak. ", r.opts.Every,
		r.opts.warm().Round(time.Second), edge)
	switch n := r.leaks(); {
	case !r.opts.tells():
		b.WriteString("A run as short as this shows that it works, and no leaks.\n\n")
	case n > 0:
		fmt.Fprintf(&b, "**%d of %d figures grew beyond their limits.**\n\n", n, len(r.rows))
	default:
		b.WriteString("Nothing grew beyond its limit.\n\n")
	}
	b.WriteString("| process | figure | start | warm | end | growth an hour | limit | |\n" +
		"|---|---|--:|--:|--:|--:|--:|---|\n")
	for _, x := range r.rows {
		word := "ok"
		if r.opts.tells() && x.leaks() {
			word = "**grows**"
		}
		fmt.Fprintf(&b, "| %s | %s | %.1f | %.1f | %.1f | %+.1f ± %.1f | %.0f | %s |\n", x.process, figureNames[x.figure],
			x.start, x.warm, x.end, x.growth, x.doubt, x.limit, word)
	}
	return b.String()
}
