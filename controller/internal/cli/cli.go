// Package cli is the operator's command line: parsing, asking, and showing. It knows the controller and
// the agents only by their APIs, and links nothing of the agents.
package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/salveops/salve/controller/internal/story"
	"github.com/salveops/salve/pkg/version"
)

// Options is the world that a run of the command line sees.
type Options struct {
	Args     []string // without the program's name
	In       *os.File // handed to a wrapped command
	Out, Err io.Writer
	Getenv   func(string) string
}

// app is what every command shares.
type app struct {
	Options
	socket  string // flag --socket
	address string // flag --address
	stale   bool   // flag --stale
}

// Run runs one command line and returns the exit code; see `salve help exit-codes`.
func Run(ctx context.Context, o Options) int {
	a := &app{Options: o}
	root := a.root()
	root.SetArgs(o.Args)
	root.SetIn(o.In)
	root.SetOut(o.Out)
	root.SetErr(o.Err)
	err := root.ExecuteContext(ctx)
	if text := message(err); text != "" {
		fmt.Fprintln(story.Printable(o.Err), "salve: "+text)
	}
	return exitCode(err)
}

func (a *app) root() *cobra.Command {
	c := group("salve", "Heal systemd hosts, and prove it",
		"salve asks and steers Salve's controller and its agents, and checks their configuration.")
	c.Version = version.Get().String()
	c.SetVersionTemplate("salve {{.Version}}\n")
	c.SilenceErrors = true // Run prints them, once
	c.SilenceUsage = true
	// A command that only holds others is not also shown as something to run by itself.
	c.SetUsageTemplate(strings.Replace(c.UsageTemplate(), "{{if .Runnable}}", "{{if not .HasAvailableSubCommands}}", 1))
	c.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError(err) })
	c.AddGroup(
		&cobra.Group{ID: groupFleet, Title: "The fleet:"},
		&cobra.Group{ID: groupHost, Title: "This host:"},
		&cobra.Group{ID: groupConfig, Title: "Configuration:"},
	)
	c.AddCommand(a.fleet()...)
	c.AddCommand(
		a.agent(),
		a.validate(),
		a.test(),
		a.backtest(),
		a.record(),
		a.format(),
		a.remedies(),
		a.versionCommand(),
		exitCodesTopic(),
	)
	return c
}

// The groups of `salve --help`.
const (
	groupFleet  = "fleet"
	groupHost   = "host"
	groupConfig = "config"
)

// group is a command that only holds others. A word that none of them answers to is an error with a
// suggestion, not a reason to print the whole help.
func group(name, short, long string) *cobra.Command {
	return &cobra.Command{
		Use:   name,
		Short: short,
		Long:  long,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			text := fmt.Sprintf("unknown command %q for %q", args[0], c.CommandPath())
			if near := c.SuggestionsFor(args[0]); len(near) > 0 {
				text += fmt.Sprintf("; did you mean %q?", near[0])
			}
			return usagef("%s", text)
		},
		RunE:                       func(c *cobra.Command, _ []string) error { return c.Help() },
		SuggestionsMinimumDistance: 2,
	}
}

// agent holds what talks to the agent of this host.
func (a *app) agent() *cobra.Command {
	c := group("agent", "Ask and steer the agent of this host",
		"Ask and steer the agent of this host through its socket. Who may open the socket may operate the agent.")
	c.GroupID = groupHost
	c.PersistentFlags().StringVar(&a.socket, "socket", a.defaultSocket(),
		"socket of the agent; $SALVE_AGENT_SOCKET changes the default")
	c.AddCommand(
		a.status(),
		a.signals(),
		a.alerts(),
		a.incidents(),
		a.explain(),
		a.watch(),
		a.change(),
		a.pause(),
		a.resume(),
		a.ack(),
		a.release(),
		a.run(),
		a.doctor(),
		a.reload(),
	)
	return c
}

func (a *app) defaultSocket() string {
	if s := a.Getenv("SALVE_AGENT_SOCKET"); s != "" {
		return s
	}
	return "/run/salve/agent.sock"
}

// operator is for whom this command works, when that is not the user whom the agent's socket shows.
// The agent only notes it beside the name that the kernel proves.
func (a *app) operator() string { return a.Getenv("SUDO_USER") }
