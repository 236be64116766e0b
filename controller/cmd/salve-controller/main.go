// Command salve-controller is one node of the controller: it coordinates the repairs of a fleet, and asks people.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/hashicorp/go-hclog"
	"github.com/spf13/pflag"

	"github.com/salveops/salve/controller"
	"github.com/salveops/salve/pkg/clock"
	"github.com/salveops/salve/pkg/version"
)

const usage = `Usage: salve-controller [flags]         run one node of the controller
       salve-controller check [flags]   say whether it would accept its configuration
       salve-controller reload [flags]  have the running node of a configuration read it again, and its certificates
       salve-controller init …          make an authority and certificates; see salve-controller init --help

A refused configuration leaves the old one in force; a SIGHUP reloads, too, and has no answer.

Exit codes: 0 ended as asked; 1 an error, told on standard error; 2 wrong usage.

Flags:
`

func main() {
	os.Exit(run(os.Args[1:]))
}

func run(args []string) int {
	if len(args) > 0 && args[0] == "init" {
		return initialize(args[1:])
	}
	flags := pflag.NewFlagSet("salve-controller", pflag.ContinueOnError)
	config := flags.String("config", "/etc/salve/controller.hcl", "configuration file")
	dev := flags.Bool("dev", false, "one node without configuration, in a folder that goes with it; for trying things out")
	level := flags.String("log-level", "info", "trace, debug, info, warn or error")
	json := flags.Bool("log-json", false, "log JSON lines")
	showVersion := flags.Bool("version", false, "print the version and exit")
	flags.Usage = func() { fmt.Fprint(os.Stderr, usage+flags.FlagUsages()) }
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, pflag.ErrHelp) {
			return 0
		}
		return misused(err)
	}
	if *showVersion {
		fmt.Println("salve-controller", version.String())
		return 0
	}
	logLevel := hclog.LevelFromString(*level)
	command := flags.Arg(0)
	switch {
	case flags.NArg() > 1 || command != "" && command != "check" && command != "reload":
		return misused(fmt.Errorf("unknown argument %q", flags.Arg(flags.NArg()-1)))
	case command != "" && *dev:
		return misused(fmt.Errorf("--dev has no configuration to %s", command))
	case logLevel == hclog.NoLevel:
		return misused(fmt.Errorf("unknown log level %q: use trace, debug, info, warn or error", *level))
	case *dev && flags.Changed("config"):
		return misused(errors.New("--dev needs no --config"))
	}
	options := controller.Options{ConfigFile: *config, Dev: *dev,
		Log: hclog.New(&hclog.LoggerOptions{Name: "salve-controller", Level: logLevel, JSONFormat: *json, TimeFn: clock.Wall})}
	if *dev {
		options.ConfigFile = ""
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	act := func() error { return controller.Run(ctx, options) }
	switch command {
	case "check":
		act = func() error { return controller.Check(options) }
	case "reload":
		act = func() error { return controller.Reload(ctx, options) }
	}
	if err := act(); err != nil {
		fmt.Fprintln(os.Stderr, "salve-controller:", err)
		return 1
	}
	return 0
}

func misused(err error) int {
	fmt.Fprintf(os.Stderr, "salve-controller: %v\nTry salve-controller --help.\n", err)
	return 2
}
