// Command service is the patient: a small real HTTP service that the demo, the benchmark and tests
// run as a systemd unit and then break, from outside (SIGKILL, SIGSTOP) or by a POST to /fault/….
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/pflag"
)

// exitConfig is sysexits' EX_CONFIG: something is wrong that starting again will not mend.
const exitConfig = 78

func main() {
	var o Options
	pflag.StringVar(&o.Listen, "listen", "", "host:port or unix:/path to answer on")
	pflag.StringVar(&o.PIDFile, "pidfile", "", "write the process ID here once it listens")
	pflag.StringVar(&o.Config, "config", "", "configuration file; a mistake in it ends the start with exit code 78")
	pflag.StringVar(&o.Cache, "cache", "", "cache file; while it is corrupt, work fails, also after a restart")
	pflag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "service:", err)
		if errors.As(err, new(*ConfigError)) {
			os.Exit(exitConfig)
		}
		os.Exit(1)
	}
}

func run(ctx context.Context, o Options) error {
	s, err := New(o)
	if err != nil {
		return err
	}
	return s.Run(ctx)
}
