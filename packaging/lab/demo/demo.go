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
	Agent      string // salve-agent; "": beside this program
	Controller string // salve-controller; "": beside this program
	Salve      string // salve; "": beside this program
	Service    string // lab service; "": beside this program
	Private    bool   // start a manager even if one is running
	Keep       bool   // leave it running until Ctrl-C
	Only       []int  // numbers of the stories to play; empty: all
	Out        io.Writer
}

func (o *Options) validate() error {
	for _, p := range []struct {
		path *string
		name string
	}{
		{&o.Agent, "salve-agent"}, {&o.Controller, "salve-controller"}, {&o.Salve, "salve"}, {&o.Service, "lab-service"},
	} {
		if *p.path == "" {
			var err error
			if *p.path, err = rig.Sibling(p.name); err != nil {
				return err
			}
		}
	}
	return nil
}

// scene is a stage with its stories.
type scene interface {
	describe() string                         // on what the stories are played
	title(i int) string                       // of story i, which counts from 0, and what is done in it
	perform(ctx context.Context, i int) error // plays it; an error says how it did not end as it must
	last() string                             // how the last one ended, in a sentence
	table() string                            // closing table of what was played
	playground() string                       // how to go on by hand
	close() error
}

// act is a scene that is opened when a story of it is played.
type act struct {
	stories int
	open    func(context.Context, Options) (scene, error)
}

var acts = []act{
	{7, func(ctx context.Context, o Options) (scene, error) { return newStage(ctx, o) }},
	{3, func(ctx context.Context, o Options) (scene, error) { return newPair(ctx, o) }},
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

// Run plays the acts one after another, prints the tables and clears up.
func (d *Demo) Run(ctx context.Context) (err error) {
	d.start = time.Now()
	var open []scene
	defer func() {
		for _, s := range open {
			err = errors.Join(err, s.close())
		}
	}()
	first := 1
	var failed bool
	for _, act := range acts {
		numbers := d.wanted(first, act.stories)
		first += act.stories
		if len(numbers) == 0 {
			continue
		}
		s, err := act.open(ctx, d.opts)
		if err != nil {
			return err
		}
		open = append(open, s)
		bad, err := d.perform(ctx, s, first-act.stories, numbers)
		if err != nil {
			return err
		}
		failed = failed || bad
	}
	for _, s := range open {
		d.printf("%s\n", s.table())
	}
	d.printf("%v altogether.\n", time.Since(d.start).Round(100*time.Millisecond))
	if d.opts.Keep {
		for _, s := range open {
			d.printf("%s", s.playground())
		}
		<-ctx.Done()
	}
	if failed {
		return errFailed
	}
	return nil
}

// wanted are the numbers of the stories to be played among n that begin with first.
func (d *Demo) wanted(first, n int) []int {
	var numbers []int
	for i := first; i < first+n; i++ {
		if len(d.opts.Only) == 0 || slices.Contains(d.opts.Only, i) {
			numbers = append(numbers, i)
		}
	}
	return numbers
}

// perform plays stories of a scene whose first one has the number first.
func (d *Demo) perform(ctx context.Context, s scene, first int, numbers []int) (failed bool, err error) {
	d.printf("%s\n\n", s.describe())
	for _, n := range numbers {
		d.printf("%d  %s\n", n, s.title(n-first))
		err := s.perform(ctx, n-first)
		if ctx.Err() != nil {
			return true, errors.New("interrupted")
		}
		failed = failed || err != nil
		d.printf("   %s\n\n", s.last())
	}
	return failed, nil
}

func (d *Demo) printf(format string, args ...any) { fmt.Fprintf(d.opts.Out, format, args...) }
