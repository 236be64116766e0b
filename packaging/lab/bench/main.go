// Command bench measures Salve beside Monit and systemd's own restart, in one run on a real systemd
// user manager, and writes the table into agent/BENCHMARKS.md.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/pflag"
)

func main() {
	o := Options{Log: os.Stderr, Command: strings.Join(os.Args, " ")}
	quick := pflag.Bool("quick", false, "three tries at 20 services and ten seconds at rest: does it run, not how fast")
	pflag.StringVar(&o.Out, "out", "agent/BENCHMARKS.md", "file that takes the tables")
	pflag.StringVar(&o.Agent, "agent", "", "salve-agent (default: beside this program)")
	pflag.StringVar(&o.Service, "service", "", "lab service (default: lab-service beside this program)")
	pflag.StringVar(&o.Monit, "monit", "/usr/bin/monit", "Monit")
	pflag.StringSliceVar(&o.Tools, "tools", []string{"salve", "monit", "systemd"}, "whom to measure")
	pflag.IntSliceVar(&o.Sizes, "services", []int{20, 100}, "numbers of services")
	pflag.IntVar(&o.Tries, "tries", 10, "tries of each fault, tool and size")
	pflag.DurationVar(&o.Rest, "rest", 45*time.Second, "how long each tool is watched at rest")
	pflag.Int64Var(&o.Seed, "seed", time.Now().UnixNano(), "seed of phases and order")
	pflag.BoolVar(&o.GoBench, "go", true, "run the Go benchmarks too (needs the source and the go tool)")
	pflag.Parse()
	if *quick {
		o.Sizes, o.Tries, o.Rest = []int{20}, 3, 10*time.Second
	}

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o Options) error {
	b, err := New(o)
	if err != nil {
		return err
	}
	return b.Run(ctx)
}
