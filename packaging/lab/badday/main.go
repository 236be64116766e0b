// Command badday makes what the rule pack is tested with: it starts the real services that the pack is about, with their
// exporters, keeps a page of each, and lets an agent with the pack record a day on which they are broken one after
// another. It takes twelve minutes, and Debian's packages redis-server, haproxy, nginx, postgresql, pgbouncer,
// rabbitmq-server, prometheus-redis-exporter, prometheus-nginx-exporter and prometheus-postgres-exporter. With --pages-only it
// writes the pages and ends. After it, UPDATE=1 go test ./controller/internal/cli -run BadDay says what the pack sees in it, and
// docs/writing-rules.md shows some lines of that.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/pflag"

	"github.com/salveops/salve/packaging/lab/rig"
)

// options say where everything is; paths are relative to the repository.
type options struct {
	Rules     string // the pack
	Pages     string // folder that takes the pages
	Day       string // folder that takes the recording, and what happened
	PagesOnly bool
}

func main() {
	var o options
	pflag.StringVar(&o.Rules, "rules", "configs/rules.d", "the rules to record for")
	pflag.StringVar(&o.Pages, "pages", "pkg/exposition/testdata/pages", "folder for the pages of the exporters")
	pflag.StringVar(&o.Day, "day", "controller/internal/cli/testdata/badday", "folder for the recording")
	pflag.BoolVar(&o.PagesOnly, "pages-only", false, "no recording")
	pflag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "badday:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) (err error) {
	s, err := newStage(ctx)
	defer func() { err = errors.Join(err, s.close()) }()
	if err != nil {
		return err
	}
	stop := s.keepAsking(ctx)
	defer stop()
	if err := s.keepPages(ctx, o.Pages); err != nil || o.PagesOnly {
		return err
	}
	agent, err := rig.Sibling("salve-agent")
	if err != nil {
		return err
	}
	if err := s.startAgent(ctx, agent, o.Rules); err != nil {
		return err
	}
	happened, err := s.pass(ctx)
	if err != nil {
		return err
	}
	s.agent.Stop() // which writes what is left
	return keepDay(s.file("state/recording"), o.Day, happened)
}
