package notify

import (
	"context"
	"errors"
	"fmt"

	"github.com/salveops/salve/pkg/config"
)

// Exit codes of a notifier program (those of sysexits.h and of shells) that no retry will cure. 0 means
// delivered, any other code that it may be tried again.
const (
	exitUsage         = 64
	exitData          = 65
	exitNoUser        = 67
	exitNoHost        = 68
	exitNoPermission  = 77
	exitConfig        = 78
	exitNotExecutable = 126
	exitNotFound      = 127
)

// program hands each message, as a Payload, to the standard input of a program.
type program struct {
	argv []string
	exec func(ctx context.Context, argv []string, stdin []byte) error
}

func newProgram(n *config.Notifier, d Deps) (*program, error) {
	if len(n.Command) == 0 || d.Exec == nil {
		return nil, errors.New("programs cannot be run here")
	}
	return &program{argv: n.Command, exec: d.Exec}, nil
}

func (p *program) Send(ctx context.Context, m Message) error {
	body, err := encodePayload(m)
	if err != nil {
		return err
	}
	err = p.exec(ctx, p.argv, append(body, '\n'))
	if err == nil {
		return nil
	}
	err = fmt.Errorf("run notifier program: %w", err)
	if coded, ok := errors.AsType[interface {
		error
		ExitCode() int
	}](err); ok {
		switch coded.ExitCode() {
		case exitUsage, exitData, exitNoUser, exitNoHost, exitNoPermission, exitConfig, exitNotExecutable, exitNotFound:
			return Permanent(err)
		}
	}
	if ctx.Err() != nil { // killed in the middle of its work
		return &Error{Reached: true, Err: err}
	}
	return err
}
