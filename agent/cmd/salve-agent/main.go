// Command salve-agent watches one host, repairs it, and proves that the repair worked.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/hashicorp/go-hclog"
	"github.com/spf13/pflag"

	"github.com/salveops/salve/agent"
	"github.com/salveops/salve/pkg/clock"
	"github.com/salveops/salve/pkg/version"
)

const usage = `Usage: salve-agent [flags]          run the agent
       salve-agent reload [flags]   make the running agent read its configuration again
       salve-agent enroll --token TOKEN [--controller HOST:PORT,…]
                                    give this host its identity, for a token of salve enroll token
       salve-agent polkit-rules [FILE] [flags]
                                    print what polkit lets the agent's user do by its allow blocks;
                                    with FILE, as root, put these rules there, and for the helper
                                    the same into the file of --helper-list

Exit codes: 0 ended as asked; 1 an error, told on standard error; 2 wrong usage.

Flags:
`

func main() {
	os.Exit(run(os.Args[1:]))
}

func run(args []string) int {
	flags := pflag.NewFlagSet("salve-agent", pflag.ContinueOnError)
	config := flags.String("config", "/etc/salve/agent.hcl", "configuration file")
	systemd := flags.String("systemd", "system", `which systemd: "system", "user", or a private socket "unix:path=…"`)
	level := flags.String("log-level", "info", "trace, debug, info, warn or error")
	json := flags.Bool("log-json", false, "log JSON lines")
	var identity agent.EnrollOptions
	flags.StringSliceVar(&identity.Addresses, "controller", nil,
		"enroll: nodes of the controller; default: those of the configuration")
	flags.StringVar(&identity.Token, "token", "",
		"enroll: the token; others may see it while this runs, so better use --token-file")
	flags.StringVar(&identity.TokenFile, "token-file", "", "enroll: file with the token")
	list := flags.String("helper-list", "", "polkit-rules: file that says to salve-agent-helper what it may do")
	showVersion := flags.Bool("version", false, "print the version and exit")
	flags.Usage = func() { fmt.Fprint(os.Stderr, usage+flags.FlagUsages()) }
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, pflag.ErrHelp) {
			return 0
		}
		return misused(err)
	}
	if *showVersion {
		fmt.Println("salve-agent", version.String())
		return 0
	}
	logLevel := hclog.LevelFromString(*level)
	if logLevel == hclog.NoLevel {
		return misused(fmt.Errorf("unknown log level %q: use trace, debug, info, warn or error", *level))
	}
	log := hclog.New(&hclog.LoggerOptions{Name: "salve-agent", Level: logLevel, JSONFormat: *json, TimeFn: clock.Wall})
	options := agent.Options{ConfigFile: *config, Systemd: *systemd, Log: log}

	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	var err error
	switch command := flags.Args(); {
	case len(command) == 0:
		err = agent.Run(ctx, options)
	case len(command) == 1 && command[0] == "reload":
		err = agent.AskReload(ctx, options)
	case len(command) == 1 && command[0] == "enroll":
		identity.Out = os.Stdout
		err = agent.Enroll(ctx, options, identity)
	case len(command) >= 1 && len(command) <= 2 && command[0] == "polkit-rules":
		to := agent.PolkitOptions{Rules: strings.Join(command[1:], ""), Helper: *list, Out: os.Stdout}
		err = agent.PolkitRules(options, to)
	default:
		return misused(fmt.Errorf("unknown command %q", command[0]))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "salve-agent:", err)
		return 1
	}
	return 0
}

func misused(err error) int {
	fmt.Fprintf(os.Stderr, "salve-agent: %v\nTry salve-agent --help.\n", err)
	return 2
}
