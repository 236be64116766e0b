package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc"

	"github.com/salveops/salve/proto/localpb"
)

// wrap pauses, runs the operator's command, resumes however that ended, and ends as it did. The
// command is the operator's own: it runs with his rights, his environment and his terminal.
func (a *app) wrap(c *cobra.Command, f pauseFlags) error {
	if f.reason == "" {
		f.reason = "while running " + f.command[0]
	}
	// From here on a signal is the command's affair; salve itself has to live on and resume.
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT)
	defer signal.Stop(signals)
	ctx := context.WithoutCancel(c.Context())

	return a.order(ctx, 0, func(ctx context.Context, agent localpb.AgentClient) error {
		limited, cancel := context.WithTimeout(ctx, quick)
		p, err := a.startPause(limited, agent, f)
		cancel()
		if err != nil {
			return err
		}
		fmt.Fprintln(a.Err, "salve: "+pauseText(p))
		start := time.Now()
		err = a.runCommand(f.command, signals)
		if !f.forever && time.Since(start) >= f.length {
			fmt.Fprintf(a.Err, "salve: the pause ran out before the command ended; next time say more than --for %s\n", f.length)
			return err
		}
		return endPause(ctx, agent, a.Err, p, a.operator(), err)
	})
}

// endPause resumes, and waits for an agent that restarts meanwhile. A failure to resume counts only
// if the command went well: its own failure is the greater news.
func endPause(
	ctx context.Context, agent localpb.AgentClient, w io.Writer, p *localpb.Pause, operator string, ran error,
) error {
	ctx, cancel := context.WithTimeout(ctx, quick)
	defer cancel()
	req := &localpb.ResumeRequest{What: p.GetId(), Operator: operator}
	if _, err := agent.Resume(ctx, req, grpc.WaitForReady(true)); err != nil {
		fmt.Fprintf(w, "salve: could not resume, so pause %s of %s stays until %s: %s\n",
			p.GetId(), p.GetScope(), until(p), message(err))
		if ran == nil {
			return silently(exitError)
		}
		return ran
	}
	fmt.Fprintln(w, "salve: resumed "+p.GetScope())
	return ran
}

// runCommand runs the command to its end and hands it the signals that only salve got.
func (a *app) runCommand(argv []string, signals <-chan os.Signal) error {
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = a.In, a.Out, a.Err
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start command: %w", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	terminal := isTerminal(a.In)
	for {
		select {
		case err := <-ended:
			return commandEnd(err)
		case s := <-signals:
			if terminal && (s == os.Interrupt || s == syscall.SIGQUIT) {
				continue // the terminal sent it to both
			}
			// It may have ended this moment; then ended says so.
			_ = cmd.Process.Signal(s)
		}
	}
}

// commandEnd turns the end of the command into salve's own.
func commandEnd(err error) error {
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return err
	}
	if ws, ok := exit.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		return silently(128 + int(ws.Signal()))
	}
	return silently(exit.ExitCode())
}

func isTerminal(f *os.File) bool {
	if f == nil {
		return false
	}
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}
