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
	beside  bool // it is played while the others are, and told after them
}

var acts = []act{
	{stories: 7, open: func(ctx context.Context, o Options) (scene, error) { return newStage(ctx, o) }},
	{stories: 3, open: func(ctx context.Context, o Options) (scene, error) { return newPair(ctx, o) }},
	{stories: 1, open: func(ctx context.Context, o Options) (scene, error) { return newGolden(ctx, o) }, beside: true},
	{stories: 4, open: func(ctx context.Context, o Options) (scene, error) { return newToolbox(ctx, o) }, beside: true},
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

// Run plays the acts, prints the tables and clears up.
func (d *Demo) Run(ctx context.Context) (err error) {
	d.start = time.Now()
	ctx, stop := context.WithCancel(ctx)
	var bill []*performance
	defer func() {
		stop()
		for _, p := range bill {
			err = errors.Join(err, p.close())
		}
	}()
	first := 1
	for _, a := range acts {
		if numbers := d.wanted(first, a.stories); len(numbers) > 0 {
			p := &performance{act: a, first: first, numbers: numbers, done: make(chan struct{})}
			bill = append(bill, p)
			if a.beside {
				go p.play(ctx, d.opts, &oneByOne{out: &p.told})
			}
		}
		first += a.stories
	}
	failed := false
	for _, p := range bill {
		if !p.act.beside {
			p.play(ctx, d.opts, d.opts.Out)
		}
		<-p.done
		d.printf("%s", p.told.String())
		if p.err != nil {
			return p.err
		}
		failed = failed || p.failed
	}
	for _, p := range bill {
		d.printf("%s\n", p.scene.table())
	}
	d.printf("%v altogether.\n", time.Since(d.start).Round(100*time.Millisecond))
	if d.opts.Keep {
		for _, p := range bill {
			d.printf("%s", p.scene.playground())
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

func (d *Demo) printf(format string, args ...any) { fmt.Fprintf(d.opts.Out, format, args...) }
