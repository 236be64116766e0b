package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Exit codes. They are part of the interface: `salve help exit-codes` documents them.
const (
	exitOK          = 0
	exitError       = 1
	exitUsage       = 2
	exitNotFound    = 3
	exitFindings    = 4
	exitRefused     = 5
	exitUnreachable = 6
	exitNoQuorum    = 7
	exitUnknown     = 8
)

// exitCodesTopic is `salve help exit-codes`.
func exitCodesTopic() *cobra.Command {
	return &cobra.Command{
		Use:   "exit-codes",
		Short: "What the exit codes mean",
		Long: `Exit codes of salve

  0  It went well.
  1  It failed; standard error says why.
  2  The command line makes no sense.
  3  There is no such incident, host, permit, pause, silence, remedy, or kind;
     or no test to run, or nothing that was recorded.
  4  It went well and found something: the agent is not healthy, the controller
     has something to look at, the doctor has a failed finding, a configuration
     is not valid, a file is not formatted, a test of rules fails or is missing,
     rules differ from those that hosts have, the audit's chain is broken.
  5  The agent or the controller refused, or a remedy that was run by hand did
     not help.
  6  No agent answers on the socket, or the socket may not be opened; or no node
     of the controller can be reached.
  7  The controller's nodes have no leader: most of them are down or cut off, or
     an election takes long. Nothing was done. Questions with --stale, and
     "salve agent pause", work nevertheless.
  8  The answer to a change was lost: it may have been done or not. Look before
     you try again.

  "salve agent pause TARGET … -- COMMAND" ends with COMMAND's own exit code, and
  with 128 + n if signal n ended it. A line that begins with "salve:" on standard
  error tells salve's own failures apart. COMMAND is not started if the pause
  could not be made.`,
	}
}

// coded is an error that knows its exit code.
type coded struct {
	code int
	err  error // nil: nothing is left to say
}

// Error implements error.
func (c *coded) Error() string {
	if c.err == nil {
		return fmt.Sprintf("exit code %d", c.code)
	}
	return c.err.Error()
}

// Unwrap gives the error inside.
func (c *coded) Unwrap() error { return c.err }

// errLost ends a command after a change whose answer did not come.
func errLost() error {
	return &coded{code: exitUnknown, err: errors.New("the answer did not come, so it may have been done or not; " +
		"look before you try again")}
}

// silently ends with a code after everything was said.
func silently(code int) error { return &coded{code: code} }

// usageError is err as a fault of the command line.
func usageError(err error) error { return &coded{code: exitUsage, err: err} }

func usagef(format string, args ...any) error { return usageError(fmt.Errorf(format, args...)) }

// exitCode is the exit code of err.
func exitCode(err error) int {
	if err == nil {
		return exitOK
	}
	var c *coded
	if errors.As(err, &c) {
		return c.code
	}
	switch status.Code(err) {
	case codes.NotFound:
		return exitNotFound
	case codes.InvalidArgument:
		return exitUsage
	case codes.FailedPrecondition:
		return exitRefused
	case codes.Unavailable:
		return exitUnreachable
	}
	return exitError
}

// message is what to print of err; "" if everything was said.
func message(err error) string {
	if err == nil {
		return ""
	}
	var c *coded
	if errors.As(err, &c) && c.err == nil {
		return ""
	}
	if errors.Is(err, context.Canceled) {
		return "interrupted"
	}
	s, ok := status.FromError(err)
	if !ok {
		return err.Error()
	}
	switch s.Code() {
	case codes.Canceled:
		return "interrupted"
	case codes.DeadlineExceeded:
		return "the agent did not answer in time"
	case codes.Unavailable:
		return "the agent went away: " + s.Message()
	case codes.Unimplemented:
		return "the agent is of another version and does not know this: " + s.Message()
	}
	return s.Message()
}

// exactly wants n arguments, named for the message.
func exactly(names ...string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) < len(names) {
			return usagef("%s needs %s; see %s --help", c.CommandPath(), names[len(args)], c.CommandPath())
		}
		return atMost(len(names))(c, args)
	}
}

// atMost wants n arguments or fewer.
func atMost(n int) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) > n {
			return usagef("%s does not know what to do with %q", c.CommandPath(), args[n])
		}
		return nil
	}
}
