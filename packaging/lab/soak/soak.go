package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"sync"
	"time"

	"github.com/salveops/salve/packaging/lab/rig"
)

// Options of a run. There are no hidden defaults; main's flags have them.
type Options struct {
	Time, Every, Pause, Shift time.Duration
	Hosts, Services           int
	Seed                      uint64
	Out                       string // "": no file

	Agent, Controller, Salve, Service string // programs; "": beside this one

	Command string    // as it was typed, for the report
	Log     io.Writer // progress
}

// least is the fewest samples after the warm-up that a growth is told from.
const least = 6

func (o *Options) validate() error {
	for _, p := range []struct {
		path *string
		name string
	}{{&o.Agent, "salve-agent"}, {&o.Controller, "salve-controller"}, {&o.Salve, "salve"}, {&o.Service, "lab-service"}} {
		if *p.path == "" {
			var err error
			if *p.path, err = rig.Sibling(p.name); err != nil {
				return err
			}
		}
	}
	switch {
	case o.Every <= 0 || o.Pause <= 0 || o.Shift <= 0:
		return errors.New("--every, --pause and --shift: more than nothing")
	case (o.Time-o.warm())/o.Every < least:
		return fmt.Errorf("--minutes %.1f: too few for %d measurements after the warm-up", o.Time.Minutes(), least)
	case o.Hosts < 1 || o.Services < 1:
		return errors.New("--hosts and --services: at least 1")
	}
	return nil
}

// warm is how long the warm-up takes.
func (o *Options) warm() time.Duration { return o.Time / 3 }

// tells reports whether the run is long enough: in the first minutes everything grows, and what is measured a few times
// has no trend.
func (o *Options) tells() bool { return o.Time >= 15*time.Minute }

// errLeak: something grew beyond its limit.
var errLeak = errors.New("something grows beyond its limit")

// soak is one run.
type soak struct {
	opts     Options
	fleet    *fleet
	course   course
	subjects []*subject
}

// start brings everything up and returns when all services are well.
func start(ctx context.Context, o Options) (*soak, error) {
	f, err := newFleet(ctx, o)
	if err != nil {
		return nil, err
	}
	s := &soak{opts: o, fleet: f}
	for _, n := range f.nodes {
		s.subjects = append(s.subjects, &subject{name: n.name, kind: controllers, pid: n.PID(), metrics: n.http, data: n.dir})
	}
	for _, h := range f.hosts {
		s.subjects = append(s.subjects, &subject{name: h.name, kind: agents, pid: h.agent.PID(), metrics: h.http,
			data: h.dir + "/data"})
	}
	return s, nil
}

// run lets everything work, and reports.
func (s *soak) run(ctx context.Context) error {
	machine := rig.ThisMachine(rig.FirstLine("systemctl", "--version"), runtime.Version(),
		rig.FirstLine(s.opts.Salve, "version"))
	s.logf("seed %d", s.opts.Seed)
	life, stop := context.WithCancel(ctx)
	defer stop()
	var all sync.WaitGroup
	for i := range s.fleet.hosts {
		all.Go(func() { s.breakHost(life, i) })
	}
	all.Go(func() { s.look(life) })
	all.Go(func() { s.shifts(life) })
	err := s.measure(ctx)
	stop()
	all.Wait()
	if err = errors.Join(err, s.fleet.fault()); err != nil {
		return err
	}
	machine.Ended = time.Now()
	r := report{machine: machine, opts: s.opts, course: &s.course, rows: judge(s.subjects, s.opts.warm())}
	text := r.markdown()
	fmt.Fprintln(s.opts.Log, text)
	if err := s.course.idle(); err != nil {
		return err
	}
	if !s.opts.tells() {
		return nil
	}
	if s.opts.Out != "" {
		if err := os.WriteFile(s.opts.Out, []byte(text), 0o644); err != nil {
			return err
		}
	}
	if n := r.leaks(); n > 0 {
		return fmt.Errorf("%w: %d of %d figures", errLeak, n, len(r.rows))
	}
	return nil
}

// measure takes all figures from the beginning to the end.
func (s *soak) measure(ctx context.Context) error {
	begun := time.Now()
	tick := time.NewTicker(s.opts.Every)
	defer tick.Stop()
	for {
		for _, x := range s.subjects {
			if err := x.take(ctx, time.Since(begun)); err != nil {
				return errors.Join(fmt.Errorf("measure %s: %w", x.name, err), s.fleet.fault())
			}
		}
		s.logf("%5.1f min  %s", time.Since(begun).Minutes(), s.course.String())
		if time.Since(begun)+s.opts.Every/2 > s.opts.Time {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (s *soak) logf(format string, args ...any) { fmt.Fprintf(s.opts.Log, format+"\n", args...) }
