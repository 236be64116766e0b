// Command bench measures Salve beside its peers and writes the tables into agent/BENCHMARKS.md and
// controller/BENCHMARKS.md: the agent beside Monit and systemd's own restart, on a real systemd user manager; what it
// sees with beside Prometheus and Monit; the controller beside etcd. Each table is of one run.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/pflag"

	"github.com/salveops/salve/packaging/lab/bench/control"
)

// What can be measured.
const (
	onlyAgent      = "agent"
	onlySources    = "sources"
	onlyController = "controller"
)

// request is what was asked for on the command line.
type request struct {
	only       []string
	agent      Options
	sources    SourcesOptions
	controller ControllerOptions
}

func main() {
	r := flags(os.Args[1:])
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := r.run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func flags(args []string) request {
	var r request
	f := pflag.NewFlagSet("salve-bench", pflag.ExitOnError)
	f.StringSliceVar(&r.only, "only", []string{onlyAgent, onlySources, onlyController}, "what to measure")
	quick := f.Bool("quick", false, "little of everything: does it run, not how fast")
	seed := f.Int64("seed", time.Now().UnixNano(), "seed of phases and order")
	goBench := f.Bool("go", true, "run the Go benchmarks too (needs the source and the go tool)")
	agentFlags(f, &r.agent)
	sourcesFlags(f, &r.sources)
	controllerFlags(f, &r.controller)
	_ = f.Parse(args) // ends the program at an error
	a, s := &r.agent, &r.sources
	s.Out, s.Agent, s.Service, s.Monit = a.Out, a.Agent, a.Service, a.Monit
	for _, o := range []*Common{&a.Common, &s.Common, &r.controller.Common} {
		*o = Common{Out: o.Out, Seed: *seed, GoBench: *goBench, Command: strings.Join(os.Args, " "), Log: os.Stderr}
	}
	r.controller.Control.Seed, r.controller.Control.Log = *seed, os.Stderr
	if *quick {
		a.Sizes, a.Tries, a.Rest = []int{20}, 3, 10*time.Second
		s.Services, s.Rest, s.Tries, s.Watch = 20, 4*time.Second, 1, 2*time.Second
		c := &r.controller.Control
		c.Callers, c.Rounds, c.Warm, c.Measure = []int{1, 16}, 1, 100*time.Millisecond, time.Second
		c.Kills, c.Sessions, c.Rest, c.Lost = 1, []int{20, 100}, 4*time.Second, 11*time.Second
	}
	return r
}

func agentFlags(f *pflag.FlagSet, o *Options) {
	f.StringVar(&o.Out, "out", "agent/BENCHMARKS.md", "file that takes the agent's tables")
	f.StringVar(&o.Agent, "agent", "", "salve-agent (default: beside this program)")
	f.StringVar(&o.Service, "service", "", "lab service (default: lab-service beside this program)")
	f.StringVar(&o.Monit, "monit", "/usr/bin/monit", "Monit")
	f.StringSliceVar(&o.Tools, "tools", []string{"salve", "monit", "systemd"}, "whom to measure")
	f.IntSliceVar(&o.Sizes, "services", []int{20, 100}, "numbers of services")
	f.IntVar(&o.Tries, "tries", 10, "tries of each fault, tool and size")
	f.DurationVar(&o.Rest, "rest", 45*time.Second, "how long each tool is watched at rest")
}

// sourcesFlags are those that the agent's run does not have.
func sourcesFlags(f *pflag.FlagSet, o *SourcesOptions) {
	f.StringVar(&o.Prometheus, "prometheus", "/usr/bin/prometheus", "Prometheus")
	f.IntVar(&o.Services, "sources-services", 100, "number of services beside the pages")
	f.DurationVar(&o.Rest, "sources-rest", 15*time.Second, "how long each tool is watched at rest, with pages and without")
	f.IntVar(&o.Tries, "sources-tries", 3, "tries of each source and tool")
	f.DurationVar(&o.Watch, "watch", 3*time.Second, "how long a try of a source is watched")
}

func controllerFlags(f *pflag.FlagSet, o *ControllerOptions) {
	c := &o.Control
	f.StringVar(&o.Out, "controller-out", "controller/BENCHMARKS.md", "file that takes the controller's tables")
	f.StringVar(&c.Controller, "controller", "", "salve-controller (default: beside this program)")
	f.StringVar(&c.Etcd, "etcd", "/usr/bin/etcd", "etcd")
	f.StringVar(&c.Dir, "data", "", "folder on a disk for the nodes' data (default: the system's for temporary files)")
	f.StringSliceVar(&c.Parts, "parts", control.Parts(), "what of the controller to measure")
	f.IntSliceVar(&c.Nodes, "nodes", []int{1, 3}, "numbers of nodes")
	f.IntSliceVar(&c.Callers, "callers", []int{1, 16, 256, 1024}, "numbers of callers, rising")
	f.IntVar(&c.Rounds, "rounds", 3, "rounds of each contender and number of nodes")
	f.DurationVar(&c.Warm, "warm", time.Second, "how long callers work before they count")
	f.DurationVar(&c.Measure, "measure", 5*time.Second, "how long they count, each round and number of callers")
	f.IntVar(&c.Kills, "kills", 20, "how often each contender loses its leader")
	f.DurationVar(&c.Recover, "recover", time.Second, "how long a node that came back catches up before the next kill")
	f.IntSliceVar(&c.Sessions, "sessions", []int{100, 1000, 5000}, "numbers of idle agents")
	f.DurationVar(&c.Rest, "session-rest", 60*time.Second, "how long idle agents are watched")
	f.DurationVar(&c.Lost, "lost", 25*time.Second, "how long lost hosts are looked for after a leader was lost")
}

// Common is what both runs need.
type Common struct {
	Out     string // Markdown file that takes the tables
	Seed    int64
	GoBench bool
	Command string    // as it was typed, for the report
	Log     io.Writer // progress
}

// program is one part of the bench.
type program interface {
	Run(ctx context.Context) error
}

// run checks all options before it measures anything.
func (r request) run(ctx context.Context) error {
	var all []program
	for _, name := range r.only {
		var p program
		var err error
		switch name {
		case onlyAgent:
			p, err = New(r.agent)
		case onlySources:
			p, err = NewSources(r.sources)
		case onlyController:
			p, err = NewController(r.controller)
		default:
			err = fmt.Errorf("--only %s: know %s, %s and %s", name, onlyAgent, onlySources, onlyController)
		}
		if err != nil {
			return err
		}
		all = append(all, p)
	}
	for i, p := range all {
		if err := p.Run(ctx); err != nil {
			return fmt.Errorf("%s: %w", r.only[i], err)
		}
	}
	return nil
}
