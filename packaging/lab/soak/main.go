// Command soak lets three controllers and a few agents work for half an hour, while services break and heal all the
// time and people look on, and measures what each process holds: memory, descriptors, goroutines, threads, its data.
// What goes on growing after a warm-up is a leak. It ends with 0 if everything stayed within its limits, with 3 if
// something did not, and with 1 if the run was not whole. Only a whole run of a quarter of an hour or more has a
// verdict, and writes the results.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/pflag"
)

// exitLeak is the exit code of a whole run in which something grew beyond its limit.
const exitLeak = 3

func main() {
	o, err := flags(os.Args[1:])
	if err == nil {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		defer stop()
		err = run(ctx, o)
	}
	switch {
	case errors.Is(err, errLeak):
		fmt.Fprintln(os.Stderr, "soak:", err)
		os.Exit(exitLeak)
	case err != nil:
		fmt.Fprintln(os.Stderr, "soak:", err)
		os.Exit(1)
	}
}

func flags(args []string) (Options, error) {
	o := Options{Log: os.Stderr, Command: strings.Join(append([]string{"salve-soak"}, args...), " ")}
	f := pflag.NewFlagSet("salve-soak", pflag.ExitOnError)
	minutes := f.Float64("minutes", 30, "how long everything works; the first third is the warm-up")
	f.DurationVar(&o.Every, "every", 15*time.Second, "how often is measured")
	f.DurationVar(&o.Pause, "pause", 10*time.Second, "mean time between two faults of a host, at most")
	f.DurationVar(&o.Shift, "shift", 5*time.Minute, "how long agents keep a configuration, before they load another one")
	f.IntVar(&o.Hosts, "hosts", 4, "number of agents")
	f.IntVar(&o.Services, "services", 6, "number of services on each host")
	f.Uint64Var(&o.Seed, "seed", uint64(time.Now().UnixNano()), "seed of the faults")
	f.StringVar(&o.Out, "out", "packaging/lab/soak/RESULTS.md", `file that takes the results of a whole run; "": none`)
	f.StringVar(&o.Agent, "agent", "", "salve-agent (default: beside this program)")
	f.StringVar(&o.Controller, "controller", "", "salve-controller (default: beside this program)")
	f.StringVar(&o.Salve, "salve", "", "salve, the command line (default: beside this program)")
	f.StringVar(&o.Service, "service", "", "lab service (default: lab-service beside this program)")
	_ = f.Parse(args) // ends the program at an error
	o.Time = time.Duration(*minutes * float64(time.Minute))
	return o, o.validate()
}

func run(ctx context.Context, o Options) error {
	s, err := start(ctx, o)
	if err != nil {
		return err
	}
	return errors.Join(s.run(ctx), s.fleet.close())
}
