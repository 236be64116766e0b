package act

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/salveops/salve/pkg/incident"
	"github.com/salveops/salve/pkg/remedy"
)

// executor runs a program of the operator's own.
type executor struct{ *Runner }

// execUndo is what taking a program back needs.
type execUndo struct {
	Command []string `json:"command"`
	Env     []string `json:"env"`
}

// execEvidence is what the program said.
type execEvidence struct {
	Code   int    `json:"code"`
	Stdout string `json:"stdout,omitempty"`
	Stderr string `json:"stderr,omitempty"`
}

func (executor) target(_ context.Context, q Request) (string, error) {
	if wrong := remedy.CheckCommand(q.Remedy.Args.Command); wrong != "" {
		return "", refuse("%s", wrong)
	}
	return q.Remedy.Args.Command[0], nil
}

func (executor) describe(s *step) string { return "run " + strings.Join(s.args().Command, " ") }

func (k executor) precheck(_ context.Context, s *step) error {
	if err := checkProgram(s.target); err != nil {
		return err
	}
	undo := s.args().UndoExec
	if len(undo) == 0 {
		return nil
	}
	if wrong := remedy.CheckCommand(undo); wrong != "" {
		return refuse("undo: %s", wrong)
	}
	if _, err := k.permitted(Cmd{Purpose: perform, Argv: undo}); err != nil {
		return err
	}
	s.undo = execUndo{Command: undo, Env: environment(s)}
	return nil
}

// environment tells the program what it is run for.
func environment(s *step) []string {
	a := &s.Attempt
	return []string{
		attemptVariable + a.ID, "SALVE_INCIDENT=" + a.Incident, "SALVE_RULE=" + a.Rule,
		"SALVE_SERVICE=" + a.Service, "SALVE_INSTANCE=" + a.Instance, "SALVE_UNIT=" + s.Unit,
	}
}

func (k executor) act(ctx context.Context, s *step) error {
	evidence, err := k.perform(ctx, s.args().Command, environment(s))
	s.after = evidence
	return err
}

// boundless leaves the bound to the context of the action.
const boundless = 24 * time.Hour

// perform runs a program to its end.
func (k executor) perform(ctx context.Context, argv, env []string) (execEvidence, error) {
	out, err := k.Command(ctx, Cmd{Purpose: perform, Argv: argv, Env: env, Timeout: boundless})
	evidence := execEvidence{Code: out.Code, Stdout: text(out.Stdout), Stderr: text(out.Stderr)}
	if err == nil && out.Code != 0 {
		err = fmt.Errorf("%s ended with status %d: %s", argv[0], out.Code, lastLine(out.Stderr, out.Stdout))
	}
	return evidence, err
}

// text bounds what a record keeps of an output.
func text(b []byte) string {
	const most = 4 << 10
	return strings.ToValidUTF8(string(b[:min(most, len(b))]), "?")
}

// lastLine is the last line of the first output that has one.
func lastLine(outputs ...[]byte) string {
	for _, b := range outputs {
		if b = bytes.TrimSpace(b); len(b) > 0 {
			return text(b[bytes.LastIndexByte(b, '\n')+1:])
		}
	}
	return "it said nothing"
}

func (k executor) undo(ctx context.Context, a *incident.Attempt) error {
	var kept execUndo
	if err := json.Unmarshal(a.Undo, &kept); err != nil {
		return fmt.Errorf("read what undo needs: %w", err)
	}
	_, err := k.perform(ctx, kept.Command, kept.Env)
	return err
}

// settle: only the program knows what it does, and when.
func (executor) settle(_ context.Context, a *incident.Attempt) (incident.Phase, string) {
	return incident.Unknown, fmt.Sprintf("the agent died while %s ran or was about to", a.Target)
}

func (executor) repeatable() bool { return false }
