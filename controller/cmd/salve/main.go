// Command salve is the operator's tool: it asks and steers agents, and checks configuration.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/salveops/salve/controller/internal/cli"
)

func main() { os.Exit(run()) }

func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	return cli.Run(ctx, cli.Options{
		Args:   os.Args[1:],
		In:     os.Stdin,
		Out:    os.Stdout,
		Err:    os.Stderr,
		Getenv: os.Getenv,
	})
}
