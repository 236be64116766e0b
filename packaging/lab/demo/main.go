// Command salve-demo runs the agent beside seven small services on a real systemd, breaks them one
// after another, and prints what the agent sees and does. Then it runs a controller and two hosts, and
// shows what they do together. Beside that, one more agent judges a service by the metrics that it tells, and another
// one shows remedies that are no restart, as far as what they act on is installed. It ends with 0 only if every story
// ended as it must. KEEP=1 leaves everything running to play with.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/pflag"
)

func main() {
	o := Options{Out: os.Stdout, Keep: os.Getenv("KEEP") == "1"}
	pflag.StringVar(&o.Agent, "agent", "", "salve-agent (default: beside this program)")
	pflag.StringVar(&o.Controller, "controller", "", "salve-controller (default: beside this program)")
	pflag.StringVar(&o.Salve, "salve", "", "salve, the command line (default: beside this program)")
	pflag.StringVar(&o.Service, "service", "", "lab service (default: lab-service beside this program)")
	pflag.BoolVar(&o.Private, "private", false, "start a systemd user manager even if one is running")
	pflag.IntSliceVar(&o.Only, "only", nil, "play only these stories, by number")
	pflag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "salve-demo:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o Options) error {
	d, err := New(o)
	if err != nil {
		return err
	}
	return d.Run(ctx)
}
