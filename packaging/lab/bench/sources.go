package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"time"

	"github.com/salveops/salve/agent/agenttest"
	"github.com/salveops/salve/packaging/lab/rig"
)

// SourcesOptions of a run about what the agent sees with: pages of metrics, probes, StatsD, what it keeps of signals.
type SourcesOptions struct {
	Common
	Agent, Service    string // as those of Options
	Monit, Prometheus string
	Services          int           // of the agent at rest
	Rest              time.Duration // how long each tool is watched at rest
	Tries             int
	Watch             time.Duration // how long each try is watched
}

func (o *SourcesOptions) validate() error {
	var err error
	if o.Service == "" {
		if o.Service, err = rig.Sibling("lab-service"); err != nil {
			return err
		}
	}
	if o.Agent == "" {
		if o.Agent, err = rig.Sibling("salve-agent"); err != nil {
			return err
		}
	}
	for name, path := range map[string]string{"monit": o.Monit, "prometheus": o.Prometheus} {
		if _, err := os.Stat(path); err != nil {
			return fmt.Errorf("%w: install the package %s, or say --%s", err, name, name)
		}
	}
	switch {
	case o.Services < scrapes:
		return fmt.Errorf("%d services: at least %d, one for each page", o.Services, scrapes)
	case o.Tries < 1:
		return errors.New("tries of sources: at least 1")
	}
	return nil
}

// Sources is one run about what the agent sees with.
type Sources struct {
	opts    SourcesOptions
	manager *agenttest.Systemd
	result  SourcesResult
}

// NewSources checks the options.
func NewSources(o SourcesOptions) (*Sources, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	return &Sources{opts: o}, nil
}

// Run measures everything and writes the report.
func (s *Sources) Run(ctx context.Context) (err error) {
	o := s.opts
	s.result.Options = o
	s.result.Machine = rig.ThisMachine(rig.FirstLine("systemctl", "--version"), rig.FirstLine(o.Monit, "--version"),
		rig.FirstLine("dpkg-query", "-W", "-f", "Prometheus ${Version}", "prometheus"), runtime.Version(),
		rig.FirstLine(o.Agent, "--version"))
	if s.manager, err = agenttest.StartManager(ctx, agenttest.Options{}); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.manager.Stop()) }()
	for _, part := range []struct {
		name    string
		measure func(context.Context) error
	}{
		{"at rest", s.atRest}, {"a page", s.bigPage}, {"probes", s.probes}, {"StatsD", s.packets}, {"series", s.series},
	} {
		s.logf("%s", part.name)
		if err := part.measure(ctx); err != nil {
			return fmt.Errorf("%s: %w", part.name, err)
		}
	}
	if o.GoBench {
		s.logf("go benchmarks")
		if s.result.Go, err = goBenchmarks(ctx, keptBenchmarks, keptPackages); err != nil {
			return err
		}
	}
	s.result.Machine.Ended = time.Now()
	report := s.result.Markdown()
	fmt.Fprintln(o.Log, report)
	return writeBetween(o.Out, "bench of sources", report)
}

func (s *Sources) logf(format string, args ...any) { fmt.Fprintf(s.opts.Log, format+"\n", args...) }

// agent is a rival that runs the agent in a world.
func (s *Sources) agent(w world) rival {
	return rival{nameSalve, func(ctx context.Context, dir string) (running, error) {
		return w.start(ctx, s.opts.Agent, s.manager.Address, dir)
	}}
}

// configured is a rival with a configuration file of its own.
func configured(name, file string, config func(dir string) string, argv func(dir, file string) []string) rival {
	return rival{name, func(_ context.Context, dir string) (running, error) {
		path := dir + "/" + file
		if err := os.WriteFile(path, []byte(config(dir)), 0o600); err != nil {
			return nil, err
		}
		return rig.StartProgram(argv(dir, path), os.Environ(), logOf(dir))
	}}
}
