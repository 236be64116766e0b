// Command salve-agent-helper does for the agent what takes root, within what root has listed.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"os/user"
	"strconv"
	"syscall"

	"github.com/hashicorp/go-hclog"
	"github.com/spf13/pflag"

	"github.com/salveops/salve/agent/internal/helper"
	"github.com/salveops/salve/pkg/version"
)

const usage = `Usage: salve-agent-helper [flags]

Changes units for salve-agent where polkit has no rules for it, and sets limits that end by themselves. It runs as root,
without network and capabilities, when the agent asks at the socket that systemd holds. Turn it on with:

       systemctl enable --now salve-agent-helper.socket

It does what its list permits, which root makes out of the allow blocks of the agent's configuration at each start and
reload of the agent, and writes each request with its answer to the journal.

Exit codes: 0 nobody asks any more; 1 an error, told on standard error; 2 wrong usage.

Flags:
`

func main() {
	os.Exit(run(os.Args[1:]))
}

func run(args []string) int {
	flags := pflag.NewFlagSet("salve-agent-helper", pflag.ContinueOnError)
	list := flags.String("list", helper.ListFile, "file that says what may be done; only root may be able to change it")
	name := flags.String("user", "salve", "who may ask, beside root")
	bus := flags.String("systemd", helper.SystemBus, "systemd's private socket")
	showVersion := flags.Bool("version", false, "print the version and exit")
	flags.Usage = func() { fmt.Fprint(os.Stderr, usage+flags.FlagUsages()) }
	err := flags.Parse(args)
	switch {
	case errors.Is(err, pflag.ErrHelp):
		return 0
	case err == nil && flags.NArg() > 0:
		err = fmt.Errorf("unknown command %q", flags.Arg(0))
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "salve-agent-helper: %v\nTry salve-agent-helper --help.\n", err)
		return 2
	}
	if *showVersion {
		fmt.Println("salve-agent-helper", version.String())
		return 0
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if err := serve(ctx, helper.Options{List: *list, Bus: *bus}, *name); err != nil {
		fmt.Fprintln(os.Stderr, "salve-agent-helper:", err)
		return 1
	}
	return 0
}

// serve runs the helper for that user and root.
func serve(ctx context.Context, o helper.Options, name string) error {
	u, err := user.Lookup(name)
	if err != nil {
		return err
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return fmt.Errorf("number of user %s: %w", name, err)
	}
	o.Users = []uint32{0, uint32(uid)}
	o.Log = hclog.New(&hclog.LoggerOptions{Name: "salve-agent-helper", Output: os.Stderr})
	s, err := helper.New(o)
	if err != nil {
		return err
	}
	return s.Run(ctx)
}
