package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/salveops/salve/packaging/lab/rig"
)

// Options of the demo.
type Options struct {
	Agent   string // salve-agent; "": beside this program
	Service string // lab service; "": beside this program
	Private bool   // start a manager even if one is running
	Keep    bool   // leave it running until Ctrl-C
	Only    []int  // numbers of the stories to play; empty: all
	Out     io.Writer
}

func (o *Options) validate() error {
	for _, p := range []struct {
		path *string
		name string
	}{{&o.Agent, "salve-agent"}, {&o.Service, "lab-service"}} {
		if *p.path == "" {
			var err error
			if *p.path, err = rig.Sibling(p.name); err != nil {
				return err
			}
		}
	}
	return nil
}

// Demo is one performance.
type Demo struct {
	opts  Options
	start time.Time
}

// New checks the options.
func New(o Options) (*Demo, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	return &Demo{opts: o}, nil
}

// errFailed says that a story did not end as it must; the table says which and why.
var errFailed = errors.New("not every story ended as it must")

// Run sets the stage, plays the stories, prints the table and clears up.
func (d *Demo) Run(ctx context.Context) (err error) {
	d.start = time.Now()
	s, err := newStage(ctx, d.opts)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	d.printf("%s\n\n", s.describe())

	var results []result
	for i, st := range s.stories() {
		if len(d.opts.Only) > 0 && !slices.Contains(d.opts.Only, i+1) {
			continue
		}
		d.printf("%d  %s: %s\n", i+1, st.title, st.tell)
		r := s.play(ctx, st)
		if ctx.Err() != nil {
			return errors.New("interrupted")
		}
		d.printf("   %s\n\n", r.line())
		results = append(results, r)
	}
	d.printf("%s\n%v altogether.\n", table(results), time.Since(d.start).Round(100*time.Millisecond))
	if d.opts.Keep {
		d.printf("%s", s.playground())
		<-ctx.Done()
	}
	if slices.ContainsFunc(results, func(r result) bool { return r.err != nil }) {
		return errFailed
	}
	return nil
}

func (d *Demo) printf(format string, args ...any) { fmt.Fprintf(d.opts.Out, format, args...) }
