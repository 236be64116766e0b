// Command fakeagent serves localtest's agent on a socket, for tests of programs that talk to agents
// and may not link them. It prints "ready" once it can be asked.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/salveops/salve/agent/internal/local"
	"github.com/salveops/salve/agent/internal/local/localtest"
)

func main() {
	socket := flag.String("socket", "", "path of the socket")
	problem := flag.String("problem", "", "be unhealthy for this reason")
	refuse := flag.String("refuse", "", "refuse every reload for this reason")
	line := flag.String("line", "", "have a line to the controller: up, or down")
	panics := flag.Bool("panic", false, "panic in the doctor")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	fake := localtest.New()
	if *problem != "" {
		fake.State.Problems = []string{*problem}
	}
	if *line != "" {
		fake.State.Controller = localtest.Line(*line == "up")
	}
	fake.Refuse, fake.Panic = *refuse, *panics
	srv := local.New(fake, local.Options{Socket: *socket})
	go func() {
		<-srv.Ready()
		fmt.Println("ready")
	}()
	if err := srv.Run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
