package act

import (
	"context"

	"github.com/salveops/salve/agent/internal/act/kind"
	"github.com/salveops/salve/agent/internal/act/program"
	"github.com/salveops/salve/pkg/config"
	"github.com/salveops/salve/pkg/remedy"
)

// Command runs a program and waits for its end. A *kind.Refusal says that it must not run. An exit status
// other than 0 is no error. Running longer than its time-out is one, with what it printed until then.
func (r *Runner) Command(ctx context.Context, c program.Cmd) (program.Output, error) {
	path, err := r.permitted(c)
	if err != nil {
		return program.Output{Code: -1}, err
	}
	return program.Run(ctx, path, c)
}

// permitted finds the program, if it may run for that purpose.
func (r *Runner) permitted(c program.Cmd) (path string, err error) {
	switch {
	case len(c.Argv) == 0:
		return "", kind.Refuse("there is no program to run")
	case c.Purpose == program.Diagnose:
		path, err = program.Tool(c.Argv[0])
	case !(&config.Agent{Allow: r.blocks()}).Allows(string(c.Purpose), remedy.OnExec, c.Argv[0]):
		return "", kind.Refuse("no allow block of this host permits %s of %s", c.Purpose, c.Argv[0])
	default:
		path, err = c.Argv[0], program.Check(c.Argv[0])
	}
	if err != nil {
		return "", kind.Refuse("%v", err)
	}
	return path, nil
}
